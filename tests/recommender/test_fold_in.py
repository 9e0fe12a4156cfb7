"""A user's vector, and what each item of a history adds to it, whichever way it is solved."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.recommender.fold_in import Numbers, Systems, fold_in

ALS = (1.0, 1.0, 0.0, 1.0, 0.0, np.nan)  # wanted as strong as they are, and trusted as much


def systems_of(strengths, spectrum=None, numbers=ALS) -> Systems:
    return Systems(np.array(strengths, np.float32), spectrum, [Numbers(*numbers)])


def some(items: int, components: int, numbers=ALS) -> tuple[np.ndarray, Systems]:
    random = np.random.default_rng(100 * items + components)
    embeddings = random.normal(size=(items, components)).astype(np.float32)
    # No two alike: B must not be taken for a number.
    spectrum = random.uniform(0.5, 5, components).astype(np.float32)
    return embeddings, systems_of(random.uniform(0.1, 3, items), spectrum, numbers)


def folded(embeddings: np.ndarray, systems: Systems) -> tuple[np.ndarray, np.ndarray]:
    """Of a whole history, all of which counts alike."""
    alike = np.ones((1, len(embeddings)), np.float32)
    return fold_in(embeddings, systems, alike, np.zeros(1, np.intp), np.full(1, -1))


def test_one_item_and_one_component_by_hand():
    # Wanted as 2.5 · 2 with a confidence of 2: (1 + 2 + 2 · 2²) x = 5 · 2, so x = 10 / 11; and x = a · 2 / 3.
    system = systems_of([2], np.array([1], np.float32), (2.5, 1, 0, 1, 2, np.nan))

    coefficients, vectors = folded(np.array([[2.0]], np.float32), system)

    assert coefficients.tolist() == [[pytest.approx(15 / 11)]]
    assert vectors.tolist() == [[pytest.approx(10 / 11)]]


def test_two_items_and_one_component_by_hand():
    # More items than components. (1 + 1 · 1² + 1 · 2²) x = 1 · 1 + 1 · 2: x is ½, and each item adds
    # w - c q x: 1 - ½ and 1 - 1.
    coefficients, vectors = folded(np.array([[1.0], [2.0]], np.float32), systems_of([1, 1]))

    assert coefficients.tolist() == [[pytest.approx(0.5), pytest.approx(0.0, abs=1e-6)]]
    assert vectors.tolist() == [[pytest.approx(0.5)]]


@pytest.mark.parametrize(
    ("items", "components"), [(1, 1), (1, 8), (3, 5), (8, 8), (9, 8), (2, 1), (40, 8), (500, 16)], ids=str
)
def test_the_coefficients_make_the_vector(items, components):
    embeddings, systems = some(items, components)

    coefficients, vectors = folded(embeddings, systems)

    assert coefficients.shape == (1, items)
    assert vectors == pytest.approx(coefficients @ embeddings / systems.base(0), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("items", [5, 6], ids=["among the items", "among the components"])
def test_both_ways_divide_the_solution_among_the_items_alike(items):
    # An item that is not liked at all changes nothing but how many items there are, and with that the way.
    embeddings, systems = some(5, 5)
    padded = np.concatenate([embeddings, np.ones((items - 5, 5), np.float32)])
    strengths = np.append(systems.strengths, [0] * (items - 5))

    coefficients, _ = folded(padded, systems_of(strengths, systems.spectrum))

    x = folded(embeddings, systems)[1][0]
    expected = systems.strengths * (1 - embeddings @ x)
    assert coefficients[0, :5] == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert not coefficients[0, 5:].any()


@pytest.mark.parametrize("items", [4, 20], ids=["fewer items", "fewer components"])
def test_the_order_of_the_items_is_that_of_the_coefficients_and_nothing_else(items):
    embeddings, systems = some(items, 8)

    coefficients, _ = folded(embeddings, systems)
    turned, _ = folded(embeddings[::-1], systems_of(systems.strengths[::-1], systems.spectrum))

    assert turned[:, ::-1] == pytest.approx(coefficients, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("items", [4, 20], ids=["fewer items", "fewer components"])
def test_without_confidences_each_item_counts_as_it_is_wanted(items):
    embeddings, systems = some(items, 8, numbers=(1, 0, 0, 0, 0, np.nan))

    assert folded(embeddings, systems)[0][0] == pytest.approx(systems.strengths, rel=1e-6)


def test_an_item_that_is_to_score_nothing_pulls_its_score_to_zero():
    alike = np.array([[1.0, 0.1], [1.0, 0.0]], np.float32)

    def score_of_second(disliked: float) -> float:
        _, vectors = folded(alike, systems_of([1, -1], numbers=(1, 0, 0, disliked, 0, np.nan)))
        return float(alike[1] @ vectors[0])

    # Without, the score is q₁·q₀ = 1; with c it is 1 / (1 + c), as q₁·q₁ = 1.
    assert [score_of_second(confidence) for confidence in (0, 1, 99)] == pytest.approx([1, 0.5, 0.01])


@pytest.mark.parametrize("components", [1, 8])
def test_an_empty_history_has_no_coefficients_and_a_vector_of_zeros(components):
    coefficients, vectors = folded(np.empty((0, components), np.float32), systems_of([]))

    assert coefficients.shape == (1, 0)
    assert vectors.tolist() == [[0] * components]


@pytest.mark.parametrize("items", [3, 30])
def test_embeddings_of_nothing_add_nothing_whatever_they_count(items):
    coefficients, vectors = folded(np.zeros((items, 4), np.float32), systems_of([1] * items))

    assert coefficients.tolist() == [[1] * items]
    assert not vectors.any()


@pytest.mark.parametrize("items", [4, 20], ids=["fewer items", "fewer components"])
def test_without_a_spectrum_it_is_the_identity(items):
    embeddings, systems = some(items, 8)

    without = folded(embeddings, systems_of(systems.strengths))
    with_ones = folded(embeddings, systems_of(systems.strengths, np.ones(8, np.float32)))

    for part, same in zip(without, with_ones, strict=True):
        assert part == pytest.approx(same, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("items", [4, 20], ids=["fewer items", "fewer components"])
def test_what_is_given_is_left_as_it_is(items):
    embeddings, systems = some(items, 8)
    given = embeddings, systems.strengths, systems.spectrum
    before = [array.copy() for array in given]

    folded(embeddings, systems)

    assert all(np.array_equal(*pair, equal_nan=True) for pair in zip(given, before, strict=True))


def test_one_item_left_out_of_two_by_hand():
    # Of (1 + 1 · 1² + 1 · 2²) x = 1 · 1 + 1 · 2 is left (1 + 4) x = 2 without the first, and (1 + 1) x = 1
    # without the second: what stays adds w - c q x, 1 - 2 · 2 / 5 and 1 - 1 / 2.
    two = np.array([[1.0], [2.0]], np.float32)

    coefficients, vectors = fold_in(
        two, systems_of([1, 1]), np.ones((2, 2), np.float32), np.zeros(2, np.intp), np.array([0, 1])
    )

    assert coefficients.tolist() == [[0, pytest.approx(1 / 5)], [pytest.approx(1 / 2), 0]]
    assert vectors.tolist() == [[pytest.approx(2 / 5)], [pytest.approx(1 / 2)]]


def test_the_newest_is_wanted_more_and_trusted_alike_by_hand():
    # Counting 1.5 and 0.5: (1 + 1 · 1² + 1 · 2²) x = 1.5 · 1 + 0.5 · 2, and each adds w - c q x.
    two, weights = np.array([[1.0], [2.0]], np.float32), np.array([[1.5, 0.5]], np.float32)

    coefficients, vectors = fold_in(two, systems_of([1, 1]), weights, np.zeros(1, np.intp), np.full(1, -1))

    x = 2.5 / 6
    assert coefficients.tolist() == [[pytest.approx(1.5 - x), pytest.approx(0.5 - 2 * x)]]
    assert vectors.tolist() == [[pytest.approx(x)]]
