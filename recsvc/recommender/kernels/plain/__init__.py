"""What kernels do, with NumPy and LAPACK."""

from recsvc.recommender.kernels.plain.embeddings import products, products_of_each, rows
from recsvc.recommender.kernels.plain.histories import find, likings, weighed, without_each
from recsvc.recommender.kernels.plain.lists import best_places, cold, is_in, mixed, nearest, ranks
from recsvc.recommender.kernels.plain.reasons import ROUNDING, greatest, parts_of_scores, portions
from recsvc.recommender.kernels.plain.related import blurred, relate, shares
from recsvc.recommender.kernels.plain.solving import NOT_FINITE, fold_in, solve_rows

__all__ = [
    "NOT_FINITE",
    "ROUNDING",
    "best_places",
    "blurred",
    "cold",
    "find",
    "fold_in",
    "greatest",
    "is_in",
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
