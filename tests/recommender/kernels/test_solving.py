"""Many small systems of equations, each of a few rows beside the identity."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from recsvc.recommender.kernels import plain

EMBEDDINGS = np.array([[1, 0], [0, 2]], np.float32)


def floats(*numbers):
    return np.array(numbers, np.float32)


def many(components, rows=30, items=50, seed=0):
    """Random systems, some of no entry and some of more entries than components."""
    random = np.random.default_rng(seed)
    lengths = random.integers(0, 2 * components, rows)
    lengths[3] = 0
    entries = int(lengths.sum())
    return (
        random.standard_normal((items, components)).astype(np.float32),
        np.concatenate([[0], np.cumsum(lengths)]),
        random.integers(0, items, entries).astype(np.int32),
        random.uniform(0, 3, entries).astype(np.float32),
        random.uniform(0, 2, entries).astype(np.float32),
    )


def test_each_row_solves_a_system_of_its_own(of_kind):
    # x + 1 · x = 3 · 1; nothing; and, each component by itself, x + 1 · x = 2 · 1 and y + 0.5 · 4 y = 1 · 2.
    bounds, items = np.array([0, 1, 1, 3]), np.array([0, 0, 1], np.int32)

    found = of_kind.solve_rows(EMBEDDINGS, bounds, items, floats(3, 2, 1), floats(1, 1, 0.5), 2)

    assert found == pytest.approx(np.array([[1.5, 0], [0, 0], [1, 2 / 3]]))


@pytest.mark.parametrize("components", [1, 7, 64, 70])
def test_with_as_many_steps_as_components_it_is_the_solution(of_kind, components):
    embeddings, bounds, items, wanted, counted = many(components)

    found = of_kind.solve_rows(embeddings, bounds, items, wanted, counted, 3 * components)

    for row, (begin, end) in enumerate(pairwise(bounds)):
        rows = embeddings[items[begin:end]].astype(np.float64)
        matrix = np.eye(components) + rows.T @ (counted[begin:end, None] * rows)
        expected = np.linalg.solve(matrix, rows.T @ wanted[begin:end])
        assert found[row] == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_what_is_compiled_takes_the_steps_that_plain_takes(compiled, steps):
    systems = many(70, seed=1)

    found = compiled.solve_rows(*systems, steps)

    assert found == pytest.approx(plain.solve_rows(*systems, steps), rel=1e-3, abs=1e-4)
    assert found.any() == (steps > 0)


def test_some_of_the_rows_are_solved_as_they_are_among_all(of_kind):
    embeddings, bounds, items, wanted, counted = many(16)
    of_all = of_kind.solve_rows(embeddings, bounds, items, wanted, counted, 3)

    of_some = of_kind.solve_rows(embeddings, bounds[10:21], items, wanted, counted, 3)

    assert of_some == pytest.approx(of_all[10:20], rel=1e-4, abs=1e-5)


def test_nothing_to_solve_is_no_rows(of_kind):
    nothing = np.zeros(1, np.int64), np.empty(0, np.int32), floats(), floats()

    assert of_kind.solve_rows(EMBEDDINGS, *nothing, 2).shape == (0, 2)


@pytest.mark.parametrize("item", [-1, 2, 2_000_000_000])
def test_an_item_that_is_not_there_is_refused(of_kind, item):
    with pytest.raises(IndexError):
        of_kind.solve_rows(EMBEDDINGS, np.array([0, 1]), np.array([item], np.int32), floats(1), floats(1), 1)


@pytest.mark.parametrize("bounds", [[0, 3], [-1, 1], [2, 1], [0, 2, 1]])
def test_a_row_that_is_not_within_the_entries_is_refused(of_kind, bounds):
    of_items = np.zeros(2, np.int32), floats(1, 1), floats(1, 1)

    with pytest.raises(IndexError):
        of_kind.solve_rows(EMBEDDINGS, np.array(bounds), *of_items, 1)


@pytest.mark.parametrize(("wanted", "counted"), [(1, 2), (2, 1), (3, 3)])
def test_more_or_fewer_numbers_than_items_are_refused(of_kind, wanted, counted):
    numbers = np.ones(wanted, np.float32), np.ones(counted, np.float32)

    with pytest.raises(ValueError, match="items, and"):
        of_kind.solve_rows(EMBEDDINGS, np.array([0, 2]), np.zeros(2, np.int32), *numbers, 1)
