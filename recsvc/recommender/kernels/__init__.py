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
        nearest,
        products,
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
    fold_in, products, relate, rows = _chosen.fold_in, _chosen.products, _chosen.relate, _chosen.rows

__all__ = [
    "IS_COMPILED",
    "best_places",
    "fold_in",
    "nearest",
    "products",
    "relate",
    "rows",
    "shares",
]

IS_COMPILED = relate.__module__ != f"{__name__}.plain"
