"""The hybrid of identities and features: how users are folded in, and what is foretold of cold items."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from recsvc.recommender.voices.lightfm import LightFMHybrid

PARAMETERS = {"components": 8, "epochs": 5, "learning_rate": 0.05, "alpha": 1e-5, "max_sampled": 10}
LIMITS = {**PARAMETERS, "components": 64, "epochs": 30}
ITEMS, COMPONENTS = 2_000, 16
HISTORY = {3: 1.0, 500: 2.0, 42: 0.5, 1_999: 3.0}


def voice_of(embeddings, *, biases=None, user_features=None, mean_user=None) -> LightFMHybrid:
    rows = np.array(embeddings, np.float32)
    items, length = rows.shape
    return LightFMHybrid(
        embeddings=rows,
        biases=np.zeros(items, np.float32) if biases is None else np.array(biases, np.float32),
        spectrum=np.square(rows).mean(axis=0),
        mean_item=np.zeros(length + 1, np.float32),
        item_features=np.zeros((0, length + 1), np.float32),
        user_features=np.array([] if user_features is None else user_features, np.float32).reshape(
            -1, length
        ),
        mean_user=np.zeros(length, np.float32) if mean_user is None else np.array(mean_user, np.float32),
    )


@pytest.fixture(scope="module")
def embeddings() -> np.ndarray:
    random = np.random.default_rng(11)
    rows = random.normal(0, 0.3, (ITEMS, COMPONENTS)) * np.linspace(0.5, 2, COMPONENTS)
    _, rotation = np.linalg.eigh(rows.T @ rows)
    return (rows @ rotation).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(shop) -> LightFMHybrid:
    return LightFMHybrid.fit(shop, PARAMETERS, lambda done: None)


def test_one_item_on_an_axis_is_scored_the_mean_score(history_of):
    assert voice_of(np.eye(2)).vector(history_of({0: 1})).tolist() == pytest.approx([4, 0])


def test_the_items_bias_is_added_to_the_product(history_of):
    voice = voice_of(np.eye(2), biases=[0.5, -1])

    assert voice.score(history_of({0: 1}), np.arange(2)).tolist() == pytest.approx([4.5, -1])


def test_the_weighted_mean_score_of_the_history_is_the_mean_score(embeddings, history_of):
    scores = voice_of(embeddings).score(history_of(HISTORY), np.array(list(HISTORY)))

    assert np.average(scores, weights=list(HISTORY.values())) == pytest.approx(4, rel=1e-5)


@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e3])
def test_scaled_embeddings_give_the_same_scores(embeddings, history_of, factor):
    every, history = np.arange(ITEMS), history_of(HISTORY)

    scores = voice_of(embeddings * factor).score(history, every)

    assert scores == pytest.approx(voice_of(embeddings).score(history, every), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_scaled_strengths_give_the_same_vector(embeddings, history_of, factor):
    history = {**HISTORY, 77: -2.0}
    scaled = {item: strength * factor for item, strength in history.items()}
    voice = voice_of(embeddings)

    assert voice.vector(history_of(scaled)) == pytest.approx(
        voice.vector(history_of(history)), rel=1e-3, abs=1e-4
    )


@pytest.mark.parametrize("length", [4, 40])
def test_the_order_of_a_history_makes_no_difference(embeddings, history_of, length):
    history = {item: 1 + item / 1000 for item in range(0, 40 * length, 40)}
    voice = voice_of(embeddings)

    turned = voice.vector(history_of(dict(reversed(history.items()))))

    assert turned == pytest.approx(voice.vector(history_of(history)), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("length", [1, 5, 16, 17, 200])
def test_a_vector_solves_the_normal_equations_and_is_stretched(embeddings, history_of, length):
    # More items than components are solved another way, and to the same end.
    random = np.random.default_rng(length)
    liked = random.choice(ITEMS, length, replace=False)
    strengths = random.uniform(0.5, 3, length).astype(np.float32)
    voice = voice_of(embeddings)
    exact = embeddings[liked].astype(np.float64)
    spread = strengths.sum() ** 2 / (strengths @ strengths)
    spectrum = np.square(embeddings).mean(axis=0)
    base = spectrum + (0.75 + 5 / spread) * spectrum.mean()
    confidences = 1e-3 * length / strengths.sum() * strengths
    solution = np.linalg.solve(np.diag(base) + exact.T @ (confidences[:, None] * exact), strengths @ exact)
    solution *= 4 * strengths.sum() / (strengths @ exact @ solution)

    vector = voice.vector(history_of(dict(zip(liked.tolist(), strengths.tolist(), strict=True))))

    assert vector == pytest.approx(solution, rel=1e-3, abs=1e-3 * float(np.abs(solution).max()))


def test_who_only_dislikes_gets_the_vector_of_whom_nothing_is_known(embeddings, history_of):
    mean_user = np.arange(COMPONENTS)

    for history in ({3: -1.0}, {3: -1.0, 4: -5.0}, {}):
        vector = voice_of(embeddings, mean_user=mean_user).vector(history_of(history))
        assert vector.tolist() == mean_user.tolist()


def test_who_likes_only_what_has_no_embedding_gets_it_by_a_share_of_features(embeddings, history_of):
    without = embeddings.copy()
    without[3] = 0

    vector = voice_of(without, mean_user=np.full(COMPONENTS, 4)).vector(history_of({3: 1.0}))

    assert vector.tolist() == [3.0] * COMPONENTS  # 3 / (1 + 3) of it


def test_a_model_that_learned_nothing_gives_a_vector_of_nothing(history_of):
    assert not voice_of(np.zeros((5, 4))).vector(history_of({1: 1, 2: -1})).any()


def test_a_dislike_lowers_the_score_of_that_item(embeddings, history_of):
    alike = embeddings.copy()
    alike[1] = alike[0] + np.float32(0.05)
    voice = voice_of(alike)

    without = voice.score(history_of({0: 1, 9: 1}), np.array([1]))
    disliked = voice.score(history_of({0: 1, 9: 1, 1: -3}), np.array([1]))

    assert disliked < without


@pytest.mark.parametrize("length", [1, 2, 17, 300, 1_900])
def test_histories_of_any_length_give_finite_scores(embeddings, history_of, length):
    random = np.random.default_rng(length)
    strengths = random.uniform(0.1, 6, length) * np.where(random.random(length) < 0.1, -1, 1)
    strengths[0] = 1.0
    history = dict(zip(random.permutation(ITEMS)[:length].tolist(), strengths.tolist(), strict=True))

    scores = voice_of(embeddings).score(history_of(history), np.arange(ITEMS))

    assert np.isfinite(scores).all()
    assert scores.any()


def test_a_shorter_history_is_trusted_less(history_of):
    # Mean squares 4 and 1 of mean 2.5: penalties 0.75 + 5 / 1 for one item, 0.75 + 5 / 2 for two alike.
    voice = voice_of([[2, 1], [2, 1]])

    def base(strengths):
        return voice.systems(history_of(strengths), [0.0]).base(0)

    assert base({0: 1}) == pytest.approx([4 + 5.75 * 2.5, 1 + 5.75 * 2.5])
    assert base({0: 1, 1: 1}) == pytest.approx([4 + 3.25 * 2.5, 1 + 3.25 * 2.5])
    # A dislike tells nothing of how long it is.
    assert base({0: 1, 1: -1}) == pytest.approx([4 + 5.75 * 2.5, 1 + 5.75 * 2.5])


def test_what_items_add_is_in_the_units_of_each_component(history_of):
    # Two items of unlike components: each makes its own of the vector, and its part is that and nothing else.
    voice = voice_of([[2, 0], [0, 1]])
    opinion = voice.opinion(history_of({0: 1, 1: 1}))

    (first, none), (nothing, second) = opinion.parts.tolist()

    assert [none, nothing] == [0, 0]
    assert [first, second] == pytest.approx(opinion.vector.tolist())
    assert first > 0
    assert second > 0


FEATURED = {"user_features": [[1, 0], [0, 2], [5, 5]], "mean_user": [10, 20]}


def test_of_whom_only_features_are_known_they_are_all(history_of):
    voice = voice_of(np.eye(2), **FEATURED)

    one, two = voice.vector(history_of({}, [0])), voice.vector(history_of({}, [0, 1]))

    assert one.tolist() == [11, 20]
    # Two features by 1 / √2 each.
    assert two.tolist() == pytest.approx([10 + 1 / 2**0.5, 20 + 2 / 2**0.5])


def test_features_count_as_three_items_of_a_history(history_of):
    # One item liked: ¼ of (4, 0), and ¾ of the features' (11, 20).
    voice = voice_of(np.eye(2), **FEATURED)

    assert voice.vector(history_of({0: 1}, [0])).tolist() == pytest.approx([1 + 8.25, 15])


def test_without_all_that_has_an_embedding_the_mean_user_is_what_is_known(history_of):
    # ¾ of it, as one item is liked still; without the other item nothing is lacking.
    voice = voice_of([[2, 1], [0, 0]], mean_user=[1, 1])

    lacking, whole = voice.opinion(history_of({0: 1, 1: 1})).vectors_without_each(np.array([0, 1]))

    assert lacking.tolist() == [0.75, 0.75]
    assert whole == pytest.approx(voice.vector(history_of({0: 1})))


def test_parts_of_history_features_and_mean_add_up_to_the_vector(embeddings, history_of):
    random = np.random.default_rng(0)
    voice = voice_of(
        embeddings,
        user_features=random.normal(size=(3, COMPONENTS)),
        mean_user=random.normal(size=COMPONENTS),
    )
    history = history_of({**HISTORY, 7: -1.0}, [0, 2])

    together = voice.opinion(history).parts.sum(axis=0) + voice.feature_parts(history).sum(axis=0)

    # Four items liked: the mean user has 3 / 7.
    assert together + voice.mean_user * 3 / 7 == pytest.approx(voice.vector(history), rel=1e-3, abs=1e-4)


def test_without_features_the_mean_user_adds_nothing_to_a_history(embeddings, history_of):
    history = history_of(HISTORY)

    with_mean = voice_of(embeddings, mean_user=np.ones(COMPONENTS)).vector(history)

    assert with_mean.tolist() == voice_of(embeddings).vector(history).tolist()
    assert voice_of(embeddings).feature_parts(history).shape == (0, COMPONENTS)


def test_a_cold_item_is_what_a_ridge_regression_on_features_foretells(shop, fitted):
    known = np.column_stack([fitted.embeddings, fitted.biases]).astype(np.float64)
    hot = shop.counts > 0
    weights = np.sqrt(shop.counts[hot])
    rows = shop.item_features.rows.toarray().astype(np.float64)
    mean = weights @ known[hot] / weights.sum()
    left = rows[hot].T @ (weights[:, None] * rows[hot]) + 10 * np.eye(rows.shape[1])
    features = np.linalg.solve(left, rows[hot].T @ (weights[:, None] * (known[hot] - mean)))

    assert fitted.mean_item == pytest.approx(mean, abs=1e-4)
    assert fitted.item_features == pytest.approx(features, abs=1e-3)
    assert (~hot).sum() == 10
    assert known[~hot] == pytest.approx(mean + rows[~hot] @ features, abs=1e-3)


def test_a_cold_item_is_scored_high_by_whom_its_feature_suits(fitted, history_of):
    # Of the ten cold items 280 to 289, each is of taste i % 5.
    taste_2 = history_of({2: 1, 7: 1, 12: 1, 17: 1})

    scores = fitted.score(taste_2, np.arange(280, 290))

    assert sorted(np.argsort(-scores, kind="stable")[:2].tolist()) == [2, 7]


def test_a_cold_item_without_features_is_exactly_the_mean(examples_of):
    likes = np.random.default_rng(1).integers(0, 2, (20, 12))
    likes[:, [4, 9]] = 0
    labels = {item: [item % 3] for item in range(12) if item != 9}

    voice = LightFMHybrid.fit(examples_of(likes, of_items=labels), PARAMETERS, lambda done: None)

    assert [*voice.embeddings[9].tolist(), voice.biases[9].item()] == voice.mean_item.tolist()
    assert [*voice.embeddings[4].tolist(), voice.biases[4].item()] != voice.mean_item.tolist()


def test_where_no_item_has_features_every_cold_one_is_the_mean(examples_of):
    likes = np.array([[1, 1, 0, 0], [1, 0, 0, 0]])

    voice = LightFMHybrid.fit(examples_of(likes), PARAMETERS, lambda done: None)

    assert voice.item_features.shape == (0, 9)
    for item in (2, 3):
        assert [*voice.embeddings[item].tolist(), voice.biases[item].item()] == voice.mean_item.tolist()


def test_a_feature_that_only_cold_items_have_says_nothing(examples_of):
    likes = np.array([[1, 1, 0], [1, 1, 0]])

    voice = LightFMHybrid.fit(examples_of(likes, of_items={0: [1], 2: [5]}), PARAMETERS, lambda done: None)

    assert not voice.item_features[1].any()
    assert [*voice.embeddings[2].tolist(), voice.biases[2].item()] == voice.mean_item.tolist()


def test_embeddings_are_turned_until_the_sum_of_their_products_is_diagonal(fitted):
    gram = fitted.embeddings.T.astype(np.float64) @ fitted.embeddings

    assert gram == pytest.approx(np.diag(fitted.spectrum * 290), abs=1e-4 * gram.max())


def test_a_fit_keeps_its_estimator_and_a_mapped_voice_has_none(fitted):
    assert pickle.loads(fitted.estimator).item_embeddings.shape == (290 + 6, 8)
    assert LightFMHybrid.from_arrays(fitted.arrays(), 290).estimator == b""


@pytest.mark.parametrize(
    ("qualities", "epochs", "looks"),
    [
        ([0.5] * 30, 2, 3),  # after 2, 3 and 4 epochs
        ([0.1, 0.2, 0.3, 0.3, 0.3], 4, 5),  # after 2, 3, 4, 5 and 6
        ([0.1, 0.3, 0.2, 0.4, 0.2, 0.2], 5, 6),  # one look without a gain is not the end
    ],
)
def test_the_search_ends_after_two_looks_without_a_gain(examples_of, qualities, epochs, looks):
    told = iter(qualities)
    judged = []

    def judge(voice):
        judged.append(voice)
        return next(told)

    voice, parameters = LightFMHybrid.choose(examples_of(np.eye(20)), judge, LIMITS, lambda done: None)

    assert parameters == {**LIMITS, "components": 8, "epochs": epochs}
    assert len(judged) == looks
    assert voice is judged[qualities.index(max(qualities))]


def test_where_it_gets_ever_better_the_search_ends_with_the_epochs_allowed(examples_of):
    judged = []

    _, parameters = LightFMHybrid.choose(
        examples_of(np.eye(20)), lambda voice: judged.append(1) or len(judged), LIMITS, lambda done: None
    )

    # Looks after 2 to 8 epochs one by one, then 10, 12, 15, 18, 22, 27, and at the end.
    assert (parameters["epochs"], len(judged)) == (30, 14)


@pytest.mark.parametrize(("allowed", "epochs"), [(30, 10), (4, 4)])
def test_untold_it_takes_ten_epochs_or_fewer(examples_of, allowed, epochs):
    limits = LIMITS | {"epochs": allowed}

    _, parameters = LightFMHybrid.choose(examples_of(np.eye(20)), None, limits, lambda done: None)

    assert parameters["epochs"] == epochs


def test_components_grow_with_the_data_up_to_the_limit(shop):
    # 290 items, the fewer, are enough for 290 // 16 = 18 components.
    _, parameters = LightFMHybrid.choose(shop, None, LIMITS | {"epochs": 1}, lambda done: None)
    assert parameters["components"] == 18
    _, parameters = LightFMHybrid.choose(
        shop, None, LIMITS | {"epochs": 1, "components": 4}, lambda done: None
    )
    assert parameters["components"] == 4


def test_a_fit_of_no_epochs_is_an_error(examples_of):
    with pytest.raises(ValueError, match="at least one epoch"):
        LightFMHybrid.fit(examples_of([[1]]), PARAMETERS | {"epochs": 0}, lambda done: None)
