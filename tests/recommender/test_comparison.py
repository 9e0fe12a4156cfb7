"""Models beside one another: the same users, lists as they are served, and how sure a difference is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recsvc.recommender import comparison
from recsvc.recommender.comparison import compare, evaluate, of_users
from recsvc.recommender.interactions import InteractionColumns, InteractionMatrix
from recsvc.recommender.split import HeldOut


def ignore(done: float) -> None:
    pass


def ground_of(matrix_likes, held):
    """A split that holds out an item of each user of whom one is named: {user: item}."""
    strengths = sparse.csr_array(np.array(matrix_likes, np.float32))
    rest = strengths.copy().toarray()
    for user, item in held.items():
        rest[user, item] = 0
    users = np.array(sorted(held), np.intp)
    return HeldOut(sparse.csr_array(rest), users, [np.array([held[user]]) for user in users.tolist()])


def matrix_of(examples, item_keys=None):
    users, items = examples.strengths.shape
    keys = np.arange(items) if item_keys is None else np.array(item_keys)
    return InteractionMatrix(
        np.arange(users, dtype=np.int32), keys.astype(np.int32), examples.strengths, examples.ages
    )


@pytest.fixture
def likes_of_everybody():
    # Everybody likes item 0; user 0 and 1 also 1 and 2.
    return [[1, 1, 1, 0], [1, 1, 1, 0], [1, 0, 0, 1]]


def test_lists_are_compared_with_what_was_held_out_and_what_is_known_is_left_out(
    examples_of, model_of, popularity_of, likes_of_everybody
):
    examples = examples_of(likes_of_everybody)
    held_out = ground_of(likes_of_everybody, {0: 2, 2: 3})
    model = model_of([3, 2, 2, 1], {"popularity": popularity_of([3, 2, 2, 1])}, [1.0])

    values = evaluate(
        model, matrix_of(examples), examples, held_out, np.arange(2), on_progress=ignore, personal=True
    )

    # User 0 knows 0 and 1: 2 comes first of what is left. User 2 knows 0: 1 and 2 come before 3.
    assert values["ndcg_at_10"] == pytest.approx([1.0, 1 / np.log2(4)])
    assert values["recall_at_20"].tolist() == [1.0, 1.0]


def test_a_model_of_other_data_is_asked_in_its_own_indexes(
    examples_of, model_of, popularity_of, likes_of_everybody
):
    examples = examples_of(likes_of_everybody)
    # The matrix's items are the keys 1, 2, 3 and 9; the model has the keys 0, 1, 2 and 3: 9 it cannot list,
    # and 0, the most popular, is no longer there.
    matrix = matrix_of(examples, item_keys=[1, 2, 3, 9])
    held_out = ground_of(likes_of_everybody, {0: 2, 2: 3})
    model = model_of([9, 3, 2, 2], {"popularity": popularity_of([9, 3, 2, 2])}, [1.0])

    values = evaluate(model, matrix, examples, held_out, np.arange(2), on_progress=ignore)

    assert values["ndcg_at_10"].tolist() == [1.0, 0.0]
    assert values["recall_at_20"].tolist() == [1.0, 0.0]


def test_only_the_users_that_are_named_are_ranked_for_and_progress_reaches_the_end(
    examples_of, model_of, popularity_of, likes_of_everybody
):
    examples = examples_of(likes_of_everybody)
    held_out = ground_of(likes_of_everybody, {0: 2, 1: 1, 2: 3})
    model = model_of([3, 2, 2, 1], {"popularity": popularity_of([3, 2, 2, 1])}, [1.0])
    told: list[float] = []

    values = evaluate(model, matrix_of(examples), examples, held_out, np.array([2]), on_progress=told.append)

    assert values["recall_at_20"].shape == (1,)
    assert told == [1.0]


def test_what_is_popular_is_the_same_for_everybody(shop, shop_model):
    users = np.flatnonzero(shop.lengths > 3)[:40]
    held = {int(user): int(shop.strengths[[user]].indices[-1]) for user in users}
    held_out = ground_of(shop.strengths.toarray(), held)
    matrix = matrix_of(shop)

    popular = evaluate(shop_model, matrix, shop, held_out, np.arange(40), on_progress=ignore, personal=False)
    personal = evaluate(shop_model, matrix, shop, held_out, np.arange(40), on_progress=ignore)

    order = np.argsort(-shop.counts, kind="stable")
    for user, found in zip(users.tolist(), popular["recall_at_20"].tolist(), strict=True):
        known = set(shop.strengths[[user]].indices.tolist()) - {held[user]}
        listed = [item for item in order.tolist() if item not in known][:20]
        assert found == (held[user] in listed)
    # The model was fitted to what is held out here, so it must know better.
    assert personal["recall_at_20"].mean() > popular["recall_at_20"].mean()


def test_a_comparison_tells_means_and_the_difference_user_by_user():
    ours = {"ndcg_at_10": np.array([0.5, 0.25, 0.75]), "recall_at_20": np.ones(3)}
    theirs = {"ndcg_at_10": np.array([0.25, 0.0, 0.5]), "recall_at_20": np.ones(3)}

    found = compare(ours, theirs, seed=1)

    assert (found.users, found.ours["ndcg_at_10"], found.theirs["ndcg_at_10"]) == (3, 0.5, 0.25)
    assert found.differences == {"ndcg_at_10": (0.25, 0.25, 0.25), "recall_at_20": (0.0, 0.0, 0.0)}


def test_the_interval_is_of_998_in_a_thousand():
    # 500 users gain 1, 500 lose 1: the standard error is 1 / sqrt(1000), the 99.9 % quantile 3.090.
    gains = {name: np.repeat([1.0, 0.0], 500) for name in comparison.METRICS}
    losses = {name: 1 - values for name, values in gains.items()}

    mean, low, high = compare(gains, losses, seed=1).differences["ndcg_at_10"]

    assert mean == 0.0
    assert (-low, high) == pytest.approx((3.090 / 1000**0.5,) * 2, rel=0.05)


def test_values_of_some_users_are_those_users():
    values = {"ndcg_at_10": np.array([0.1, 0.2]), "recall_at_20": np.array([0.3, 0.4])}

    kept = of_users(values, np.array([False, True]))

    assert {name: value.tolist() for name, value in kept.items()} == {
        "ndcg_at_10": [0.2],
        "recall_at_20": [0.4],
    }


@pytest.mark.parametrize(("users", "expected"), [(99, None), (100, 50), (3_000, 1_000)])
def test_at_most_half_of_the_users_and_a_thousand_are_set_aside(users, expected):
    keys = np.repeat(np.arange(users), 3).astype(np.int32)
    items = np.tile(np.arange(3), users).astype(np.int32)
    columns = InteractionColumns(
        keys, items, np.zeros(len(keys), np.int16), np.ones(len(keys), np.float32), np.zeros(len(keys))
    )
    strengths = sparse.csr_array(np.ones((users, 3), np.float32))
    matrix = InteractionMatrix(
        np.arange(users, dtype=np.int32),
        np.arange(3, dtype=np.int32),
        strengths,
        np.zeros(3 * users, np.float32),
    )

    ground = comparison.lay_out(matrix, columns, since=len(keys), fewest_users=50, seed=1)

    assert (None if ground is None else len(ground.is_new)) == expected


@pytest.mark.parametrize("users", [50, 200])
def test_of_two_models_alike_one_is_hardly_ever_taken_for_worse(users):
    """Users have many zeros, as metrics of lists do. Of 300 comparisons more than 3 are 1 %."""
    random = np.random.default_rng(3)
    found = 0
    for _ in range(300):
        hits = random.random((2, users)) < 0.15
        gains = hits * random.choice([1.0, 0.5, 0.3], (2, users))
        ours, theirs = (dict.fromkeys(comparison.METRICS, of_model) for of_model in gains)
        found += compare(ours, theirs, seed=1).differences["ndcg_at_10"][2] < 0
    assert found <= 3
