"""Why an item is on a list: shares that add up, and interactions without which it would score less."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsvc.recommender.explain import MOST_NAMED, Reason, explain
from recsvc.recommender.model import Model
from recsvc.recommender.relations import Relations
from recsvc.recommender.selection import Selection
from recsvc.recommender.voices.neighbours import Neighbours

# Of the shop's items, 280 to 289 are liked by nobody; item i has the features i % 5 and 9, as places 0 to 5.
EVERY = Selection(np.ones(290, dtype=bool), None, np.empty(0, np.intp))


def features_of(items) -> list[list[int]]:
    return [[item % 5, 9] for item in items.tolist()]


def told(model, history, items, features=None, newcomers=None, *, longer=None) -> list[list[Reason]]:
    prepared = model.prepare(history, newcomers)
    scores = model.scores(prepared, items) if prepared.opinions else model.popularity[items]
    return explain(model, prepared, items, scores, features or features_of(items), longer=longer)


@pytest.fixture(scope="module", params=[0.0, 0.75], ids=["all alike", "the newest more"])
def any_model(request, shop_model) -> Model:
    return replace(shop_model, blend=replace(shop_model.blend, recency=request.param))


@pytest.fixture(scope="module")
def some_histories(history_of):
    random = np.random.default_rng(4)
    histories = []
    for _ in range(100):
        length = int(random.integers(1, 25))
        items = random.choice(290, length, replace=False).tolist()
        strengths = random.uniform(0.2, 3, length) * random.choice([1, 1, 1, -1], length)
        strengths[0] = 1
        features = random.choice(6, random.integers(0, 3), replace=False)
        histories.append(history_of(dict(zip(items, strengths.tolist(), strict=True)), features))
    return histories


def test_shares_are_thousandths_that_add_up_to_one_greatest_first(any_model, some_histories):
    for history in some_histories:
        items, _ = any_model.recommend(history, 10, EVERY)

        for reasons in told(any_model, history, items):
            thousandths = [round(share * 1000) for _, _, share in reasons]
            assert [share for _, _, share in reasons] == [part / 1000 for part in thousandths]
            assert sum(thousandths) == 1000
            assert thousandths == sorted(thousandths, reverse=True)
            assert min(thousandths) > 0


def test_without_a_named_interaction_the_item_scores_less(any_model, some_histories, without):
    named = 0
    for history in some_histories[:30]:
        items, _ = any_model.recommend(history, 5, EVERY)
        scores = any_model.scores(any_model.prepare(history), items)

        for column, reasons in enumerate(told(any_model, history, items)):
            places = [place for because, place, _ in reasons if because == "interaction"]
            assert len(places) <= MOST_NAMED
            for place in places:
                shorter = without(history, place)
                if any_model.knows_user(shorter):
                    assert any_model.scores(any_model.prepare(shorter), items)[column] < scores[column]
                named += 1
    assert named > 100


def test_where_an_older_item_moves_up_without_a_named_interaction_the_item_scores_less_all_the_same(
    any_model, some_histories, without
):
    named, without_effect = 0, 0
    for longer in some_histories[:60]:
        last = len(longer.indexes) - 1
        history = without(longer, last)
        if not history.liked:
            continue
        items, _ = any_model.recommend(history, 5, EVERY)
        scores = any_model.scores(any_model.prepare(history), items)

        def falls(column, place, history, items=items, scores=scores):
            prepared = any_model.prepare(without(history, place))
            return any_model.scores(prepared, items)[column] < scores[column]

        for column, reasons in enumerate(told(any_model, history, items, longer=longer)):
            places = [place for because, place, _ in reasons if because == "interaction"]
            assert all(falls(column, place, longer) for place in places)
            named += len(places)
        for column, reasons in enumerate(told(any_model, history, items)):
            places = [place for because, place, _ in reasons if because == "interaction"]
            without_effect += sum(not falls(column, place, longer) for place in places)
    assert named > 100
    # Asked about the history alone, some are named for which another would stand in.
    assert without_effect > 0


@pytest.mark.parametrize(("of_the_older", "because"), [(0.5, "interaction"), (1, "history"), (2, "history")])
def test_an_item_is_named_only_if_more_is_related_to_it_than_to_the_older_that_moves_up(
    model_of, history_of, of_the_older, because
):
    # Item 2 is related to item 0 by 1, and to item 1, which stands behind it.
    bounds, weights = np.array([0, 1, 2, 2]), np.array([1, of_the_older], np.float32)
    related = Relations(bounds, np.array([2, 2], np.int32), weights, np.ones(3, np.float32))
    model = model_of([1] * 3, {"neighbours": Neighbours(related)}, [1])

    (reasons,) = told(model, history_of({0: 1}), np.array([2]), longer=history_of({0: 1, 1: 1}))

    assert [reason[0] for reason in reasons] == [because]


def test_no_items_have_no_reasons(shop_model, history_of):
    assert told(shop_model, history_of({3: 1}), np.empty(0, np.intp)) == []


@pytest.mark.parametrize("strengths", [{}, {3: -1}])
def test_of_whom_nothing_is_known_is_told_that_it_is_popular(shop_model, history_of, strengths):
    reasons = told(shop_model, history_of(strengths), np.array([5, 6]))

    assert reasons == [[("popular", -1, 1.0)]] * 2


def test_where_a_score_is_the_same_without_it_no_interaction_is_named(model_of, hybrid_of, history_of):
    # Of items that are all alike, LightFM's vector is stretched to the same, whichever is taken out.
    model = model_of([1] * 6, {"lightfm": hybrid_of([[0.37]] * 6)}, [1])
    random = np.random.default_rng(2)

    for _ in range(20):
        history = history_of(dict(enumerate(random.uniform(0.2, 3, 5).tolist())))
        assert told(model, history, np.array([5]), [[]]) == [[("history", -1, 1.0)]]


def test_history_and_popularity_have_the_shares_of_their_terms(
    model_of, hybrid_of, popularity_of, history_of
):
    # LightFM's vector is (4, 0): the history adds 4 · 0.75 = 3 to item 1; popularity ln(1 + 1) / ln 2 = 1.
    voices = {"lightfm": hybrid_of([[1, 0], [0.75, 1]]), "popularity": popularity_of([1, 1])}
    model = model_of([1, 1], voices, [1, 1 / np.log(2)])

    (reasons,) = told(model, history_of({0: 1}), np.array([1]), [[]])

    assert reasons == [("interaction", 0, 0.75), ("popular", -1, 0.25)]


def test_what_speaks_against_an_item_has_no_share(model_of, hybrid_of, popularity_of, history_of):
    voices = {"lightfm": hybrid_of([[1, 0], [-1, 1]]), "popularity": popularity_of([1, 1])}
    model = model_of([1, 1], voices, [1, 1])

    (reasons,) = told(model, history_of({0: 1}), np.array([1]), [[]])

    assert reasons == [("popular", -1, 1.0)]


def test_features_of_a_user_are_named_by_their_places(model_of, hybrid_of, popularity_of, history_of):
    # Two features by 1 / √2: of item 0 the first says 3 and the second 1.
    hybrid = hybrid_of([[1, 1]], user_features=[[9, 9], [3, 0], [0, 1]])
    model = model_of([0 + 1], {"lightfm": hybrid}, [1])

    (reasons,) = told(model, history_of({}, [1, 2]), np.array([0]), [[]])

    assert reasons == [("user_feature", 0, 0.75), ("user_feature", 1, 0.25)]


def test_only_features_of_a_user_can_be_told_whatever_voices_there_are(shop_model, history_of):
    history = history_of({}, [2, 5])
    items, _ = shop_model.recommend(history, 10, EVERY)

    for reasons in told(shop_model, history, items):
        assert {because for because, _, _ in reasons} <= {"user_feature", "popular", "item_feature"}


@pytest.fixture
def with_cold(model_of, hybrid_of):
    """Item 2 is liked by nobody and has the features 50 and 60, the first adding three times as much."""
    hybrid = hybrid_of([[1, 0], [0, 1], [0.8, 0]], item_features=[[0.9, 0, 0], [0.3, 0, 0]])
    return model_of([1, 1, 0], {"lightfm": hybrid}, [1], slopes=[1], item_feature_keys=[50, 60])


def test_a_cold_item_is_told_through_its_features(with_cold, history_of):
    (reasons,) = told(with_cold, history_of({0: 1}), np.array([2]), [[60, 50]])

    assert reasons == [("item_feature", 1, 0.75), ("item_feature", 0, 0.25)]


def test_beside_the_features_of_a_cold_item_those_of_the_user_are_named_by_their_places(
    model_of, hybrid_of, history_of
):
    hybrid = hybrid_of(
        [[1, 0], [0, 1], [0.8, 0]],
        item_features=[[0.9, 0, 0], [0.3, 0, 0]],
        user_features=[[9, 9], [3, 0], [1, 0]],
    )
    model = model_of([1, 1, 0], {"lightfm": hybrid}, [1], slopes=[1], item_feature_keys=[50, 60])

    (reasons,) = told(model, history_of({0: 1}, [1, 2]), np.array([2]), [[60, 50]])

    share_of = {(because, place): share for because, place, share in reasons}
    assert share_of.keys() == {
        ("item_feature", 0),
        ("item_feature", 1),
        ("user_feature", 0),
        ("user_feature", 1),
    }
    assert share_of["user_feature", 0] == pytest.approx(3 * share_of["user_feature", 1], abs=0.002)


def test_a_feature_that_the_model_does_not_know_explains_nothing(with_cold, history_of):
    (reasons,) = told(with_cold, history_of({0: 1}), np.array([2]), [[77, 50]])

    assert reasons == [("item_feature", 1, 1.0)]


def test_a_list_of_cold_items_alone_can_be_told(shop_model, history_of):
    for reasons in told(shop_model, history_of({3: 1, 8: 1, 13: 2}), np.array([283, 288])):
        # Besides what is the same for all, nothing but its feature of taste speaks for it.
        assert {because for because, _, _ in reasons} == {"item_feature", "popular"}


def test_nothing_that_a_user_did_or_is_speaks_for_an_item_of_which_nothing_is_known(shop_model, history_of):
    """It only fills the list, whatever the mean of all items would be to the user."""
    newcomers = shop_model.introduce(shop_model.foretell([[], [77], [3]]))
    items = np.array([3, 283, 290, 291, 292])

    labels = [*features_of(items[:2]), [], [77], [3]]

    hot, cold, *nameless, later = told(
        shop_model, history_of({8: 1, 13: 2, 18: -1}, [3]), items, labels, newcomers
    )

    assert nameless == [[("popular", -1, 1.0)]] * 2
    assert {because for because, _, _ in hot} >= {"interaction", "user_feature"}
    assert {because for because, _, _ in cold} >= {"item_feature", "user_feature"}
    assert {because for because, _, _ in later} >= {"item_feature", "user_feature"}


def test_where_the_model_learned_no_feature_a_new_item_with_one_can_be_told(model_of, hybrid_of, history_of):
    model = model_of([1, 1], {"lightfm": hybrid_of([[1, 0], [0, 1]])}, [1], slopes=[1])
    newcomers = model.introduce(model.foretell([[77]]))

    (reasons,) = told(model, history_of({0: 1}), np.array([2]), [[77]], newcomers)

    assert sum(share for _, _, share in reasons) == 1
