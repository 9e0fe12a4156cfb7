"""Voices of embeddings, and a sparse matrix times a dense one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recsvc.recommender import factors
from recsvc.recommender.factors import FactorOpinion, FactorVoice, multiply


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("rows_at_once", [1, 4, 10, 4096])
def test_the_product_is_the_same_however_it_is_divided(monkeypatch, threads, rows_at_once):
    monkeypatch.setattr(factors, "_ROWS_AT_ONCE", rows_at_once)
    random = np.random.default_rng(0)
    rows = random.integers(-2, 3, (10, 6)).astype(np.float32)
    dense = random.integers(-5, 6, (6, 3)).astype(np.float32)

    product = multiply(sparse.csr_array(rows), dense, threads)

    assert product.tolist() == (rows @ dense).tolist()  # integers: no rounding
    assert product.dtype == np.float32


def test_no_rows_make_an_empty_product():
    assert multiply(sparse.csr_array((0, 6), dtype=np.float32), np.ones((6, 3), np.float32), 2).shape == (
        0,
        3,
    )


class Sum(FactorVoice):
    """Each liked item adds its embedding, as often as it is liked."""

    name = "sum"

    def __init__(self):
        super().__init__(np.array([[1, 0], [0, 1], [2, 3]], np.float32))

    choose = fit = from_arrays = classmethod(lambda cls, *_: None)

    def opinion(self, history):
        embeddings, strengths = self.embeddings[history.indexes], history.strengths
        return FactorOpinion(self, history, embeddings, strengths, strengths @ embeddings)

    def arrays(self):
        return {"embeddings": self.embeddings}


def test_a_vector_is_the_sum_of_its_parts(history_of):
    history = history_of({0: 2, 2: 1})

    assert Sum().opinion(history).parts.tolist() == [[2, 0], [2, 3]]
    assert Sum().vector(history).tolist() == [4, 3]


def test_an_opinion_scores_any_items(history_of):
    opinion = Sum().opinion(history_of({0: 2, 2: 1}))

    assert opinion.score(np.array([1])).tolist() == [3]
    assert opinion.score(np.empty(0, np.intp)).tolist() == []


def test_a_score_is_the_product_of_the_vector_and_the_embedding(history_of):
    history = history_of({0: 2, 2: 1})

    assert Sum().score(history, np.array([2, 0])).tolist() == [17, 4]
    assert Sum().score_all([history, history_of({1: 1})]).tolist() == [[4, 3, 17], [0, 1, 3]]


def test_a_share_is_the_product_of_the_part_and_the_embedding(history_of):
    assert Sum().opinion(history_of({0: 2, 2: 1})).shares(np.array([2, 0])).tolist() == [[4, 2], [13, 2]]


def test_who_likes_nothing_has_a_vector_of_zeros(history_of):
    assert Sum().score(history_of({}), np.arange(3)).tolist() == [0, 0, 0]
