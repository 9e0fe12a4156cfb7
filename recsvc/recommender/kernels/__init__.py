"""The inner loops that a request waits for: compiled where that can be done, else NumPy's; docs/adr/0021.

`plain` says what each does, and `compiled` does the same. After all else that a request does, the code and
data of every step come from memory again; compiled, a list takes few steps.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsvc.recommender.kernels.plain import (
        best_places,
        fold_in,
        greatest,
        nearest,
        portions,
        products,
        products_of_each,
        relate,
        rows,
        shares,
    )
else:
    try:
        _chosen = import_module(f"{__name__}.compiled")
    except ImportError:
        from recsvc.recommender.kernels import plain as _chosen
    best_places, nearest, shares = _chosen.best_places, _chosen.nearest, _chosen.shares
    products, products_of_each, rows = _chosen.products, _chosen.products_of_each, _chosen.rows
    fold_in, relate = _chosen.fold_in, _chosen.relate
    greatest, portions = _chosen.greatest, _chosen.portions

__all__ = [
    "IS_COMPILED",
    "best_places",
    "fold_in",
    "greatest",
    "nearest",
    "portions",
    "products",
    "products_of_each",
    "relate",
    "rows",
    "shares",
]

IS_COMPILED = relate.__module__ != f"{__name__}.plain"
