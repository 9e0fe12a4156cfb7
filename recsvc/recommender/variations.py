"""Trying variations of a voice's parameters, keeping what foretells best."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from recsvc.recommender.voice import Parameters, Voice

AnyVoice = TypeVar("AnyVoice", bound=Voice)


class Variations(Generic[AnyVoice]):
    """The best voice so far, and its parameters.

    Args:
        make: Makes a voice of parameters.
        judge: How well a voice foretells what was held out; more is better.
        start: The parameters that are varied first.
    """

    def __init__(
        self, make: Callable[[Parameters], AnyVoice], judge: Callable[[AnyVoice], float], start: Parameters
    ) -> None:
        self._make = make
        self._judge = judge
        self._tried: list[Parameters] = []
        self._quality = -1.0
        self.voice: AnyVoice | None = None
        self.parameters = start

    def vary(self, **choices: Sequence[Any]) -> None:
        """Tries all combinations of some choices, everything else being as it was best so far."""
        present = self.parameters
        for values in itertools.product(*choices.values()):
            variant = {**present, **dict(zip(choices, values, strict=True))}
            if variant in self._tried:
                continue
            self._tried.append(variant)
            voice = self._make(variant)
            quality = self._judge(voice)
            if self.voice is None or quality > self._quality:
                self._quality, self.voice, self.parameters = quality, voice, variant

    def best(self) -> tuple[AnyVoice, Parameters]:
        """The best voice, and its parameters.

        Raises:
            ValueError: Nothing was tried.
        """
        if self.voice is None:
            raise ValueError("nothing was tried")
        return self.voice, self.parameters
