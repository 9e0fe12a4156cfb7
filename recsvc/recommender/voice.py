"""What a voice is: one way of scoring items for a history."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.examples import Examples, History

Arrays = dict[str, NDArray[Any]]
Parameters = dict[str, Any]
OnProgress = Callable[[float], None]


class Voice(ABC):
    """One way of scoring items for a history. Fitted by a worker, served from mapped arrays.

    Attributes:
        name: As settings and a version's files name it.
        speaks_of_cold: Whether it scores items without any interaction.
        adds_up: Whether a score is the sum of what `shares` tells, so that an item can be left out of a
            history by subtraction.
    """

    name: ClassVar[str]
    speaks_of_cold: ClassVar[bool] = False
    adds_up: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def choose(
        cls,
        examples: Examples,
        judge: Callable[[Self], float] | None,
        limits: Parameters,
        on_progress: OnProgress,
    ) -> tuple[Self, Parameters] | None:
        """Finds parameters that suit the data.

        Args:
            examples: What to learn from.
            judge: From a fitted voice to how well it foretells what was held out, more is better; None where
                too little could be held out to tell.
            limits: What settings say of the voice.
            on_progress: Told the part that is done, 0 to 1. May raise, which ends the search.

        Returns:
            The best fitted voice and its parameters; None where the voice does not suit data of this size.
        """

    @classmethod
    @abstractmethod
    def fit(cls, examples: Examples, parameters: Parameters, on_progress: OnProgress) -> Self:
        """Learns.

        Args:
            examples: What to learn from.
            parameters: As `choose` found them.
            on_progress: Told the part that is done, 0 to 1. May raise, which ends the fit.
        """

    @abstractmethod
    def prepare(self, history: History) -> Any:
        """Works out of a history what every item's score needs, once for all items.

        Args:
            history: Of one user; something in it is liked, or the user has features.

        Returns:
            Whatever `score_prepared` takes.
        """

    def prepare_without_each(self, history: History, places: NDArray[np.intp]) -> NDArray[Any]:
        """The same for the history without one of its items at a time.

        Args:
            history: Of one user.
            places: In the history, of the items to leave out, shape (p,).

        Returns:
            What `prepare` gives for each, one below the other.
        """
        return np.stack([self.prepare(history.without(place)) for place in places.tolist()])

    @abstractmethod
    def score_prepared(self, prepared: Any, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """Scores items.

        Args:
            prepared: As `prepare` gave it.
            items: Item indexes, shape (c,).

        Returns:
            float32, shape (c,).
        """

    def score(self, history: History, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """Scores items for one history.

        Args:
            history: Of one user; something in it is liked, or the user has features.
            items: Item indexes, shape (c,).

        Returns:
            float32, shape (c,).
        """
        return self.score_prepared(self.prepare(history), items)

    @abstractmethod
    def score_all(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """The same for all items and many users at once, float32, shape (histories, items)."""

    @abstractmethod
    def shares(self, history: History, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """What each item of the history adds to the scores.

        Args:
            history: Of one user.
            items: Item indexes, shape (c,).

        Returns:
            float32, shape (h, c).
        """

    @abstractmethod
    def arrays(self) -> Arrays:
        """What has to be kept to serve it."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], items: int) -> Self:
        """Takes the arrays as they were mapped.

        Args:
            arrays: As `arrays` named them.
            items: How many items the model has.

        Raises:
            ValueError: One is missing, or their shapes do not fit together.
        """


def checked(arrays: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    """Arrays of exactly these names and shapes; -1 takes any length.

    Raises:
        ValueError: One is missing, or has another shape.
    """
    missing = sorted(shapes.keys() - arrays.keys())
    if missing:
        raise ValueError(f"arrays are missing: {', '.join(missing)}")
    for name, shape in shapes.items():
        found = arrays[name].shape
        if len(found) != len(shape) or any(
            wanted not in (-1, length) for wanted, length in zip(shape, found, strict=True)
        ):
            raise ValueError(f"{name} has shape {found}, not {shape}")
    return {name: arrays[name] for name in shapes}
