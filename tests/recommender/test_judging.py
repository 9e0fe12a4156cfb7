"""Voices are judged by some users, and the best of them by others too."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.recommender.examples import History
from recsvc.recommender.judging import Judge, Jury
from recsvc.recommender.voices.popularity import Popularity

ITEMS = 40


class Other(Popularity):
    """A voice of another kind."""


def first(item: int, kind: type[Popularity] = Popularity) -> Popularity:
    """A voice that puts one item first, and the others where nobody looks for them."""
    return kind(np.where(np.arange(ITEMS) == item, 1, 0).astype(np.float32))


def jury(*wanted: int) -> Jury:
    """Each user wants one item; what they know comes last by any voice, so that it is in nobody's way."""
    nothing = History(np.array([ITEMS - 1]), np.ones(1, np.float32))
    return Jury([nothing] * len(wanted), [np.array([item]) for item in wanted])


# Items 0 to 19 follow the first: who wants 1 finds it second, with a gain of 1 / log2(3).
SECOND = 1 / np.log2(3)


def test_a_voices_quality_is_its_mean_ndcg_among_all():
    judge = Judge(jury(0, 30), jury(1, 1), threads=1)

    assert judge(first(0)) == pytest.approx((1 + 0 + SECOND + SECOND) / 4)


def test_where_there_are_no_others_some_judge_alone():
    assert Judge(jury(0, 30), jury(), threads=1)(first(0)) == pytest.approx(0.5)


def test_a_voice_that_is_surely_worse_is_not_judged_by_others():
    # By all of some the first is the better, and by the others, who are not asked, the second.
    judge = Judge(jury(0, 0, 0, 0), jury(*[30] * 8), threads=1)
    assert judge(first(0)) == pytest.approx(4 / 12)

    # So far below the best as it is by some: 0 now comes second.
    assert judge(first(30)) == pytest.approx(4 / 12 - (1 - SECOND))


def test_a_voice_that_may_be_the_best_is_judged_by_others():
    judge = Judge(jury(0, 0, 30), jury(*[0] * 9), threads=1)
    judge(first(30))

    # By some it is worse by 0.09, which is less than the standard error of 0.37. 30 is not among the
    # twenty first of a voice that puts 0 there.
    assert judge(first(0)) == pytest.approx(11 / 12)


def test_a_voice_that_is_found_the_best_is_what_later_ones_are_compared_with():
    judge = Judge(jury(0, 0, 30), jury(*[0] * 9), threads=1)
    judge(first(30))
    judge(first(0))

    # By some it is better than the second, which the others made the best.
    assert judge(first(30)) == pytest.approx((1 + 11 * SECOND) / 12)


def test_voices_of_one_kind_are_not_compared_with_those_of_another():
    judge = Judge(jury(0, 0, 0, 0), jury(*[30] * 8), threads=1)
    judge(first(0))

    assert judge(first(30, Other)) == pytest.approx((4 * SECOND + 8) / 12)


def test_the_time_that_judging_takes_is_told():
    judge = Judge(jury(0), jury(1), threads=1)
    assert judge.seconds == 0

    judge(first(0))
    assert judge.seconds > 0
