"""What most users like, lately. The numbers are worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.recommender.voices.popularity import Popularity

LIKES = [[9, 1, 0, 0], [1, 0, 0, 2], [0.5, 0, 0, 0]]  # pairs: 0-0, 0-1, 1-0, 1-3, 2-0


def fit(examples, half_life=None) -> Popularity:
    return Popularity.fit(examples, {"half_life": half_life}, lambda done: None)


def test_users_are_counted_not_strengths(examples_of):
    assert fit(examples_of(LIKES)).scores == pytest.approx(np.log([4, 2, 1, 2]))


def test_a_like_counts_half_after_a_half_life(examples_of):
    voice = fit(examples_of(LIKES, ages=[10, 0, 20, 10, 0]), half_life=10.0)

    # Item 0: ½ + ¼ + 1; item 1: 1; item 3: ½.
    assert voice.scores == pytest.approx(np.log([2.75, 2, 1, 1.5]))


def test_ages_count_from_the_newest_like(examples_of):
    # As where the newest days were held out: 30 days ago is the newest there is.
    voice = fit(examples_of(LIKES, ages=[40, 30, 50, 40, 30]), half_life=10.0)

    assert voice.scores == pytest.approx(np.log([2.75, 2, 1, 1.5]))


def test_what_was_liked_long_ago_is_overtaken_by_what_is_liked_now(examples_of):
    likes = [[1, 0], [1, 0], [1, 1]]

    lately = fit(examples_of(likes, ages=[90, 90, 90, 0]), half_life=7.0).scores
    ever = fit(examples_of(likes, ages=[90, 90, 90, 0])).scores

    assert lately[1] > lately[0]
    assert ever[1] < ever[0]


def test_it_is_the_same_for_everybody(examples_of, history_of):
    voice = fit(examples_of(LIKES))
    histories = [history_of({0: 1}), history_of({3: -1}), history_of({})]

    assert voice.score_all(histories).tolist() == [voice.scores.tolist()] * 3
    assert voice.score(histories[1], np.array([3, 0])).tolist() == voice.scores[[3, 0]].tolist()


def test_nothing_of_it_comes_from_the_history(examples_of, history_of):
    assert not fit(examples_of(LIKES)).opinion(history_of({0: 1, 3: -1})).shares(np.arange(4)).any()


def test_the_half_life_is_the_one_that_foretells_best(examples_of):
    examples = examples_of(LIKES, ages=[10, 0, 20, 10, 0])

    voice, parameters = Popularity.choose(
        examples, lambda tried: -abs(tried.scores[0] - fit(examples, 60.0).scores[0]), {}, lambda done: None
    )

    assert parameters == {"half_life": 60.0}
    assert voice.scores.tolist() == fit(examples, 60.0).scores.tolist()


@pytest.mark.parametrize("judge", [None, lambda voice: 1.0], ids=["nothing to tell by", "all alike"])
def test_where_nothing_tells_old_likes_count_as_much_as_new_ones(examples_of, judge):
    examples = examples_of(LIKES, ages=[10, 0, 20, 10, 0])

    assert Popularity.choose(examples, judge, {}, lambda done: None)[1] == {"half_life": None}


def test_without_times_half_lives_are_not_tried(examples_of):
    judged = []

    Popularity.choose(examples_of(LIKES), lambda voice: judged.append(voice) or 1.0, {}, lambda done: None)

    assert len(judged) == 1


def test_where_nobody_likes_anything_all_items_score_zero(examples_of):
    assert fit(examples_of([[0, 0]]), 7.0).scores.tolist() == [0, 0]
