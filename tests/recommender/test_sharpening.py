"""What follows from relations to third items is taken away. The numbers are worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recsvc.recommender import relations as rows_of_items
from recsvc.recommender.relations import Relations
from recsvc.recommender.sharpening import blur, sharpen


def relations_of(rows, sources=None) -> Relations:
    matrix = sparse.csr_array(np.array(rows, np.float32))
    counted = np.ones(len(rows)) if sources is None else sources
    return Relations(
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int32),
        matrix.data,
        np.array(counted, np.float32),
    )


def dense(relations: Relations) -> np.ndarray:
    shape = len(relations), len(relations)
    return sparse.csr_array((relations.weights, relations.items, relations.bounds), shape=shape).toarray()


# Entries in the order of rows: 0→1, 0→2, 1→0, 2→0.
DIRECT = [[0, 4, 1], [5, 0, 0], [0.5, 0, 0]]
# Items 1 and 2 are related by 3 both ways; the spectral radius is 3, so that 1 is left of it.
THIRD = [[0, 0, 0], [0, 0, 3], [0, 3, 0]]


def test_a_pair_is_blurred_by_each_way_through_a_third_item():
    # 0→1 is 0→2→1 = 1 · 1, and 0→2 is 0→1→2 = 4 · 1. Nothing leads back to 0.
    assert blur(relations_of(DIRECT), relations_of(THIRD), 1) == pytest.approx([1, 4, 0, 0])


def test_what_items_count_for_in_a_history_is_part_of_the_way_through_but_not_of_the_relation():
    direct = relations_of(DIRECT, sources=[7, 7, 7])
    through = relations_of([[0, 0, 0], [0, 0, 2], [0, 8, 0]], sources=[1, 2, 0.5])

    # 2 · 2 and 8 · ½ are both 4, which is then the radius.
    assert blur(direct, through, 1) == pytest.approx([1, 4, 0, 0])


def test_a_relation_is_left_with_what_does_not_follow_from_others():
    direct = relations_of(DIRECT, sources=[1, 2, 3])

    sharp = sharpen(direct, np.array([1, 4, 0, 0], np.float32), 0.5)

    assert dense(sharp) == pytest.approx(np.array([[0, 3.5, 0.01], [5, 0, 0], [0.5, 0, 0]]))
    assert sharp.sources.tolist() == [1, 2, 3]


def test_a_relation_of_which_nothing_is_left_ends_where_the_item_keeps_ten_others():
    many = np.zeros((12, 12))
    many[0, 1:], many[1, 2:] = 4, 4  # eleven relations, and ten
    blurred = np.zeros(21, np.float32)
    blurred[[0, 11]] = 9  # those of items 0 and 1 to the next

    sharp = dense(sharpen(relations_of(many), blurred, 1.0))

    assert sharp[0].tolist() == [0, 0, *[4] * 10]
    assert sharp[1] == pytest.approx([0, 0, 0.04, *[4] * 9])


def test_an_item_with_few_relations_keeps_those_faintly_of_which_nothing_would_be_left():
    direct = relations_of(DIRECT)

    # Of 0→1 and 0→2 are left 4 - 9/2 and 1 - 4/2, less than nothing; and of 1→0 a half.
    sharp = sharpen(direct, np.array([9, 4, 9, 0], np.float32), 0.5)

    assert dense(sharp) == pytest.approx(np.array([[0, 0.04, 0.01], [0.5, 0, 0], [0.5, 0, 0]]))


def test_an_item_without_relations_stays_without():
    direct = relations_of([[0, 2, 0], [0, 0, 0], [0, 3, 0]])

    sharp = sharpen(direct, np.array([9, 0], np.float32), 1.0)

    assert dense(sharp) == pytest.approx(np.array([[0, 0.02, 0], [0, 0, 0], [0, 3, 0]]))


def test_with_a_strength_of_zero_nothing_changes():
    direct = relations_of(DIRECT)

    assert dense(sharpen(direct, blur(direct, relations_of(THIRD), 1), 0.0)) == pytest.approx(
        np.array(DIRECT)
    )


@pytest.mark.parametrize(
    "through",
    [np.zeros((3, 3)), [[0, 2, 0], [0, 0, 2], [0, 0, 0]]],
    ids=["nothing related", "no way back"],
)
def test_where_relations_lead_nowhere_nothing_is_blurred(through):
    assert blur(relations_of(DIRECT), relations_of(through), 1).tolist() == [0, 0, 0, 0]


def test_no_relations_are_blurred_to_none():
    assert blur(relations_of(np.zeros((2, 2))), relations_of([[0, 1], [1, 0]]), 1).tolist() == []


@pytest.mark.parametrize("at_once", [1, 300])
@pytest.mark.parametrize("threads", [1, 4])
def test_blocks_and_threads_make_no_difference(monkeypatch, at_once, threads):
    random = np.random.default_rng(5)
    weights = random.random((40, 40)) * (random.random((40, 40)) < 0.3)
    through = weights + weights.T
    present = weights > 0
    expected = (weights @ (through / np.linalg.eigvalsh(through).max()))[present]
    monkeypatch.setattr(rows_of_items, "_WORK_OF_A_BLOCK", at_once)

    assert blur(relations_of(weights), relations_of(through), threads) == pytest.approx(expected, rel=1e-5)
