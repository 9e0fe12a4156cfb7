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


class Opinion(ABC):
    """What a voice says of items, given a history of h items.

    Attributes:
        history: Of the user.
    """

    history: History

    @abstractmethod
    def score(self, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """Scores items.

        Args:
            items: Item indexes, shape (c,).

        Returns:
            float32, shape (c,).
        """

    @abstractmethod
    def shares(self, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """What each item of the history adds to the scores.

        Args:
            items: Item indexes, shape (c,).

        Returns:
            float32, shape (h, c).
        """

    def score_without_each(
        self, places: NDArray[np.intp], items: NDArray[np.intp], shares: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Scores items for the history without one of its items at a time.

        Here a score is the sum of its shares, and those of the other items change by their places alone.

        Args:
            places: In the history, of the items to leave out, shape (p,).
            items: Item indexes, shape (c,).
            shares: As `shares` gave them for these items.

        Returns:
            float32, shape (p, c); (1, c) where they are the same without any of them.
        """
        changes = self.history.weights_without_each(places) / self.history.weights
        return (changes @ shares).astype(np.float32, copy=False)


class Voice(ABC):
    """One way of scoring items for a history. Fitted by a worker, served from mapped arrays.

    Attributes:
        name: As settings and a version's files name it.
        speaks_of_cold: Whether it scores items without any interaction.
    """

    name: ClassVar[str]
    speaks_of_cold: ClassVar[bool] = False

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
    def opinion(self, history: History) -> Opinion:
        """Works out of a history what every item's score needs, once for all items.

        Args:
            history: Of one user; something in it is liked, or the user has features.
        """

    def score(self, history: History, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """Scores items, shape (c,), for one history; float32, shape (c,)."""
        return self.opinion(history).score(items)

    @abstractmethod
    def score_all(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """The same for all items and many users at once, float32, shape (histories, items)."""

    def served(self) -> Self:
        """The voice as a web process has it; here as it was fitted."""
        return self

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
