"""How a list comes of voices: exact, stable, never short, and the unknown last."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsvc.recommender import model as module
from recsvc.recommender.model import Model
from recsvc.recommender.relations import Relations
from recsvc.recommender.selection import Selection
from recsvc.recommender.voices.als import AlternatingLeastSquares
from recsvc.recommender.voices.item_weights import ItemWeights
from recsvc.recommender.voices.neighbours import Neighbours
from recsvc.recommender.voices.popularity import Popularity
from recsvc.recommender.voices.svd import TruncatedSVD

NOTHING = np.empty(0, np.intp)


def selection(items: int, *, members=None, excluded=(), hidden=()) -> Selection:
    recommendable = np.ones(items, dtype=bool)
    recommendable[list(hidden)] = False
    chosen = None if members is None else np.array(members, np.intp)
    return Selection(recommendable, chosen, np.array(excluded, np.intp))


def neighbours_of(rows) -> Neighbours:
    dense = np.array(rows, np.float32)
    places = [np.flatnonzero(row) for row in dense]
    return Neighbours(
        Relations(
            np.concatenate([[0], np.cumsum([len(of_row) for of_row in places])]).astype(np.int64),
            np.concatenate(places).astype(np.int32),
            np.concatenate([row[of_row] for row, of_row in zip(dense, places, strict=True)]),
            np.ones(len(dense), np.float32),
        )
    )


# --- what a list may hold


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"excluded": [3, 1, 3]}, [0, 2, 4]),
        ({"hidden": [0, 4]}, [1, 2, 3]),
        ({"members": [1, 3, 4]}, [1, 3, 4]),
        ({"members": [1, 3, 4], "excluded": [4, 0], "hidden": [1]}, [3]),
        ({"members": []}, []),
        ({"excluded": range(5)}, []),
    ],
)
def test_a_list_may_hold_what_is_shown_asked_for_and_not_excluded(options, expected):
    chosen = selection(5, **options)

    assert chosen.everything().tolist() == expected
    near, others = np.array([0, 3, 9, 1, 2], np.float32), np.array([4, 0, 4])
    of_near, related = chosen.nearest(near, others, 2)
    nearest = [item for item in (2, 1, 4, 3) if item in expected][:2]
    assert of_near.tolist() == sorted({*nearest, *(set(expected) & {0, 4})})
    assert related == len(nearest)


# --- a small catalogue, by hand


@pytest.fixture
def small(model_of, hybrid_of, popularity_of) -> Model:
    """Items 0 and 1 that somebody likes, and item 2 that nobody does; feature 50.

    For a history of item 0 alone LightFM's vector is (4, 0). With weights ½ and 2, slopes 1 and 0.1, and
    offsets 0 and 0.3, a cold item's score is 0.7 times LightFM's, and 0.6.
    """
    hybrid = hybrid_of([[1, 0], [0, 1], [0.5, 0]], biases=[0, 0, 0.25], item_features=[[0.25, 0, 0.1]])
    return model_of(
        [3, 1, 0],
        {"lightfm": hybrid, "popularity": popularity_of([3, 1, 0])},
        [0.5, 2],
        slopes=[1, 0.1],
        offsets=[0, 0.3],
        item_feature_keys=[50],
    )


def test_a_hot_item_has_the_weighted_sum_of_all_voices(small, history_of):
    items, scores = small.recommend(history_of({0: 1}), 9, selection(3, members=[0, 1]))

    assert items.tolist() == [0, 1]
    assert scores.tolist() == pytest.approx([0.5 * 4 + 2 * np.log(4), 2 * np.log(2)])


def test_a_cold_item_has_for_each_voice_what_is_foretold_from_the_one_that_speaks_of_it(small, history_of):
    # LightFM: 4 · ½ + ¼.
    items, scores = small.recommend(history_of({0: 1}), 9, selection(3, excluded=[0]))

    assert items.tolist() == [2, 1]
    assert scores.tolist() == pytest.approx([2.25 * 0.7 + 0.6, 2 * np.log(2)])


def test_an_item_that_came_after_the_model_enters_through_its_features(small, history_of):
    # Item 3 has feature 50, and one that the model does not know: 4 · ¼ + 0.1.
    newcomers = small.introduce(small.foretell([[50, 77]]))

    items, scores = small.recommend(history_of({0: 1}), 9, selection(4, excluded=[0]), newcomers)

    assert items.tolist() == [2, 1, 3]
    assert scores[2] == pytest.approx(1.1 * 0.7 + 0.6)


def test_items_of_which_nothing_is_known_come_last_and_in_order(small, history_of):
    newcomers = small.introduce(small.foretell([[], [77], [50]]))

    items, scores = small.recommend(history_of({0: 1}), 9, selection(6, excluded=[0]), newcomers)

    assert items.tolist() == [2, 1, 5, 3, 4]
    assert scores[3:].tolist() == [-1, -1]
    assert newcomers.has_features.tolist() == [True, False, False, True]


def test_items_of_which_nothing_is_known_come_after_those_that_score_below_zero(
    model_of, hybrid_of, history_of
):
    model = model_of([1, 1, 0], {"lightfm": hybrid_of([[1], [-5], [0]])}, [1], slopes=[1])

    items, scores = model.recommend(history_of({0: 1}), 9, selection(3, excluded=[0]))

    assert items.tolist() == [1, 2]
    assert scores.tolist() == pytest.approx([-20, -21])


def test_without_features_anywhere_a_cold_item_fills_the_list(model_of, popularity_of, history_of):
    likes = [2, 1, 0]
    related = neighbours_of([[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    model = model_of(likes, {"neighbours": related, "popularity": popularity_of(likes)}, [1, 0.1])

    newcomers = model.introduce(model.foretell([[50], []]))
    items, scores = model.recommend(history_of({0: 1}), 9, selection(5, excluded=[0]), newcomers)

    assert items.tolist() == [1, 2, 3, 4]
    assert np.isfinite(scores).all()


def test_only_features_of_a_user_are_enough_for_a_list_of_their_own(
    model_of, hybrid_of, popularity_of, history_of
):
    hybrid = hybrid_of([[1, 0], [0, 1]], user_features=[[0, 3], [3, 0]])
    model = model_of([9, 1], {"lightfm": hybrid, "popularity": popularity_of([9, 1])}, [1, 0.1])

    items, _ = model.recommend(history_of({}, [0]), 2, selection(2))
    others, _ = model.recommend(history_of({}, [1]), 2, selection(2))

    assert items.tolist() == [1, 0]
    assert others.tolist() == [0, 1]


def test_only_features_of_a_user_are_enough_whatever_voices_there_are(shop_model, history_of):
    # Feature t is the taste t; item i is of taste i % 5.
    for taste in range(5):
        items, scores = shop_model.recommend(history_of({}, [taste]), 20, selection(290))

        assert np.isfinite(scores).all()
        assert (items % 5 == taste).mean() > 0.5


@pytest.mark.parametrize("history", [{}, {0: -1}, {1: -2, 0: -1}], ids=["empty", "one dislike", "dislikes"])
def test_of_whom_nothing_is_known_gets_what_is_popular(shop_model, shop, history_of, history):
    items, scores = shop_model.recommend(history_of(history), 30, selection(290))

    assert items.tolist() == np.argsort(-shop.counts, kind="stable")[:30].tolist()
    assert scores == pytest.approx(np.log1p(shop.counts[items]))


def test_user_features_without_lightfm_tell_nothing(model_of, popularity_of, history_of):
    model = model_of([1, 5], {"popularity": popularity_of([1, 5])}, [1])

    assert not model.knows_user(history_of({}, [0]))
    assert model.recommend(history_of({}, [0]), 2, selection(2))[0].tolist() == [1, 0]


def test_equally_popular_items_come_in_order_and_those_after_the_model_last(model_of, popularity_of):
    model = model_of([1, 0, 5, 1, 0], {"popularity": popularity_of([1, 0, 5, 1, 0])}, [1])

    items, scores = model.popular(9, selection(7))

    assert items.tolist() == [2, 0, 3, 1, 4, 5, 6]
    assert scores.tolist() == pytest.approx([np.log(6), np.log(2), np.log(2), 0, 0, 0, 0])


def test_popular_is_what_the_voice_of_popularity_says_or_else_how_many_like_it(model_of, hybrid_of):
    lately = Popularity(np.array([0, 1], np.float32))

    assert model_of([9, 1], {"popularity": lately}, [1]).popular(1, selection(2))[0].tolist() == [1]
    assert model_of([9, 1], {"lightfm": hybrid_of([[1], [1]])}, [1]).popular(1, selection(2))[0].tolist() == [
        0
    ]


# --- lengths of lists


@pytest.mark.parametrize("k", [1, 5, 289, 290, 291, 10_000])
def test_a_list_has_k_items_or_all_that_there_are_each_once(shop_model, history_of, k):
    items, scores = shop_model.recommend(history_of({3: 1, 8: 1}), k, selection(290))

    assert len(items) == len(scores) == min(k, 290)
    assert len(set(items.tolist())) == len(items)
    assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("history", [{0: 1}, {}], ids=["known", "unknown"])
def test_who_has_seen_everything_gets_an_empty_list(shop_model, history_of, history):
    items, scores = shop_model.recommend(history_of(history), 10, selection(290, excluded=range(290)))

    assert (items.tolist(), scores.tolist()) == ([], [])


@pytest.mark.parametrize("likes", [[1], [4]])
def test_one_user_and_one_item(model_of, hybrid_of, popularity_of, history_of, likes):
    voices = {
        "lightfm": hybrid_of([[1]]),
        "neighbours": neighbours_of([[0]]),
        "popularity": popularity_of(likes),
    }
    model = model_of(likes, voices, [1, 1, 1])

    items, scores = model.recommend(history_of({0: 1}), 5, selection(1))

    assert items.tolist() == [0]
    assert scores.tolist() == pytest.approx([4 + np.log1p(likes[0])])
    assert model.recommend(history_of({0: 1}), 5, selection(1, excluded=[0]))[0].tolist() == []


def test_of_equal_scores_the_smaller_index_comes_first(model_of, popularity_of, history_of):
    likes = [1] * 40
    related = neighbours_of([[0] + [1] * 39] + [[0] * 40] * 39)
    model = model_of(likes, {"neighbours": related, "popularity": popularity_of(likes)}, [1, 1])

    items, _ = model.recommend(history_of({0: 1}), 7, selection(40, excluded=[0]))

    assert items.tolist() == [1, 2, 3, 4, 5, 6, 7]


# --- exactly the whole blend


def brute(model: Model, history, chosen: Selection, k: int) -> list[int]:
    """The definition, over hot items: every voice on every item, weighed, and sorted."""
    weights = model.blend.at(history.liked)
    total = sum(
        weight * voice.score_all([history])[0].astype(np.float64)
        for weight, voice in zip(weights, model.voices.values(), strict=True)
    )
    allowed = chosen.everything()
    return allowed[np.argsort(-total[allowed], kind="stable")][:k].tolist()


def some_histories(items: int, count: int):
    random = np.random.default_rng(3)
    for _ in range(count):
        liked = random.choice(items, random.integers(1, 15), replace=False)
        yield dict(zip(liked.tolist(), random.uniform(0.5, 3, len(liked)).tolist(), strict=True))


def test_a_small_catalogue_is_ranked_by_the_whole_blend(shop_model, history_of):
    hot = selection(290, hidden=range(280, 290))
    for strengths in some_histories(280, 40):
        history = history_of(strengths)
        _, scores = shop_model.recommend(history, 20, hot)
        expected = brute(shop_model, history, hot, 20)

        # Scores, since two that differ by rounding may change places.
        assert scores == pytest.approx(
            shop_model.scores(shop_model.prepare(history), np.array(expected)), rel=1e-4, abs=1e-4
        )


WIDE = 2_000


@pytest.fixture(scope="module")
def wide(model_of, popularity_of) -> Model:
    """2,000 items, of which each is related to 700 others; the last 100 nobody likes."""
    random = np.random.default_rng(8)
    likes = random.integers(1, 500, WIDE)
    likes[-100:] = 0
    places = [np.sort(random.choice(WIDE - 100, 700, replace=False)) for _ in range(WIDE - 100)]
    related = Neighbours(
        Relations(
            np.concatenate([np.arange(WIDE - 99) * 700, np.full(100, (WIDE - 100) * 700)]),
            np.concatenate(places).astype(np.int32),
            random.permutation(700 * (WIDE - 100)).astype(np.float32) / 1e6 + 1e-3,
            np.ones(WIDE, np.float32),
        )
    )
    return model_of(likes.tolist(), {"neighbours": related, "popularity": popularity_of(likes)}, [1, 0])


@pytest.mark.parametrize("k", [1, 20, 100])
def test_a_large_catalogue_is_ranked_as_exactly_where_neighbours_cover_it(wide, history_of, k):
    for strengths in some_histories(WIDE - 100, 25):
        chosen = selection(WIDE, excluded=list(strengths))
        items, _ = wide.recommend(history_of(strengths), k, chosen)

        assert items.tolist() == brute(wide, history_of(strengths), chosen, k)


@pytest.mark.parametrize("members", [400, 1_600])
@pytest.mark.parametrize("hidden", [0, 900])
def test_filters_are_looked_through_until_the_best_are_found(wide, history_of, members, hidden):
    random = np.random.default_rng(members + hidden)
    for strengths in some_histories(WIDE - 100, 15):
        chosen = selection(
            WIDE,
            members=np.sort(random.choice(WIDE, members, replace=False)),
            excluded=list(strengths),
            hidden=random.choice(WIDE, hidden, replace=False).tolist(),
        )
        history = history_of(strengths)
        items, _ = wide.recommend(history, 20, chosen)

        assert items.tolist() == brute(wide, history, chosen, 20)


@pytest.mark.parametrize("left", [0, 1, 3, 20, 60])
def test_filters_that_leave_few_give_all_of_them(wide, history_of, left):
    random = np.random.default_rng(left)
    kept = random.choice(WIDE, left, replace=False).tolist()
    chosen = selection(WIDE, hidden=sorted(set(range(WIDE)) - set(kept)))

    items, scores = wide.recommend(history_of({5: 1, 9: 2}), 20, chosen)

    assert len(items) == min(left, 20)
    assert set(items.tolist()) <= set(kept)
    assert np.isfinite(scores).all()


def test_a_list_longer_than_what_is_related_is_filled_up(wide, history_of):
    items, _ = wide.recommend(history_of({5: 1}), 1_990, selection(WIDE, excluded=[5]))

    related = set(wide.voices["neighbours"].relations.items[5 * 700 : 6 * 700].tolist()) - {5}
    assert len(set(items.tolist())) == 1_990
    assert set(items[: len(related)].tolist()) == related


def test_an_item_to_which_nothing_is_related_still_gives_a_full_list(wide, history_of):
    items, _ = wide.recommend(history_of({1_950: 1}), 20, selection(WIDE, excluded=[1_950]))

    assert len(items) == 20


@pytest.mark.parametrize("k", [20, 100, 200])
def test_a_long_list_under_a_filter_holds_the_best_of_what_is_related(
    wide, model_of, hybrid_of, history_of, k
):
    # Cold and popular items are as many as the candidates wanted; the best that the filter leaves are others.
    likes = wide.likes.copy()
    likes[-300:] = 0
    voices = {**wide.voices, "lightfm": hybrid_of(np.ones((WIDE, 1)))}
    model = model_of(likes.tolist(), voices, [0, 1, 0])
    history = history_of({5: 1, 9: 2})
    near = model.voices["neighbours"].score(history, np.arange(WIDE))
    weaker = np.argsort(-near, kind="stable")[420:]
    members = np.unique(np.concatenate([model.popular_first[:250], weaker, np.arange(WIDE - 300, WIDE)]))
    chosen = selection(WIDE, members=members, excluded=[5, 9])

    _, scores = model.recommend(history, k, chosen)

    assert scores.tolist() == pytest.approx(
        model.scores(model.prepare(history), model_best(model, history, chosen, k)).tolist()
    )


def model_best(model: Model, history, chosen: Selection, k: int) -> np.ndarray:
    allowed = chosen.everything()
    return allowed[np.argsort(-model.scores(model.prepare(history), allowed), kind="stable")][:k]


def test_the_search_for_candidates_loses_next_to_nothing(monkeypatch, shop_model, history_of):
    histories = [history_of(strengths) for strengths in some_histories(280, 30)]
    whole = [set(shop_model.recommend(history, 10, selection(290))[0].tolist()) for history in histories]
    for name, number in {"_SCORED_WHOLE": 0, "_RELATED": 60, "_POPULAR": 10, "_COLD": 5}.items():
        monkeypatch.setattr(module, name, number)

    found = [set(shop_model.recommend(history, 10, selection(290))[0].tolist()) for history in histories]

    shared = sum(len(one & other) for one, other in zip(whole, found, strict=True))
    assert shared >= 0.9 * 300


def test_a_cold_item_is_a_candidate_in_a_large_catalogue(monkeypatch, shop_model, history_of):
    monkeypatch.setattr(module, "_SCORED_WHOLE", 0)
    # Of taste 2, as item 290 by its features; it is the only cold one that may be shown.
    newcomers = shop_model.introduce(shop_model.foretell([[2, 9], []]))
    chosen = selection(292, hidden=range(280, 290))
    history = history_of(dict.fromkeys((2, 7, 12, 17, 22), 1))

    items, _ = shop_model.recommend(history, 270, chosen, newcomers)

    assert 290 in items.tolist()
    assert items.tolist().index(290) < 135


@pytest.mark.parametrize("others", [{}, {"item_weights": ItemWeights}], ids=["one", "two"])
def test_related_voices_of_no_weight_still_find_candidates(monkeypatch, model_of, wide, history_of, others):
    relations = wide.voices["neighbours"].relations
    voices = {name: kind(relations) for name, kind in others.items()} | dict(wide.voices)
    model = model_of(wide.likes.tolist(), voices, [0] * (len(voices) - 1) + [1])
    # Nothing is to look at everything.
    monkeypatch.delattr(Selection, "everything")

    items, _ = model.recommend(history_of({5: 1}), 5, selection(WIDE, excluded=[5]))

    expected = np.argsort(-wide.likes, kind="stable")
    assert items.tolist() == expected[expected != 5][:5].tolist()


@pytest.fixture
def little_related(model_of, hybrid_of, popularity_of) -> Model:
    """2,000 items, the first the most popular: 0 is related to 1500, and of one taste with 1990.

    Of the other voices of factors one is shorter than LightFM, and not heard, and one longer.
    """
    likes = np.arange(WIDE, 0, -1)
    relations = np.zeros((WIDE, WIDE), np.float32)
    relations[0, 1500] = 1
    tastes = np.full((WIDE, 2), 0.01)
    tastes[:, 0] = np.isin(np.arange(WIDE), [0, 1990])
    nothing, ones = np.zeros((WIDE, 3), np.float32), np.ones(WIDE, np.float32)
    voices = {
        "als": AlternatingLeastSquares(nothing, ones),
        "lightfm": hybrid_of(tastes),
        "neighbours": neighbours_of(relations),
        "popularity": popularity_of(likes),
        "svd": TruncatedSVD(nothing[:, :1], ones, ones),
    }
    return model_of(likes.tolist(), voices, [1, 10, 0.1, 0.001, 0])


@pytest.mark.parametrize("scored_whole", [50_000, 100])
def test_where_few_items_are_related_what_a_voice_of_factors_puts_first_is_found(
    monkeypatch, little_related, history_of, scored_whole
):
    monkeypatch.setattr(module, "_SCORED_WHOLE_IF_FEW", scored_whole)
    # The last of which nothing is known.
    newcomers = little_related.introduce(little_related.foretell([[]]))
    chosen = selection(WIDE + 1, excluded=[0])

    items, _ = little_related.recommend(history_of({0: 1}), 3, chosen, newcomers)
    alike, _ = little_related.similar(0, 2, chosen, newcomers)

    assert items.tolist() == [1990, 1500, 1]
    assert alike.tolist() == [1990, 1500]


@pytest.fixture
def a_step_apart(model_of, hybrid_of) -> Model:
    """2,000 items, the first the most popular: 0 is related to 150 others, one of which is to 1990.

    LightFM puts 1990 first, then 1900, 1899, …; it is heard a hundred times as much as neighbours.
    """
    likes = np.arange(WIDE, 0, -1)
    relations = np.zeros((WIDE, WIDE), np.float32)
    relations[0, 1_751:1_901] = np.arange(1, 151)
    relations[1900, 1990] = 1
    tastes = np.zeros((WIDE, 1))
    tastes[1_751:1_901, 0] = np.arange(1, 151)
    tastes[[0, 1990], 0] = 1_000
    voices = {"lightfm": hybrid_of(tastes), "neighbours": neighbours_of(relations)}
    return model_of(likes.tolist(), voices, [1, 0.01])


@pytest.mark.parametrize("hidden", [[], range(1_751, 1_790)], ids=["with all", "under a filter"])
def test_what_is_related_only_to_what_is_related_is_found(a_step_apart, history_of, hidden):
    chosen = selection(WIDE, excluded=[0], hidden=hidden)

    items, _ = a_step_apart.recommend(history_of({0: 1}), 3, chosen)

    assert items.tolist() == [1990, 1900, 1899]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"_FEW_RELATIONS": 150, "_RELATED": 150}, [1900, 1899, 1898]),
        ({"_FEW_RELATIONS": 151, "_RELATED": 150}, [1990, 1900, 1899]),
        ({"_FEW_RELATIONS": 150, "_RELATED": 151}, [1990, 1900, 1899]),
    ],
    ids=["many relations", "few relations", "few related items"],
)
def test_what_is_beyond_is_looked_for_where_few_relations_or_items_were_found(
    monkeypatch, a_step_apart, history_of, limits, expected
):
    for name, number in limits.items():
        monkeypatch.setattr(module, name, number)

    items, _ = a_step_apart.recommend(history_of({0: 1}), 3, selection(WIDE, excluded=[0]))

    assert items.tolist() == expected


def test_of_two_voices_of_relations_the_one_that_is_more_heard_leads_further(
    a_step_apart, model_of, history_of
):
    # Its sums are ten thousand times as great, and it counts so little that they do not.
    strong = np.zeros((WIDE, WIDE), np.float32)
    strong[0, 1_000:1_200] = 10_000
    voices = {"item_weights": ItemWeights(neighbours_of(strong).relations), **a_step_apart.voices}
    model = model_of(a_step_apart.likes.tolist(), voices, [1e-9, 1, 0.01])

    items, _ = model.recommend(history_of({0: 1}), 3, selection(WIDE, excluded=[0]))

    assert items.tolist() == [1990, 1900, 1899]


# --- alike


def test_what_is_alike_to_a_hot_item_is_what_it_adds_to_scores(model_of, popularity_of):
    related = neighbours_of([[0, 1, 3, 2], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    likes = [5, 4, 3, 2]
    model = model_of(likes, {"neighbours": related, "popularity": popularity_of(likes)}, [0.5, 1])

    items, scores = model.similar(0, 2, selection(4, excluded=[0]), model.newcomers)

    assert items.tolist() == [2, 3]
    assert scores.tolist() == [1.5, 1]  # and nothing of popularity


@pytest.mark.parametrize("weights", [[0, 0, 1], [0, 0, 0]])
def test_where_no_voice_that_reads_histories_is_heard_who_likes_both_says_what_is_alike(
    model_of, hybrid_of, popularity_of, weights
):
    related = neighbours_of([[0, 1, 3, 2], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    voices = {
        "lightfm": hybrid_of([[1], [3], [1], [2]]),
        "neighbours": related,
        "popularity": popularity_of([5, 4, 3, 2]),
    }
    model = model_of([5, 4, 3, 2], voices, weights)

    items, _ = model.similar(0, 3, selection(4, excluded=[0]), model.newcomers)

    assert items.tolist() == [2, 3, 1]


def test_where_only_what_is_popular_is_known_nothing_is_alike(model_of, popularity_of):
    model = model_of([5, 4, 3], {"popularity": popularity_of([5, 4, 3])}, [1])

    items, _ = model.similar(0, 2, selection(3, excluded=[0]), model.newcomers)

    assert items.tolist() == []


def test_what_is_unlike_an_item_comes_before_what_nothing_is_known_of(model_of, popularity_of):
    related = neighbours_of([[0, -1, 2, 0, 0], *np.zeros((4, 5))])
    likes = [5, 4, 3, 0, 2]
    model = model_of(likes, {"neighbours": related, "popularity": popularity_of(likes)}, [1, 0])

    items, _ = model.similar(0, 4, selection(5, excluded=[0]), model.newcomers)

    assert items.tolist() == [2, 4, 1, 3]


def test_a_cold_item_is_alike_to_a_hot_one_by_its_features(model_of, hybrid_of):
    hybrid = hybrid_of([[1], [2], [0.5]], item_features=[[2, 0]])
    model = model_of([3, 0, 2], {"lightfm": hybrid}, [1], slopes=[1], item_feature_keys=[50])

    items, _ = model.similar(0, 2, selection(3, excluded=[0]), model.newcomers)

    assert items.tolist() == [1, 2]


def test_what_is_alike_to_a_cold_item_is_what_has_an_embedding_in_its_direction(model_of, hybrid_of):
    hybrid = hybrid_of([[1, 0], [3, 3], [0, 2], [5, 0]], item_features=[[2, 0, 0]])
    model = model_of([1, 1, 1, 0], {"lightfm": hybrid}, [1], item_feature_keys=[50])
    newcomers = model.introduce(model.foretell([[50], []]))

    own, cosines = model.similar(3, 9, selection(6, excluded=[3]), newcomers)
    later, _ = model.similar(4, 9, selection(6, excluded=[4]), newcomers)

    # (5, 0) to (1, 0), (2, 0), (3, 3), (0, 2) and nothing.
    assert own.tolist() == [0, 4, 1, 2, 5]
    assert cosines.tolist() == pytest.approx([1, 1, 2**-0.5, 0, 0])
    assert later.tolist() == [0, 3, 1, 2, 5]


def test_nothing_is_alike_to_an_item_of_which_nothing_is_known(model_of, hybrid_of, popularity_of):
    with_lightfm = model_of([1, 0], {"lightfm": hybrid_of([[1], [0]])}, [1])
    without = model_of([1, 0], {"popularity": popularity_of([1, 0])}, [1])

    for model in (with_lightfm, without):
        for item in (1, 2):
            items, scores = model.similar(item, 5, selection(3), model.introduce(model.foretell([[]])))
            assert (items.tolist(), scores.tolist()) == ([], [])


def test_items_alike_are_of_the_same_taste(shop_model):
    for item in (4, 101, 283):
        items, scores = shop_model.similar(item, 10, selection(290, excluded=[item]), shop_model.newcomers)

        assert len(items) == 10
        assert (items % 5 == item % 5).mean() >= 0.8
        assert np.isfinite(scores).all()


def test_where_nothing_may_be_shown_nothing_is_alike(shop_model):
    for item in (4, 283):
        items, _ = shop_model.similar(item, 10, selection(290, hidden=range(290)), shop_model.newcomers)

        assert items.tolist() == []


def test_where_only_cold_items_may_be_shown_they_are_alike(shop_model):
    items, scores = shop_model.similar(4, 3, selection(290, members=range(280, 290)), shop_model.newcomers)

    assert len(items) == 3
    assert np.isfinite(scores).all()


# --- terms


def test_terms_and_what_is_the_same_for_all_add_up_to_the_score(shop_model, history_of):
    newcomers = shop_model.introduce(shop_model.foretell([[2, 9], []]))
    items = np.array([0, 3, 281, 120, 290, 285])
    histories = [history_of({5: 1, 7: 2}), history_of({9: 1, 5: 1}), history_of({1: 2, 285: 1})]

    rests = []
    for history in histories:
        prepared = shop_model.prepare(history, newcomers)
        terms = shop_model.terms(prepared, items)
        assert terms.by_features.shape == (0, 6)
        rests.append(shop_model.scores(prepared, items) - terms.by_history.sum(axis=0))

    assert rests[1] == pytest.approx(rests[0], abs=1e-3)
    # Item 285 in the history has an effect of its own only through voices that know it: the sum still holds.
    assert rests[2] == pytest.approx(rests[0], abs=1e-3)


def test_what_a_users_features_add_is_weighed_like_the_voice_that_knows_them(shop_model, history_of):
    items, history = np.array([3, 17, 120]), history_of({5: 1.0}, (2,))
    hybrid, place = shop_model.hybrid, list(shop_model.voices).index("lightfm")
    weight = 3 * shop_model.blend.weights[0, place]
    weights = np.where(np.arange(len(shop_model.voices)) == place, weight, shop_model.blend.weights)
    model = replace(shop_model, blend=replace(shop_model.blend, weights=weights))

    terms = model.terms(model.prepare(history), items)

    added = weight * hybrid.feature_parts(history) @ hybrid.embeddings[items].T
    assert added.shape == (1, 3)
    assert terms.by_features == pytest.approx(added, rel=1e-4)


def test_terms_of_cold_items_alone_can_be_told(shop_model, history_of):
    prepared = shop_model.prepare(history_of({5: 1, 7: 2}))
    by_history = shop_model.terms(prepared, np.array([281, 285])).by_history

    assert by_history.shape == (2, 2)
    assert np.isfinite(by_history).all()


# --- arrays


def test_a_model_survives_its_arrays(shop_model, history_of):
    voices = {name: voice.served() for name, voice in shop_model.voices.items()}
    served = replace(shop_model, voices=voices)

    again = Model.from_arrays(served.arrays())

    history = history_of({3: 1, 8: 2}, [0])
    for one, other in zip(
        again.recommend(history, 50, selection(290)),
        served.recommend(history, 50, selection(290)),
        strict=True,
    ):
        assert one.tolist() == other.tolist()
    assert list(again.voices) == list(shop_model.voices)
    for name, array in again.arrays().items():
        assert array.tobytes() == shop_model.arrays()[name].tobytes(), name


def test_what_is_served_scores_as_what_was_fitted_but_for_rounding(shop_model, history_of):
    again = Model.from_arrays(shop_model.arrays())
    prepared, fitted = (model.prepare(history_of({3: 1, 8: 2}, [0])) for model in (again, shop_model))
    every = np.arange(290)

    difference = again.scores(prepared, every) - shop_model.scores(fitted, every)
    assert np.abs(difference).max() < 0.02 * np.ptp(shop_model.scores(fitted, every))
    assert difference.any()


def test_a_cold_item_without_features_is_known_for_one_when_it_is_served(hybrid_of, model_of):
    hybrid = replace(
        hybrid_of([[0.3, -0.7], [0.11, 0.02], [0.11, 0.5]], item_features=[[0, 0.48, 0]]),
        mean_item=np.array([0.11, 0.02, 0.4], np.float32),
        biases=np.array([0.1, 0.4, 0.4], np.float32),
    )
    model = model_of([2, 0, 0], {"lightfm": hybrid}, [1], item_feature_keys=[5])

    served = Model.from_arrays(model.arrays())

    later = served.introduce(served.foretell([[], [5]]))
    assert served.newcomers.has_features.tolist() == [False, True]
    assert later.has_features.tolist() == [False, True, False, True]


def test_each_array_that_is_missing_is_named(shop_model):
    for name in (
        "item_keys",
        "likes",
        "item_feature_keys",
        "user_feature_keys",
        "blend.weights",
        "svd.targets",
    ):
        lacking = {key: array for key, array in shop_model.arrays().items() if key != name}

        # Without item keys no other array fits.
        with pytest.raises(ValueError, match="missing" if name != "item_keys" else "missing|shape"):
            Model.from_arrays(lacking)


def test_arrays_of_a_voice_that_is_not_known_are_refused_by_name(shop_model):
    with pytest.raises(ValueError, match="not known: oracle"):
        Model.from_arrays(shop_model.arrays() | {"oracle.scores": np.ones(290)})


def test_a_model_whose_voices_are_not_those_of_its_blend_is_refused(shop_model):
    lacking = {name: array for name, array in shop_model.arrays().items() if not name.startswith("svd.")}

    with pytest.raises(ValueError, match="weights has shape"):
        Model.from_arrays(lacking)


def test_nothing_at_all_is_refused():
    with pytest.raises(ValueError, match="missing: item_feature_keys, item_keys, likes, user_feature_keys"):
        Model.from_arrays({})


@pytest.mark.parametrize("recency", [0.0, 0.75], ids=["all alike", "the newest more"])
@pytest.mark.parametrize("weights", ["one", "by length", "all but one voice from two items on"])
def test_scores_without_an_item_of_the_history_are_those_of_the_history_without_it(
    shop_model, history_of, without, weights, recency
):
    blend = replace(shop_model.blend, recency=recency)
    whole, places = blend.weights[0], np.arange(len(shop_model.voices))
    if weights == "by length":
        lengths = np.array([1, 100], np.float32)
        blend = replace(blend, lengths=lengths, weights=np.stack([whole, whole * places]))
    elif weights != "one":
        lengths = np.array([1, 2], np.float32)
        blend = replace(blend, lengths=lengths, weights=np.stack([whole * (places == 0), whole]))
    shop_model = replace(shop_model, blend=blend)
    items = np.array([3, 17, 120, 281, 289])  # the last two are liked by nobody
    long = history_of({item: 1.0 + item % 3 for item in range(0, 280, 4)} | {281: 1.0, 7: -1.0, 9: -2.0})
    short = history_of({1: 1.0, 40: 2.0, 77: -1.0, 200: 1.0}, (2,))
    uneven = history_of({1: 400.0, 40: 0.001, 77: 0.002})
    two = history_of({1: 1.0, 40: 2.0, 77: -1.0})
    for history in [long, short, uneven, two, history_of({5: 1.0})]:
        places = np.arange(len(history.indexes))
        prepared = shop_model.prepare(history)
        terms = shop_model.terms(prepared, items)

        scores = shop_model.scores_without_each(prepared, places, items, terms)

        for place in places.tolist():
            anew = without(history, place)
            if shop_model.knows_user(anew):
                assert scores[place] == pytest.approx(
                    shop_model.scores(shop_model.prepare(anew), items), rel=1e-4, abs=1e-5
                )
            else:
                assert np.isnan(scores[place]).all()
    assert np.isnan(scores).all()


def test_the_newest_of_a_history_counts_as_the_blend_has_it(model_of, history_of):
    # Counting 1 and ½, which is 4/3 and 2/3 once their mean is 1, of 3 and 6 for item 2, and 1 and 0 for 3.
    rows = neighbours_of([[0, 0, 3, 1], [0, 0, 6, 0], [0] * 4, [0] * 4])
    model = model_of([1] * 4, {"neighbours": rows}, [1])
    recent = replace(model, blend=replace(model.blend, recency=1.0))
    items = np.array([2, 3])

    for asked, scores in ((model, [9, 1]), (recent, [4 + 4, 4 / 3])):
        prepared = asked.prepare(history_of({0: 1, 1: 1}))
        assert asked.scores(prepared, items).tolist() == pytest.approx(scores)
        assert asked.terms(prepared, items).by_history.sum(axis=0).tolist() == pytest.approx(scores)


def test_a_model_in_which_the_newest_counts_more_survives_its_arrays(shop_model):
    recent = replace(shop_model, blend=replace(shop_model.blend, recency=0.75))

    assert Model.from_arrays(recent.arrays()).blend.recency == 0.75
    # Versions of before there was such a number are read as those in which it is 0.
    assert "blend.recency" not in shop_model.arrays()
    assert Model.from_arrays(shop_model.arrays()).blend.recency == 0
    with pytest.raises(ValueError, match="recency has shape"):
        Model.from_arrays(recent.arrays() | {"blend.recency": np.ones(2, np.float32)})
    for wrong in (np.nan, np.inf, -1):
        with pytest.raises(ValueError, match="recency is"):
            Model.from_arrays(recent.arrays() | {"blend.recency": np.array([wrong], np.float32)})
