"""A user's vector from their history, without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender import kernels


class Numbers(NamedTuple):
    """What a system is made of beside a history; see `Systems`."""

    wanting: float
    counting: float
    unobserved: float
    disliked: float
    ridge: float
    score: float


_TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class Systems:
    """What is solved for a user's vector, k times over: (B + Σ c_i q_i q_iᵀ) x = Σ w_i q_i.

    The user's half-step of implicit-feedback ALS (Hu, Koren and Volinsky 2008), the items q being fixed and
    their sum over the catalogue, with the penalty, being the diagonal B. c and w follow from how strong the h
    items of the history are: a liked one, s > 0, is wanted as wanting · s times what it counts for by its
    place, with a confidence of max(counting · s - unobserved, 0); a disliked one as 0, with a confidence of
    -disliked · s.

    Attributes:
        strengths: s, float32, shape (h,).
        spectrum: float32, shape (d,): B is that and the ridge, more than 0; None for the identity.
        numbers: Of each of the k, of which score is the mean that the history is to score, each item as often
            as it is wanted, to which the solution is stretched; NaN where scores have a scale of their own.
    """

    strengths: NDArray[np.float32]
    spectrum: NDArray[np.float32] | None
    numbers: Sequence[Numbers]

    def base(self, system: int) -> NDArray[np.float32]:
        """The diagonal of B, float32, shape (d,), where there is a spectrum."""
        assert self.spectrum is not None
        base: NDArray[np.float32] = np.maximum(self.spectrum + self.numbers[system].ridge, _TINY)
        return base


def fold_in(
    embeddings: NDArray[np.float32],
    systems: Systems,
    weights: NDArray[np.float32],
    of_each: NDArray[np.intp],
    left_out: NDArray[np.intp],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Solves for vectors, and says what each item of the history adds, with one item left out at a time.

    It is solved among the items of the history or among the components, whichever are fewer (Woodbury's
    identity): the solution is x = B⁻¹ Σ a_i q_i either way. All rows of a system are solved at once.

    Args:
        embeddings: q, float32, shape (h, d).
        systems: To solve.
        weights: What each item counts for by its place, in each row of the answers, float32, shape (p, h).
        of_each: Which system each row solves, shape (p,).
        left_out: Place in the history of the item that each row does without, shape (p,); -1 for none.

    Returns:
        The coefficients a, float32, shape (p, h), 0 for the item left out; and x, float32, shape (p, d).

    Raises:
        IndexError: A place is none of h.
        ValueError: The numbers are not finite.
    """
    if not len(embeddings):
        vectors = np.zeros((len(of_each), embeddings.shape[1]), np.float32)
        return np.zeros((len(of_each), 0), np.float32), vectors
    return kernels.fold_in(
        embeddings, systems.strengths, systems.spectrum, systems.numbers, weights, of_each, left_out
    )
