"""Folding a history in, whole or without one of its items."""

from __future__ import annotations

import numpy as np
import pytest

NOTHING = np.empty(0, np.intp)
FIRST, NONE = np.zeros(1, np.intp), np.full(1, -1)


def systems_of(items, components, systems=1):
    random = np.random.default_rng(1_000 * items + components)
    # Wanting, counting, unobserved, disliked, ridge, score.
    low, high = [0.5, 1, 0, 0.1, 0.1, 1], [2, 3, 0.5, 1, 2, 9]
    return (
        random.normal(size=(items, components)).astype(np.float32),
        (random.uniform(0.1, 3, items) * np.where(random.random(items) < 0.2, -1, 1)).astype(np.float32),
        random.uniform(0.5, 5, components).astype(np.float32),
        random.uniform(low, high, (systems, 6)).astype(np.float32),
    )


def folded_in(of_kind, embeddings, *systems):
    """With all items counting alike, wherever they are."""
    *of_history, of_each, left_out = systems
    weights = np.ones((len(of_each), len(embeddings)), np.float32)
    return of_kind.fold_in(embeddings, *of_history, weights, of_each, left_out)


def solved(embeddings, strengths, spectrum, numbers, weights):
    """The definition, in double precision: what each item adds, and the solution, stretched to a score."""
    wanting, counting, unobserved, disliked, ridge, score = numbers.astype(np.float64)
    exact, strengths = embeddings.astype(np.float64), strengths.astype(np.float64)
    base = np.ones(embeddings.shape[1]) if spectrum is None else spectrum + ridge
    confidences = np.array(
        [
            max(counting * strength - unobserved, 0) if strength > 0 else disliked * abs(strength)
            for strength in strengths
        ]
    )
    wanted = np.array(
        [wanting * max(strength, 0) * weight for strength, weight in zip(strengths, weights, strict=True)]
    )
    vector = np.linalg.solve(np.diag(base) + exact.T @ (confidences[:, None] * exact), exact.T @ wanted)
    added = wanted - confidences * (exact @ vector)
    scored = wanted @ exact @ vector
    stretch = 1 if np.isnan(score) else score * wanted.sum() / scored if scored > 0 else 0
    return stretch * added, stretch * vector


def weights_for(items, rows):
    return np.random.default_rng(items).uniform(0.2, 5, (rows, items)).astype(np.float32)


def numbers_of(*numbers):
    return np.array([numbers], np.float32)


def test_one_item_is_folded_in_by_hand(of_kind):
    # Wanted as ½ · 4 with a confidence of 3 · 4 - 2: (1 + 4 + 10 · 3²) x = 2 · 3, and 2 - 10 · 3 x is left.
    three, four = np.full((1, 1), 3, np.float32), np.array([4], np.float32)
    numbers, x = numbers_of(0.5, 3, 2, 9, 1, np.nan), 6 / 95

    coefficients, vectors = folded_in(of_kind, three, four, four, numbers, FIRST, NONE)

    assert (coefficients.dtype, vectors.dtype) == (np.float32, np.float32)
    assert coefficients.tolist() == [[pytest.approx(2 - 10 * 3 * x)]]
    assert vectors.tolist() == [[pytest.approx(x)]]


def test_a_solution_is_stretched_until_the_history_scores_what_it_shall(of_kind):
    three, four = np.full((1, 1), 3, np.float32), np.array([4], np.float32)

    coefficients, vectors = folded_in(
        of_kind, three, four, four, numbers_of(0.5, 3, 2, 9, 1, 3.5), FIRST, NONE
    )

    # As the item is wanted as ½ · 4, 2 · 3 x = 2 · 3.5, and x = 3 a / (4 + 1).
    assert vectors.tolist() == [[pytest.approx(7 / 6)]]
    assert coefficients.tolist() == [[pytest.approx(7 / 6 * 5 / 3)]]


def test_a_disliked_item_is_wanted_as_nothing(of_kind):
    # Both are alike: (1 + 1 · 1 + 2 · 3) x = 1, and to the disliked one 0 - 2 · 3 x is left.
    alike, strengths = np.ones((2, 1), np.float32), np.array([1, -3], np.float32)

    coefficients, vectors = folded_in(
        of_kind, alike, strengths, None, numbers_of(1, 1, 0, 2, 0, np.nan), FIRST, NONE
    )

    assert vectors.tolist() == [[pytest.approx(1 / 8)]]
    assert coefficients.tolist() == [[pytest.approx(1 - 1 / 8), pytest.approx(-6 / 8)]]


# Lengths around those in which products are added up, and more items than are solved for by hand, or than
# there are components.
SIZES = [(1, 1), (2, 15), (3, 16), (4, 17), (5, 33), (50, 128), (100, 100), (101, 128), (5, 4), (40, 8)]


@pytest.mark.parametrize(("items", "components"), SIZES, ids=str)
def test_items_are_folded_in_as_the_definition_has_it(of_kind, items, components):
    embeddings, strengths, spectrum, numbers = systems_of(items, components, systems=3)
    numbers[0, 5] = np.nan
    of_each = np.array([2, 0, 1, 0])

    weights = weights_for(items, rows=4)

    found = of_kind.fold_in(embeddings, strengths, spectrum, numbers, weights, of_each, np.full(4, -1))

    for coefficients, vector, system, of_row in zip(*found, of_each.tolist(), weights, strict=True):
        added, x = solved(embeddings, strengths, spectrum, numbers[system], of_row)
        assert coefficients == pytest.approx(added, rel=1e-3, abs=1e-4)
        assert vector == pytest.approx(x, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(("items", "components"), SIZES, ids=str)
@pytest.mark.parametrize("is_whitened", [True, False], ids=["by a spectrum", "by the identity"])
def test_without_an_item_the_others_are_folded_in_as_if_they_were_alone(
    of_kind, items, components, is_whitened
):
    embeddings, strengths, spectrum, numbers = systems_of(items, components, systems=2)
    spectrum = spectrum if is_whitened else None
    numbers[1, 5] = np.nan
    left_out = np.append(np.arange(items)[::-3], -1)
    of_each = np.arange(len(left_out)) % 2

    weights = weights_for(items, rows=len(left_out))

    found = of_kind.fold_in(embeddings, strengths, spectrum, numbers, weights, of_each, left_out)

    assert [part.shape for part in found] == [(len(left_out), items), (len(left_out), components)]
    told = of_each.tolist(), left_out.tolist(), weights
    for coefficients, vector, system, place, of_row in zip(*found, *told, strict=True):
        others = np.arange(items)[np.arange(items) != place]
        added, x = solved(embeddings[others], strengths[others], spectrum, numbers[system], of_row[others])
        assert coefficients[others] == pytest.approx(added, rel=1e-3, abs=1e-4)
        assert vector == pytest.approx(x, rel=1e-3, abs=1e-4)
        if place >= 0:
            assert coefficients[place] == 0


def test_with_nothing_to_solve_for_nothing_is_folded_in(of_kind):
    found = folded_in(of_kind, *systems_of(4, 8), NOTHING, NOTHING)

    assert [part.shape for part in found] == [(0, 4), (0, 8)]


def test_what_would_have_to_score_less_than_nothing_adds_nothing(of_kind):
    # What is wanted of two opposites is nothing in all.
    opposite, alike = np.array([[1.0], [-1.0]], np.float32), np.ones(2, np.float32)

    found = folded_in(of_kind, opposite, alike, None, numbers_of(1, 0, 0, 1, 0, 5), FIRST, NONE)

    assert [part.tolist() for part in found] == [[[0, 0]], [[0]]]


def test_a_spectrum_of_nothing_is_taken_for_next_to_nothing(of_kind):
    # As a component has one that no item uses.
    embeddings, one = np.array([[1, 0]], np.float32), np.ones(1, np.float32)
    spectrum = np.array([1, 0], np.float32)

    coefficients, vectors = folded_in(
        of_kind, embeddings, one, spectrum, numbers_of(1, 1, 0, 1, 0, np.nan), FIRST, NONE
    )

    assert coefficients.tolist() == [[0.5]]
    assert vectors.tolist() == [[0.5, 0]]


def test_what_is_not_finite_cannot_be_folded_in(of_kind):
    embeddings, *rest = systems_of(4, 8)
    embeddings[2, 3] = np.nan

    with pytest.raises(ValueError, match="not finite"):
        folded_in(of_kind, embeddings, *rest, FIRST, NONE)


@pytest.mark.parametrize("row", ["a spectrum", "a strength"])
def test_a_number_that_is_none_is_not_taken_for_a_small_one(of_kind, row):
    embeddings, strengths, spectrum, numbers = systems_of(4, 8)
    (spectrum if row == "a spectrum" else strengths)[1] = np.nan
    # So that nothing else is wrong with the system.
    embeddings *= np.float32(1e-3)
    numbers[:, [1, 3]] = 0

    with pytest.raises(ValueError, match="not finite"):
        folded_in(of_kind, embeddings, strengths, spectrum, numbers, FIRST, NONE)


@pytest.mark.parametrize("place", [4, -2])
def test_a_place_that_is_not_in_the_history_cannot_be_left_out(of_kind, place):
    with pytest.raises(IndexError, match=f"place {place}"):
        folded_in(of_kind, *systems_of(4, 8), FIRST, np.array([place]))


@pytest.mark.parametrize("system", [1, -1])
def test_a_system_that_is_not_there_cannot_be_solved(of_kind, system):
    with pytest.raises(IndexError, match=f"system {system}"):
        folded_in(of_kind, *systems_of(4, 8), np.array([system]), NONE)


def test_numbers_of_other_items_are_not_taken_for_those_of_the_history(compiled):
    embeddings, strengths, spectrum, numbers = systems_of(4, 8)

    alike = np.ones((1, 4), np.float32)
    for wrong in (
        (embeddings, strengths[:3], spectrum, numbers, alike, FIRST, NONE),
        (embeddings, strengths, spectrum[:7], numbers, alike, FIRST, NONE),
        (embeddings, strengths, spectrum, numbers, alike[:, :3], FIRST, NONE),
        (embeddings, strengths, spectrum, numbers, alike[:0], FIRST, NONE),
        (embeddings, strengths, spectrum, numbers, alike, FIRST, NOTHING),
    ):
        with pytest.raises(ValueError, match="do not belong together"):
            compiled.fold_in(*wrong)
    with pytest.raises(ValueError, match="a system is of 6 numbers, and not 5"):
        compiled.fold_in(embeddings, strengths, spectrum, numbers[:, :5], alike, FIRST, NONE)
    with pytest.raises(ValueError, match="no components"):
        compiled.fold_in(embeddings[:, :0], strengths, spectrum[:0], numbers, alike, FIRST, NONE)
