"""The gate: what a candidate must win to become active. See docs/adr/0010."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog

from recsvc.config import Config
from recsvc.errors import DamagedVersionError, TrainingError
from recsvc.recommender import comparison
from recsvc.recommender.comparison import Comparison, Ground
from recsvc.recommender.examples import Examples
from recsvc.recommender.interactions import InteractionColumns, InteractionMatrix
from recsvc.recommender.model import Model
from recsvc.services import registry

logger = structlog.get_logger(__name__)

FEWEST_USERS = 50  # fewer say next to nothing
SURE_FROM = 250  # users; with fewer, many a good model is not surely better than what is popular
PASSED, REJECTED, FORCED = "passed", "rejected", "forced"

_NAMES = {"ndcg_at_10": "NDCG@10", "recall_at_20": "Recall@20"}


@dataclass(frozen=True)
class Incumbent:
    """The active version, as a candidate meets it.

    Attributes:
        version: Its name.
        watermark: The greatest key of the interactions that it was fitted to.
        model: What it serves.
    """

    version: str
    watermark: int
    model: Model


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a candidate.

    Attributes:
        decision: `passed`, `rejected`, or `forced` where it would have been rejected.
        reason: Why, in words and numbers.
        popularity: The candidate beside what is popular; None where there was too little to tell.
        active: The candidate beside the active version; None where they were not compared.
        version: Name of that version.
    """

    decision: str
    reason: str
    popularity: Comparison | None = None
    active: Comparison | None = None
    version: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As a run and a manifest tell it."""
        told = self.popularity
        return {
            "decision": self.decision,
            "reason": self.reason,
            "candidate": None if told is None else {"users": told.users, **_rounded(told.ours)},
            "active": None if self.active is None else {"version": self.version, **_other(self.active)},
            "popularity": None if told is None else _other(told),
        }


def incumbent() -> Incumbent | None:
    """The version to win against; None where there is none, or none to be opened, as the log then says.

    Raises:
        TrainingError: The model store does not answer: whatever was made now could not be published either.
    """
    try:
        pointer = registry.model_store().pointer()
        if pointer is None:
            return None
        manifest, arrays = registry.open_version(pointer.version)
        return Incumbent(pointer.version, int(manifest["data"]["watermark"]), Model.from_arrays(arrays))
    except (DamagedVersionError, ValueError) as error:
        logger.error("gate_without_active_version", why=str(error))
        return None
    except OSError as error:
        raise TrainingError("The active version cannot be read: %(why)s", why=str(error)) from error


def lay_out(
    matrix: InteractionMatrix,
    columns: InteractionColumns,
    active: Incumbent | None,
    unseen: int,
    config: Config,
) -> Ground | None:
    """Sets aside what the candidate will be judged by.

    Args:
        matrix: Of all interactions.
        columns: All interactions, in the order in which they were received.
        active: The active version.
        unseen: How many of the columns' last rows it was not fitted to.
        config: The settings.

    Returns:
        None where that is too little to tell anything.
    """
    since = len(columns) - (unseen if active is not None else 0)
    return comparison.lay_out(matrix, columns, since=since, fewest_users=FEWEST_USERS, seed=config.train_seed)


def meets(ground: Ground | None, active: Incumbent | None) -> bool:
    """Whether there is an active version, and enough that it was not fitted to, to be compared with."""
    return active is not None and ground is not None and int(ground.is_new.sum()) >= FEWEST_USERS


def judge(
    candidate: Model,
    matrix: InteractionMatrix,
    examples: Examples,
    ground: Ground,
    active: Incumbent | None,
    *,
    config: Config,
    force: bool,
    on_progress: Callable[[float], None],
) -> Verdict:
    """Compares the candidate with what is popular and with the active version, and decides.

    Args:
        candidate: Fitted to nothing that was set aside.
        matrix: Of all interactions.
        examples: Of all interactions.
        ground: What was set aside.
        active: The active version.
        config: The settings.
        force: Whether it is to pass all the same.
        on_progress: Told the part that is done, 0 to 1. May raise, which ends it.
    """
    users = np.arange(len(ground.is_new))

    def evaluate(model: Model, of: Any, begin: float, end: float, *, personal: bool = True) -> Any:
        return comparison.evaluate(
            model,
            matrix,
            examples,
            ground.held_out,
            of,
            on_progress=lambda done: on_progress(begin + done * (end - begin)),
            personal=personal,
        )

    ours = evaluate(candidate, users, 0.0, 0.5)
    popular = evaluate(candidate, users, 0.5, 0.6, personal=False)
    against_popularity = comparison.compare(ours, popular, config.train_seed)
    against_active = None
    if active is not None and meets(ground, active):
        theirs = evaluate(active.model, np.flatnonzero(ground.is_new), 0.6, 1.0)
        of_same = comparison.of_users(ours, ground.is_new)
        against_active = comparison.compare(of_same, theirs, config.train_seed)
    verdict = decide(
        against_popularity,
        against_active,
        tolerance=config.gate_tolerance,
        version=active.version if active else None,
        new_users=int(ground.is_new.sum()),
    )
    return forced(verdict) if force else verdict


def too_little() -> Verdict:
    """What is said where there is too little to compare anything by."""
    return Verdict(
        PASSED,
        f"Too little data to tell: to compare, something is held out of half of the users who like two items"
        f" or more, and these are fewer than {FEWEST_USERS}. A shop so small gets its model unjudged.",
    )


def forced(verdict: Verdict) -> Verdict:
    """The same, overridden where it is a rejection."""
    if verdict.decision != REJECTED:
        return verdict
    return Verdict(
        FORCED,
        f"Forced, though it would have been rejected: {verdict.reason}",
        verdict.popularity,
        verdict.active,
        verdict.version,
    )


def decide(
    popularity: Comparison,
    active: Comparison | None,
    *,
    tolerance: float,
    version: str | None,
    new_users: int,
) -> Verdict:
    """The rule.

    A candidate has to beat popularity by NDCG@10, for sure: the whole 99.8 % interval of the difference is
    above 0. Fewer than `SURE_FROM` users are too few for that; it need only not be worse for sure. Then it
    must not be worse than the active version in either metric, for sure and by more than what is tolerated:
    the whole interval is below 0, and the mean more than `tolerance` of the active version's figure.

    Args:
        popularity: The candidate beside what is popular.
        active: The candidate beside the active version; None where they were not compared.
        tolerance: Share of the active version's figure.
        version: Name of the active version; None where there is none.
        new_users: How many users there are whose held-out likes the active version was not fitted to.
    """
    _, low, high = popularity.differences["ndcg_at_10"]
    told = f"{_told('ndcg_at_10', popularity, 'popularity')}, among {popularity.users} users"
    if popularity.users >= SURE_FROM:
        if low <= 0:
            return Verdict(
                REJECTED, f"It does not surely beat popularity: {told}.", popularity, active, version
            )
        reasons = [f"It beats popularity: {told}."]
    else:
        if high < 0:
            return Verdict(
                REJECTED, f"It is surely worse than popularity: {told}.", popularity, active, version
            )
        reasons = [
            f"Too little data to tell whether it beats popularity, with under {SURE_FROM} users; it is not"
            f" surely worse: {told}."
            if low <= 0
            else f"It beats popularity: {told}."
        ]
    if version is None:
        reasons.append("There is no active version to compare with.")
    elif active is None:
        reasons.append(
            f"Too little to compare with the active version {version} by: {new_users} users came to like"
            f" something after its training, and fewer than {FEWEST_USERS} say little."
        )
    else:
        for name, (mean, _, high) in active.differences.items():
            allowed = tolerance * active.theirs[name]
            if high < 0 and mean < -allowed:
                reason = (
                    f"It is worse than the active version {version} by more than {tolerance:.0%}:"
                    f" {_told(name, active, 'it')}, among {active.users} users."
                )
                return Verdict(REJECTED, reason, popularity, active, version)
        reasons.append(
            f"It is not worse than the active version {version}: {_told('ndcg_at_10', active, 'it')},"
            f" among {active.users} users."
        )
    return Verdict(PASSED, " ".join(reasons), popularity, active, version)


def _told(name: str, compared: Comparison, other: str) -> str:
    mean, low, high = compared.differences[name]
    return (
        f"{_NAMES[name]} {compared.ours[name]:.4f} against {compared.theirs[name]:.4f} of {other}"
        f" (difference {mean:+.4f}, {comparison.LEVEL:.1%} interval {low:+.4f} to {high:+.4f})"
    )


def _other(compared: Comparison) -> dict[str, Any]:
    return {
        "users": compared.users,
        **_rounded(compared.theirs),
        "candidate": _rounded(compared.ours),
        "difference": {
            name: dict(zip(("mean", "low", "high"), (round(value, 5) for value in of_metric), strict=True))
            for name, of_metric in compared.differences.items()
        },
    }


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in values.items()}
