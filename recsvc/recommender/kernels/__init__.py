"""Inner loops of requests, and some of a training: compiled where that can be done, else NumPy's.

`plain` says what each does, and `compiled` does the same. After all else that a request does, the code and
data of every step come from memory again; compiled, a list takes few steps (docs/adr/0021).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsvc.recommender.kernels.plain import (
        best_places,
        blurred,
        cold,
        find,
        fold_in,
        greatest,
        likings,
        mixed,
        nearest,
        parts_of_scores,
        portions,
        products,
        products_of_each,
        ranks,
        relate,
        rows,
        shares,
        solve_rows,
        weighed,
        without_each,
    )
else:
    try:
        _chosen = import_module(f"{__name__}.compiled")
    except ImportError:
        from recsvc.recommender.kernels import plain as _chosen
    best_places, blurred = _chosen.best_places, _chosen.blurred
    cold, find = _chosen.cold, _chosen.find
    fold_in, greatest, likings = _chosen.fold_in, _chosen.greatest, _chosen.likings
    mixed, nearest = _chosen.mixed, _chosen.nearest
    parts_of_scores, portions = _chosen.parts_of_scores, _chosen.portions
    products, products_of_each, relate = _chosen.products, _chosen.products_of_each, _chosen.relate
    ranks, rows = _chosen.ranks, _chosen.rows
    shares, solve_rows = _chosen.shares, _chosen.solve_rows
    weighed, without_each = _chosen.weighed, _chosen.without_each

__all__ = [
    "IS_COMPILED",
    "best_places",
    "blurred",
    "cold",
    "find",
    "fold_in",
    "greatest",
    "likings",
    "mixed",
    "nearest",
    "parts_of_scores",
    "portions",
    "products",
    "products_of_each",
    "ranks",
    "relate",
    "rows",
    "shares",
    "solve_rows",
    "weighed",
    "without_each",
]

IS_COMPILED = relate.__module__ == f"{__name__}.compiled"
