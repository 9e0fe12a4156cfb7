"""Early stopping finds how long to fit, and says what it found."""

import numpy as np
import pytest

from recsvc.recommender.early_stopping import EPOCHS_UNTOLD, choose_epochs
from recsvc.recommender.features import build_features
from recsvc.recommender.interactions import EventScale, InteractionColumns, build_matrix
from recsvc.recommender.lightfm_model import LightFMParameters

NONE = np.empty(0, np.int32)
SCALE = EventScale(np.array([0.0, 1.0], np.float32), rating_code=-1, neutral=2.5, best=5.0)


def two_tastes(users):
    """Each user likes seven of the ten items of one of two groups."""
    random = np.random.default_rng(3)
    rows = [(user, item + 10 * (user % 2)) for user in range(users) for item in random.permutation(10)[:7]]
    user_keys, item_keys = np.array(rows, np.int32).T
    count = len(rows)
    return InteractionColumns(
        user_keys, item_keys, np.ones(count, np.int16), np.zeros(count, np.float32), np.arange(count)
    )


def choose(columns, *, epochs=12, on_epoch=lambda _epoch: None):
    matrix = build_matrix(columns, SCALE, NONE)
    return choose_epochs(
        matrix=matrix,
        columns=columns,
        item_features=build_features(matrix.item_keys, NONE, NONE),
        user_features=build_features(matrix.user_keys, NONE, NONE),
        parameters=LightFMParameters(
            components=8, epochs=epochs, learning_rate=0.05, alpha=0.0, max_sampled=10, seed=1, threads=1
        ),
        on_epoch=on_epoch,
    )


def test_the_chosen_number_foretells_better_than_popularity_and_both_are_told():
    choice = choose(two_tastes(users=60))

    assert 1 <= choice.epochs <= 12
    assert choice.metrics["held_out_users"] == 60
    assert choice.metrics["ndcg_at_10"] > choice.metrics["popularity"]["ndcg_at_10"]


def test_the_search_ends_when_longer_fits_foretell_no_better():
    done = []

    choice = choose(two_tastes(users=60), epochs=500, on_epoch=done.append)

    assert choice.epochs <= done[-1] < 500


def test_with_too_few_users_to_tell_a_short_fit_is_chosen_and_nothing_claimed():
    choice = choose(two_tastes(users=10))

    assert (choice.epochs, choice.metrics) == (EPOCHS_UNTOLD, None)


def test_a_caller_can_end_the_search():
    def stop(_epoch):
        raise KeyError("cancelled")

    with pytest.raises(KeyError, match="cancelled"):
        choose(two_tastes(users=60), on_epoch=stop)
