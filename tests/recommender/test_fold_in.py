"""What each item of a history adds to a user's vector: the full system, whichever way it is solved."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.recommender.fold_in import fold_in, fold_in_without_each


def solved(
    embeddings: np.ndarray, base: np.ndarray, confidences: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """The definition, in double precision: (B + Σ c q qᵀ) x = Σ w q."""
    exact = embeddings.astype(np.float64)
    matrix = np.diag(base.astype(np.float64)) + exact.T @ (confidences[:, None] * exact)
    return np.linalg.solve(matrix, exact.T @ wanted)


def system(items: int, components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(100 * items + components)
    return (
        random.normal(size=(items, components)).astype(np.float32),
        # No two alike: B must not be taken for a number.
        random.uniform(0.5, 5, components).astype(np.float32),
        random.uniform(0, 3, items),
        random.uniform(0, 2, items),
    )


def test_one_item_and_one_component_by_hand():
    # (3 + 2 · 2²) x = 5 · 2, so x = 10 / 11; and x = a · 2 / 3.
    coefficients = fold_in(np.array([[2.0]], np.float32), np.array([2.0]), np.array([5.0]), np.array([3.0]))

    assert coefficients.tolist() == [pytest.approx(15 / 11)]


def test_two_items_and_one_component_by_hand():
    # More items than components. (1 + 1 · 1² + 1 · 2²) x = 1 · 1 + 1 · 2: x is ½, and each item adds
    # w - c q x: 1 - ½ and 1 - 1.
    coefficients = fold_in(np.array([[1.0], [2.0]], np.float32), np.ones(2), np.ones(2))

    assert coefficients.tolist() == [pytest.approx(0.5), pytest.approx(0.0, abs=1e-6)]


@pytest.mark.parametrize(
    ("items", "components"),
    [(1, 1), (1, 8), (3, 5), (8, 8), (9, 8), (2, 1), (40, 8), (500, 16)],
    ids=str,
)
def test_the_coefficients_give_the_solution_of_the_full_system(items, components):
    embeddings, base, confidences, wanted = system(items, components)

    coefficients = fold_in(embeddings, confidences, wanted, base)

    assert coefficients.shape == (items,)
    assert coefficients.dtype == np.float32
    expected = solved(embeddings, base, confidences, wanted)
    assert coefficients @ embeddings / base == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("items", [5, 6], ids=["among the items", "among the components"])
def test_both_ways_divide_the_solution_among_the_items_alike(items):
    # An item without weight changes nothing but how many items there are, and with that the way.
    embeddings, base, confidences, wanted = system(5, 5)
    padded = np.concatenate([embeddings, np.ones((items - 5, 5), np.float32)])
    nothing = np.zeros(items - 5)

    coefficients = fold_in(
        padded, np.concatenate([confidences, nothing]), np.concatenate([wanted, nothing]), base
    )

    x = solved(embeddings, base, confidences, wanted)
    expected = wanted - confidences * (embeddings.astype(np.float64) @ x)
    assert coefficients[:5] == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert not coefficients[5:].any()


@pytest.mark.parametrize("items", [4, 20], ids=["fewer items", "fewer components"])
def test_the_order_of_the_items_is_that_of_the_coefficients_and_nothing_else(items):
    embeddings, base, confidences, wanted = system(items, 8)

    coefficients = fold_in(embeddings, confidences, wanted, base)
    turned = fold_in(embeddings[::-1], confidences[::-1], wanted[::-1], base)

    assert turned[::-1] == pytest.approx(coefficients, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("items", [4, 20], ids=["fewer items", "fewer components"])
def test_without_confidences_each_item_counts_as_it_is_wanted(items):
    embeddings, base, _, wanted = system(items, 8)

    assert fold_in(embeddings, np.zeros(items), wanted, base) == pytest.approx(wanted, rel=1e-6)


def test_an_item_that_is_to_score_nothing_pulls_its_score_to_zero():
    alike = np.array([[1.0, 0.1], [1.0, 0.0]], np.float32)

    def score_of_second(confidence: float) -> float:
        coefficients = fold_in(alike, np.array([0.0, confidence]), np.array([1.0, 0.0]))
        return (alike[1] @ (coefficients @ alike)).item()

    # Without, the score is q₁·q₀ = 1; with c it is 1 / (1 + c), as q₁·q₁ = 1.
    assert [score_of_second(confidence) for confidence in (0, 1, 99)] == pytest.approx([1, 0.5, 0.01])


@pytest.mark.parametrize("components", [1, 8])
def test_an_empty_history_has_no_coefficients(components):
    empty = np.empty(0)

    coefficients = fold_in(np.empty((0, components), np.float32), empty, empty, np.ones(components))

    assert coefficients.shape == (0,)


@pytest.mark.parametrize("items", [3, 30])
def test_embeddings_of_nothing_add_nothing_whatever_they_count(items):
    embeddings = np.zeros((items, 4), np.float32)

    coefficients = fold_in(embeddings, np.ones(items), np.ones(items))

    assert coefficients.tolist() == [1.0] * items
    assert not (coefficients @ embeddings).any()


@pytest.mark.parametrize("items", [4, 20], ids=["fewer items", "fewer components"])
def test_without_a_base_it_is_the_identity(items):
    embeddings, _, confidences, wanted = system(items, 8)

    plain = fold_in(embeddings, confidences, wanted)

    assert plain == pytest.approx(fold_in(embeddings, confidences, wanted, np.ones(8)), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("items", [4, 20], ids=["fewer items", "fewer components"])
def test_what_is_given_is_left_as_it_is(items):
    given = embeddings, base, confidences, wanted = system(items, 8)
    before = [array.copy() for array in given]

    fold_in(embeddings, confidences, wanted, base)

    assert all(np.array_equal(*pair) for pair in zip(given, before, strict=True))


def test_one_item_left_out_of_two_by_hand():
    # Of (1 + 1 · 1² + 1 · 2²) x = 1 · 1 + 1 · 2 is left (1 + 4) x = 2 without the first, and (1 + 1) x = 1
    # without the second: what stays adds w - c q x, 1 - 2 · 2 / 5 and 1 - 1 / 2.
    two, ones = np.array([[1.0], [2.0]], np.float32), np.ones(2)

    coefficients = fold_in_without_each(two, ones, ones, None, np.array([0, 1]))

    assert coefficients.tolist() == [[0, pytest.approx(1 / 5)], [pytest.approx(1 / 2), 0]]


@pytest.mark.parametrize("with_base", [True, False])
@pytest.mark.parametrize(("items", "components"), [(1, 4), (3, 5), (8, 8), (9, 8), (40, 8)], ids=str)
def test_without_each_item_the_coefficients_are_those_of_the_others_alone(items, components, with_base):
    embeddings, base, confidences, wanted = system(items, components)
    places = np.arange(items)[::-2]

    without = fold_in_without_each(embeddings, confidences, wanted, base if with_base else None, places)

    assert without.shape == (len(places), items)
    assert without.dtype == np.float32
    for row, place in zip(without, places.tolist(), strict=True):
        others = np.delete(np.arange(items), place)
        alone = fold_in(embeddings[others], confidences[others], wanted[others], base if with_base else None)
        assert row[others] == pytest.approx(alone, rel=1e-3, abs=1e-4)
        assert row[place] == 0
