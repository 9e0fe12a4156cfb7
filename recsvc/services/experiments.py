"""Two kept versions side by side: who is served which, and what the difference is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b

from recsvc.config import Experiment

CONFIDENCE = 0.95
_Z = 1.959964  # quantile of the normal distribution that belongs to it


@dataclass(frozen=True)
class Difference:
    """Treatment less control, in the share of users; or a share by itself.

    Attributes:
        difference: As it was counted.
        low: Lower end of the confidence interval.
        high: Its upper end.
    """

    difference: float
    low: float
    high: float


def is_treated(experiment: Experiment, user_id: str) -> bool:
    """Whether a user is served the second version: the same answer in every process, always."""
    return _unit_interval(experiment.name, user_id) < experiment.share


def is_sampled(user_id: str, share: float) -> bool:
    """Whether what a user is shown is recorded, where that is done for a share of the users."""
    return share >= 1 or _unit_interval("sample", user_id) < share


def user_hash(user_id: str) -> int:
    """A number that stands for a user in what was shown, known to the database or not; 63 bits."""
    return int.from_bytes(blake2b(user_id.encode(), digest_size=8).digest(), "big") >> 1


def compare(control: tuple[int, int], treatment: tuple[int, int]) -> Difference | None:
    """Compares two shares of users.

    The interval is that of Agresti & Caffo (The American Statistician 54, 2000): one success and one failure
    are added to each side, which keeps its promise for few users and for shares near 0.

    Args:
        control: Users who did something, and users in all.
        treatment: The same of the other version.

    Returns:
        The difference; None where a version has no users yet.
    """
    if not control[1] or not treatment[1]:
        return None
    (p, p_variance), (q, q_variance) = _adjusted(*control), _adjusted(*treatment)
    margin = _Z * math.sqrt(p_variance + q_variance)
    difference = treatment[0] / treatment[1] - control[0] / control[1]
    return Difference(difference, max(-1.0, q - p - margin), min(1.0, q - p + margin))


def share(successes: int, trials: int) -> Difference:
    """A share with its confidence interval, that of Wilson (J. Am. Stat. Assoc. 22, 1927).

    Args:
        successes: How often it happened.
        trials: How often it could have, more than 0.
    """
    p = successes / trials
    shrink = 1 + _Z**2 / trials
    centre = (p + _Z**2 / (2 * trials)) / shrink
    margin = _Z * math.sqrt(p * (1 - p) / trials + _Z**2 / (4 * trials**2)) / shrink
    return Difference(p, max(0.0, centre - margin), min(1.0, centre + margin))


def _adjusted(successes: int, users: int) -> tuple[float, float]:
    share = (successes + 1) / (users + 2)
    return share, share * (1 - share) / (users + 2)


def _unit_interval(salt: str, user_id: str) -> float:
    digest = blake2b(user_id.encode(), digest_size=8, salt=blake2b(salt.encode(), digest_size=16).digest())
    return int.from_bytes(digest.digest(), "big") / 2**64
