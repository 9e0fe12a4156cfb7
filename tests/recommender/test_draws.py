"""Chance by keys: even, independent, and the same in whatever company."""

import numpy as np
import pytest

from recsvc.recommender.draws import Purpose, chances

USERS = np.arange(20_000, dtype=np.int32)
LIMIT = 5 / np.sqrt(len(USERS))  # five standard errors of a correlation


def test_a_key_has_the_same_number_whoever_else_is_there():
    some = USERS[::7]

    assert chances(1, Purpose.USERS, some).tolist() == chances(1, Purpose.USERS, USERS)[::7].tolist()


def test_keys_are_told_by_their_number_and_not_by_their_type():
    narrow, wide = USERS[:9], USERS[:9].astype(np.int64)

    assert chances(1, Purpose.USERS, narrow).tolist() == chances(1, Purpose.USERS, wide).tolist()


def test_numbers_are_spread_evenly():
    drawn = chances(1, Purpose.USERS, USERS)

    assert (drawn >= 0).all()
    assert (drawn < 1).all()
    counts = np.bincount((drawn * 20).astype(int), minlength=20)
    # A thousand each, with a standard deviation of 31.
    assert (np.abs(counts - 1_000) < 155).all()


@pytest.mark.parametrize(
    "other",
    [
        lambda: chances(2, Purpose.USERS, USERS),
        lambda: chances(1, Purpose.ORDER, USERS),
        lambda: chances((1 << 31) + 1, Purpose.USERS, USERS),
        lambda: chances(1, Purpose.USERS, USERS + 1),
        lambda: chances(1, Purpose.USERS, USERS, np.zeros_like(USERS)),
        lambda: USERS / len(USERS),
    ],
    ids=["another seed", "another purpose", "a far seed", "the next key", "a pair", "the key itself"],
)
def test_numbers_tell_nothing_of_others(other):
    correlation = np.corrcoef(chances(1, Purpose.USERS, USERS), other())[0, 1]

    assert abs(correlation) < LIMIT


def test_a_pair_is_another_than_the_same_keys_the_other_way_round():
    one, other = np.array([3, 8]), np.array([8, 3])

    first, second = chances(1, Purpose.ORDER, one, other).tolist()

    assert first != second


def test_users_are_not_alike_in_which_of_the_same_items_come_first():
    users, items = np.repeat(np.arange(200), 100), np.tile(np.arange(100), 200)

    drawn = chances(1, Purpose.ORDER, users, items).reshape(200, 100)

    between = np.corrcoef(drawn)[np.triu_indices(200, 1)]
    # 19,900 correlations of 100 numbers each, whose deviation is 0.1.
    assert abs(between.mean()) < 5 * 0.1 / np.sqrt(19_900)
    assert 0.09 < between.std() < 0.11


def splitmix64(state):
    """One step of the generator, in plain integers."""
    mixed = (state + 0x9E3779B97F4A7C15) % 2**64
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % 2**64
    return mixed ^ mixed >> 31


def test_numbers_are_those_of_splitmix64_taken_over_seed_purpose_and_keys():
    # The first that the generator is published to give for 0.
    assert splitmix64(0) == 0xE220A8397B1DCDAF

    of_purpose = splitmix64(splitmix64(7) ^ Purpose.ORDER)
    of_pair = splitmix64(splitmix64(of_purpose ^ 3) ^ 2_000_000_000)

    # The 53 uppermost bits are what a float64 holds.
    assert chances(7, Purpose.ORDER, np.array([3]), np.array([2_000_000_000])).tolist() == [
        (of_pair >> 11) / 2**53
    ]


def test_no_key_gives_no_number():
    assert chances(1, Purpose.USERS, np.empty(0, np.int32)).tolist() == []
