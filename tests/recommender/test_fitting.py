"""From interactions to a model: two tastes are told apart, and too little data is not asked."""

from __future__ import annotations

import time

import numpy as np
import pytest

from recsvc.recommender import fitting
from recsvc.recommender.examples import Examples, History
from recsvc.recommender.interactions import EventScale, InteractionColumns, InteractionMatrix, build_matrix
from recsvc.recommender.model import Model
from recsvc.recommender.selection import Selection
from recsvc.recommender.split import hold_out_latest
from recsvc.recommender.voices import voices

DAY = 86_400_000_000
LIMIT = {
    "components": 8,
    "epochs": 6,
    "learning_rate": 0.05,
    "alpha": 1e-5,
    "max_sampled": 10,
    "neighbours": 40,
    "factors": 64,
}
LIMITS = dict.fromkeys(voices(), LIMIT)
SCALE = EventScale(np.ones(1, np.float32), -1, 0, 1)


def columns_of(
    users: int, items: int, *, one_moment: bool = False, each: int | np.ndarray | None = None
) -> InteractionColumns:
    """Each user likes about half of the items of one of two tastes, or so many: even users even items."""
    random = np.random.default_rng(2)
    alike = np.arange(users)[:, None] % 2 == np.arange(items) % 2
    chance = np.where(alike, random.random((users, items)), 1)
    chosen = chance < 0.5 if each is None else chance.argsort(axis=1).argsort(axis=1) < each
    liking, liked = np.nonzero(chosen)
    moments = random.integers(0, 100, len(liking)) * DAY
    return InteractionColumns(
        liking.astype(np.int32),
        liked.astype(np.int32),
        np.zeros(len(liking), np.int16),
        np.ones(len(liking), np.float32),
        np.zeros_like(moments) if one_moment else moments,
    )


def prepared(users: int, items: int, labelled, **options):
    columns = columns_of(users, items, **options)
    matrix = build_matrix(columns, SCALE, np.arange(items, dtype=np.int32))
    found_users, found_items = matrix.strengths.shape
    examples = Examples(
        matrix.strengths, matrix.ages, labelled(found_items, {}), labelled(found_users, {}), seed=1, threads=1
    )
    return columns, matrix, examples


def unseen(model: Model, history) -> Selection:
    return Selection(np.ones(len(model), dtype=bool), None, history.indexes)


def ignore(done: float) -> None:
    pass


@pytest.fixture(scope="module")
def two_tastes(labelled):
    columns, matrix, examples = prepared(80, 40, labelled)
    held_out = fitting.hold_out(matrix, columns, seed=1)
    told: list[float] = []
    choice = fitting.choose(matrix, examples, held_out, LIMITS, told.append)
    return matrix, examples, choice, told


def test_two_tastes_are_told_apart_from_choice_to_list(two_tastes, history_of):
    matrix, examples, choice, _ = two_tastes

    model = fitting.fit(matrix, examples, choice.parameters, choice.blend, ignore)

    for taste in (0, 1):
        history = history_of({taste: 1, taste + 2: 1, taste + 4: 1})
        items, scores = model.recommend(history, 10, unseen(model, history))
        assert (items % 2 == taste).all()
        assert np.isfinite(scores).all()


def test_what_is_fitted_to_look_by_is_a_fit_and_looks_are_judging(labelled, monkeypatch):
    columns, matrix, examples = prepared(80, 40, labelled)
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    look, fit = fitting.Jury.ndcg, fitting.fit_plain
    looks = 0

    def look_for_ten_seconds(*given):
        nonlocal now, looks
        now, looks = now + 10, looks + 1
        return look(*given)

    def fit_for_a_thousand(*given):
        nonlocal now
        now += 1_000
        return fit(*given)

    monkeypatch.setattr(fitting.Jury, "ndcg", look_for_ten_seconds)
    monkeypatch.setattr(fitting, "fit_plain", fit_for_a_thousand)

    held_out = fitting.hold_out(matrix, columns, seed=1)
    choice = fitting.choose(matrix, examples, held_out, {"neighbours": LIMIT}, ignore)

    assert (choice.fit_seconds, choice.judging_seconds) == (1_000, 10 * looks)


def test_what_was_chosen_says_how_good_it_is(two_tastes):
    matrix, examples, choice, _ = two_tastes

    told = fitting.describe(matrix, examples, choice)

    assert told["held_out_users"] == len(choice.held_out.user_indexes) >= 20
    assert told["fit_seconds"] >= 0
    assert told["judging_seconds"] > 0
    assert set(told["voices"]) == set(choice.voices) - {"popularity"}
    assert told["ndcg_at_20"] > 1.2 * told["popularity"]["ndcg_at_20"]
    for means in (told, told["popularity"], *told["voices"].values()):
        assert all(0 <= means[name] <= 1 for name in ("recall_at_20", "ndcg_at_10", "ndcg_at_20"))


def test_a_voice_that_does_not_suit_data_of_this_size_is_left_out(two_tastes):
    # 40 items are not enough for the fewest components of ALS.
    _, _, choice, _ = two_tastes

    assert list(choice.voices) == list(choice.parameters) == sorted(choice.voices)
    assert {*choice.voices, *choice.left_out} == set(LIMITS) - {"als"}
    assert choice.blend.weights.shape[1] == len(choice.voices)


def test_progress_goes_from_nothing_to_all_and_never_back(two_tastes):
    *_, told = two_tastes

    assert told == sorted(told)
    assert 0 <= told[0] <= told[-1] <= 1
    assert told[-1] > 0.9


def test_too_few_users_make_all_voices_count_alike_and_nothing_is_claimed(labelled, history_of):
    columns, matrix, examples = prepared(10, 30, labelled)
    held_out = fitting.hold_out(matrix, columns, seed=1)

    choice = fitting.choose(matrix, examples, held_out, LIMITS, ignore)
    model = fitting.fit(matrix, examples, choice.parameters, choice.blend, ignore)

    assert held_out is None
    assert fitting.describe(matrix, examples, choice) is None
    assert choice.blend.lengths.tolist() == [1]
    history = history_of({0: 1, 2: 1})
    assert len(model.recommend(history, 5, unseen(model, history))[0]) == 5


@pytest.mark.parametrize("likes", [[[1]], [[1, 1]], [[1], [1]], [[1, 0], [0, 1]]], ids=str)
def test_the_smallest_shops_have_a_model_without_nan(examples_of, history_of, likes):
    examples = examples_of(likes)
    users, items = examples.strengths.shape
    matrix = InteractionMatrix(
        np.arange(users, dtype=np.int32), np.arange(items, dtype=np.int32), examples.strengths, examples.ages
    )

    choice = fitting.choose(matrix, examples, None, LIMITS, ignore)
    model = fitting.fit(matrix, examples, choice.parameters, choice.blend, ignore)

    every = Selection(np.ones(items, dtype=bool), None, np.empty(0, np.intp))
    found, scores = model.recommend(history_of({0: 1}), 9, every)
    assert sorted(found.tolist()) == list(range(items))
    assert np.isfinite(scores).all()


def test_where_the_only_voice_wanted_does_not_suit_the_data_it_is_said_as_an_error(labelled):
    _, matrix, examples = prepared(10, 30, labelled)

    with pytest.raises(ValueError, match="voice"):
        fitting.choose(matrix, examples, None, {"als": LIMIT}, ignore)


@pytest.mark.parametrize("after", [1, 5, 12])
def test_whoever_is_told_of_progress_can_end_the_choice(labelled, after):
    columns, matrix, examples = prepared(80, 40, labelled)
    told: list[float] = []

    def stop(done: float) -> None:
        told.append(done)
        if len(told) == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitting.choose(matrix, examples, fitting.hold_out(matrix, columns, seed=1), LIMITS, stop)
    assert len(told) == after


def test_whoever_is_told_of_progress_can_end_the_fit(two_tastes):
    matrix, examples, choice, _ = two_tastes

    def stop(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitting.fit(matrix, examples, choice.parameters, choice.blend, stop)


def moments_of_rest_and_held(columns, matrix, held_out):
    at = {}
    for user, item, moment in zip(columns.user_keys, columns.item_keys, columns.occurred_at, strict=True):
        at[int(user), int(item)] = int(moment)
    held = [
        at[int(matrix.user_keys[user]), int(matrix.item_keys[item])]
        for user, items in zip(held_out.user_indexes, held_out.relevant, strict=True)
        for item in items
    ]
    rest = held_out.strengths.tocoo()
    left = [at[int(matrix.user_keys[u]), int(matrix.item_keys[i])] for u, i in zip(*rest.coords, strict=True)]
    return left, held


def test_where_times_tell_what_the_near_future_brought_is_held_out(labelled):
    columns, matrix, _ = prepared(700, 40, labelled)

    held_out = fitting.hold_out(matrix, columns, seed=1)

    left, held = moments_of_rest_and_held(columns, matrix, held_out)
    assert max(left) < min(held)
    assert len(held_out.user_indexes) >= 300


@pytest.mark.parametrize(("users", "one_moment"), [(700, True), (80, False)], ids=["one moment", "few users"])
def test_else_what_each_user_liked_last_is_held_out(labelled, users, one_moment):
    columns, matrix, _ = prepared(users, 40, labelled, one_moment=one_moment)

    held_out = fitting.hold_out(matrix, columns, seed=1)

    assert len(held_out.user_indexes) >= 20
    lengths = np.diff(matrix.strengths.indptr)[held_out.user_indexes]
    counts = np.array([len(items) for items in held_out.relevant])
    assert (counts >= 1).all()
    assert (counts <= np.maximum(1, np.ceil(0.2 * lengths))).all()


@pytest.mark.parametrize("one_moment", [False, True], ids=["by time", "each user's latest"])
@pytest.mark.parametrize(
    ("users", "share"), [(4_900, 0.2), (7_000, 0.1)], ids=["fewer users", "users enough"]
)
def test_where_users_enough_are_left_to_judge_half_as_much_is_held_out(labelled, users, share, one_moment):
    columns, matrix, _ = prepared(users, 80, labelled, one_moment=one_moment)

    held_out = fitting.hold_out(matrix, columns, seed=1)

    assert 1 - held_out.strengths.nnz / matrix.strengths.nnz == pytest.approx(share, abs=0.01)
    assert len(held_out.user_indexes) <= 5_000


@pytest.mark.parametrize("each", [2, 4])
def test_a_shop_whose_users_like_few_items_is_chosen_for_too(labelled, each):
    columns, matrix, examples = prepared(200, 30, labelled, each=each)

    held_out = fitting.hold_out(matrix, columns, seed=1)
    choice = fitting.choose(matrix, examples, held_out, {"neighbours": LIMIT, "popularity": LIMIT}, ignore)

    assert held_out.strengths.nnz == pytest.approx(0.8 * matrix.strengths.nnz, rel=0.08)
    assert np.diff(held_out.strengths.indptr).min() >= 1
    assert choice.held_out is not None
    # By neighbours alone who likes even items is told from who likes odd ones.
    history = History(np.array([0]), np.ones(1, np.float32))
    model = fitting.fit(matrix, examples, choice.parameters, choice.blend, ignore)
    assert (model.recommend(history, 5, unseen(model, history))[0] % 2 == 0).all()


@pytest.mark.parametrize(
    ("others", "short", "judging"), [(40, 900, {2, 10}), (40, 100, {10}), (400, 900, {10})]
)
def test_users_with_few_items_judge_where_the_others_are_not_enough(labelled, others, short, judging):
    each = np.repeat([[10], [2]], [others, short], axis=0)
    columns, matrix, _ = prepared(others + short, 30, labelled, one_moment=True, each=each)

    held_out = fitting.hold_out(matrix, columns, seed=1)

    lengths = np.diff(matrix.strengths.indptr)[held_out.user_indexes]
    assert set(lengths.tolist()) == judging


def test_where_users_like_few_items_times_tell_too_what_the_near_future_brought(labelled):
    columns, matrix, _ = prepared(1_000, 30, labelled, each=4)

    held_out = fitting.hold_out(matrix, columns, seed=1)

    left, held = moments_of_rest_and_held(columns, matrix, held_out)
    assert max(left) < min(held)
    assert len(held_out.user_indexes) >= 300


def test_who_chooses_is_drawn_apart_from_who_judges_what_was_chosen(labelled, monkeypatch):
    monkeypatch.setattr(fitting, "_MOST_USERS", 40)
    columns, matrix, _ = prepared(400, 30, labelled, one_moment=True)

    choosing = fitting.hold_out(matrix, columns, seed=1).user_indexes
    evaluated = hold_out_latest(
        matrix, columns, share=0.1, fewest_items=5, most_users=40, seed=1
    ).user_indexes

    # By chance a tenth of the forty are among the others: four, with a deviation below two.
    assert len(choosing) == len(evaluated) == 40
    assert len({*choosing.tolist()} & {*evaluated.tolist()}) < 4 + 5 * 2


def test_who_judges_every_fit_goes_on_to_where_others_have_gone(labelled, monkeypatch):
    monkeypatch.setattr(fitting, "_SOME_USERS", 40)
    columns, matrix, examples = prepared(200, 30, labelled, one_moment=True)
    held_out = fitting.hold_out(matrix, columns, seed=1)

    def judging(left):
        choice = fitting.choose(matrix, examples, left, {"popularity": LIMIT}, ignore)
        return {*choice.held_out.user_indexes.tolist()}

    before = judging(held_out)
    gone = sorted(before)[0]
    after = judging(held_out.of(np.flatnonzero(held_out.user_indexes != gone)))

    assert len(before) == len(after) == 40
    assert before - after == {gone}
