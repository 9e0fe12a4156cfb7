"""Where keys are."""

from __future__ import annotations

import numpy as np
import pytest

GAPLESS = np.arange(10, 60, dtype=np.int32)
NO_KEYS = GAPLESS[:0]
FAR_APART = np.array([-7, 3, 4, 900, 2**31 - 1], np.int32)


@pytest.mark.parametrize("known", [GAPLESS, FAR_APART, GAPLESS[::7].copy(), GAPLESS[:1]], ids=len)
def test_each_key_is_found_where_it_is(of_kind, known):
    found = of_kind.find(known, NO_KEYS, known[::-1].astype(np.int64))

    assert found.tolist() == list(range(len(known)))[::-1]
    assert found.dtype == np.intp


@pytest.mark.parametrize("known", [GAPLESS, FAR_APART, GAPLESS[::7].copy(), GAPLESS[:0]], ids=len)
def test_keys_that_are_not_there_are_found_nowhere(of_kind, known):
    strange = {-(2**40), -8, 2, 5, 899, 901, 2**31, 2**31 + 10, 2**40} - set(known.tolist())

    assert of_kind.find(known, NO_KEYS, np.array(sorted(strange))).tolist() == []


@pytest.mark.parametrize("seed", range(5))
def test_of_all_numbers_those_are_found_that_are_there(of_kind, seed):
    """Whatever is missing between them, and whatever is asked for again."""
    random = np.random.default_rng(seed)
    known = np.flatnonzero(random.random(500) < random.random()).astype(np.int32)
    keys = random.integers(-5, 505, 2_000)

    assert known[of_kind.find(known, NO_KEYS, keys)].tolist() == keys[np.isin(keys, known)].tolist()


def test_keys_that_came_later_follow_those_that_are_known(of_kind):
    later = np.array([2, 70, 90], np.int32)

    # 50 known ones; the order is that of the keys that are asked for.
    assert of_kind.find(GAPLESS, later, np.array([90, 10, 2, 3, 59])).tolist() == [52, 0, 50, 49]
    assert of_kind.find(NO_KEYS, later, np.array([90, 10])).tolist() == [2]
