"""How good a ranking of all items is.

Of all: metrics on a sample of the items order models wrongly (Krichene and Rendle 2020).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def recall(ranked: NDArray[np.intp], relevant: NDArray[np.intp]) -> float:
    """Share of the relevant items that were ranked.

    Args:
        ranked: The k best item indexes, best first.
        relevant: Distinct item indexes, at least one.
    """
    return float(np.isin(relevant, ranked).mean())


def ndcg(ranked: NDArray[np.intp], relevant: NDArray[np.intp]) -> float:
    """Normalised discounted cumulative gain with gains of 0 and 1 (Järvelin and Kekäläinen 2002).

    Args:
        ranked: The k best item indexes, best first.
        relevant: Distinct item indexes, at least one.
    """
    discounts = 1.0 / np.log2(np.arange(2, len(ranked) + 2))
    best = discounts[: len(relevant)].sum()
    return float(discounts[np.isin(ranked, relevant)].sum() / best) if best else 0.0
