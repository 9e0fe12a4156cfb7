"""The best of some variations. A voice here is its parameters, and its quality is told by a table."""

from __future__ import annotations

import pytest

from recsvc.recommender.variations import Variations


def variations_of(quality, start) -> tuple[Variations, list]:
    tried: list = []

    def judge(parameters):
        tried.append(tuple(parameters.values()))
        return quality(**parameters)

    return Variations(lambda parameters: parameters, judge, start), tried


def test_all_combinations_of_what_is_varied_together_are_tried():
    variations, tried = variations_of(lambda a, b: a * b, {"a": 0, "b": 0})

    variations.vary(a=[1, 2], b=[-3, 3])

    assert tried == [(1, -3), (1, 3), (2, -3), (2, 3)]
    assert variations.best() == ({"a": 2, "b": 3}, {"a": 2, "b": 3})


def test_later_variations_start_from_the_best_so_far_and_try_nothing_twice():
    variations, tried = variations_of(lambda a, b: -((a - 2) ** 2) - (b - a) ** 2, {"a": 0, "b": 0})

    variations.vary(a=[0, 1, 2])  # -4, -2, -4
    variations.vary(b=[0, 1, 2])  # -2, -1, -2

    assert tried == [(0, 0), (1, 0), (2, 0), (1, 1), (1, 2)]
    assert variations.best()[1] == {"a": 1, "b": 1}


def test_of_equals_the_first_is_kept():
    variations, _ = variations_of(lambda a: 7, {"a": 0})

    variations.vary(a=[3, 1, 2])

    assert variations.best()[1] == {"a": 3}


def test_nothing_tried_has_no_best():
    variations, _ = variations_of(lambda a: 7, {"a": 0})

    with pytest.raises(ValueError, match="nothing was tried"):
        variations.best()
