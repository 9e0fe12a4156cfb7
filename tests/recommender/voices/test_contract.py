"""What every voice keeps to, whatever it listens to."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest

from recsvc.recommender.voice import Voice
from recsvc.recommender.voices import voices

PARAMETERS = {
    "als": {"components": 8, "confidence": 10.0, "penalty": 30.0},
    "item_weights": {"penalty": 5.0, "neighbours": 50},
    "lightfm": {"components": 8, "epochs": 2, "learning_rate": 0.05, "alpha": 1e-5, "max_sampled": 10},
    "neighbours": {
        "source_exponent": 0.5,
        "target_exponent": 0.25,
        "sharpening": 0.5,
        "neighbours": 50,
    },
    "popularity": {"half_life": 30.0},
    "svd": {"components": 16, "filter": 0.5, "source_exponent": 0.5, "target_exponent": 0.5},
}
FEWEST_COMPONENTS = {"als": {"components": 2}, "lightfm": {"components": 2}, "svd": {"components": 1}}
LIMITS = {
    "components": 8,
    "epochs": 3,
    "learning_rate": 0.05,
    "alpha": 1e-5,
    "max_sampled": 10,
    "neighbours": 50,
    "factors": 64,
}
ITEMS = 290
EVERY = np.arange(ITEMS)


def fit(name: str, examples) -> Voice:
    return voices()[name].fit(examples, PARAMETERS[name], lambda done: None)


@pytest.fixture(scope="module", params=sorted(voices()))
def voice(request, shop) -> Voice:
    return fit(request.param, shop)


@pytest.fixture(scope="module")
def histories(history_of):
    return {
        "one item": history_of({7: 1}),
        "a few": history_of({3: 1, 8: 2, 14: 0.5}),
        "with a dislike": history_of({3: 1, 100: -2, 8: 2.5}),
        "more than components": history_of({item: 1 + item / 100 for item in range(0, 200, 3)}),
        "all items": history_of(dict.fromkeys(range(ITEMS), 1.0)),
        "an item that nobody likes": history_of({285: 1}),
        "such an item among others": history_of({285: 1, 4: 1}),
    }


def test_every_voice_is_under_test_and_named_as_its_file():
    assert sorted(voices()) == sorted(PARAMETERS)
    assert all(inspect.getmodule(voice).__name__.endswith(f".{name}") for name, voice in voices().items())
    assert list(voices()) == sorted(voices())


def test_one_alone_says_that_it_speaks_of_cold_items():
    assert [name for name, voice in voices().items() if voice.speaks_of_cold] == ["lightfm"]


def test_many_histories_are_scored_as_each_alone(voice, histories):
    together = voice.score_all(list(histories.values()))

    assert together.shape == (len(histories), ITEMS)
    assert together.dtype == np.float32
    for row, history in zip(together, histories.values(), strict=True):
        alone = voice.score(history, EVERY)
        assert alone.dtype == np.float32
        assert alone == pytest.approx(row, rel=1e-4, abs=1e-4)


def test_items_are_scored_in_the_order_asked_and_each_by_itself(voice, histories):
    history = histories["a few"]
    asked = np.array([200, 3, 289, 0, 150])

    whole = voice.score(history, EVERY)

    assert voice.score(history, asked) == pytest.approx(whole[asked], rel=1e-5, abs=1e-5)
    assert voice.score(history, asked[:1]) == pytest.approx(whole[asked[:1]], rel=1e-5, abs=1e-5)
    assert voice.score(history, asked[:0]).shape == (0,)


def test_an_opinion_gives_the_scores_of_any_items(voice, histories):
    for history in histories.values():
        opinion = voice.opinion(history)

        assert opinion.score(EVERY).tolist() == voice.score(history, EVERY).tolist()


def test_no_score_and_no_share_is_nan_or_infinite(voice, histories):
    for history in histories.values():
        assert np.isfinite(voice.score(history, EVERY)).all()
        assert np.isfinite(voice.opinion(history).shares(EVERY)).all()
    assert all(np.isfinite(array).all() for array in voice.arrays().values())


def test_shares_and_a_part_that_is_the_same_for_all_histories_add_up_to_the_score(voice, histories):
    shared = voice.score(histories["one item"], EVERY) - voice.opinion(histories["one item"]).shares(
        EVERY
    ).sum(axis=0)

    for history in histories.values():
        shares = voice.opinion(history).shares(EVERY)
        scores = voice.score(history, EVERY)
        assert shares.shape == (len(history.indexes), ITEMS)
        assert shares.dtype == np.float32
        assert shares.sum(axis=0) + shared == pytest.approx(scores, rel=1e-3, abs=1e-3)


def test_shares_of_some_items_are_those_of_all_items_in_the_order_asked(voice, histories):
    history = histories["with a dislike"]
    asked = np.array([200, 3, 289, 0, 150])

    assert voice.opinion(history).shares(asked) == pytest.approx(
        voice.opinion(history).shares(EVERY)[:, asked], rel=1e-5, abs=1e-6
    )


def test_no_items_have_no_shares(voice, histories):
    assert voice.opinion(histories["a few"]).shares(EVERY[:0]).shape == (3, 0)


def test_it_survives_its_arrays(voice, histories):
    served = voice.served()
    again = type(voice).from_arrays(voice.arrays(), ITEMS)

    for history in histories.values():
        assert again.score(history, EVERY).tolist() == served.score(history, EVERY).tolist()
        assert again.opinion(history).shares(EVERY).tolist() == served.opinion(history).shares(EVERY).tolist()


def test_it_is_served_nearly_as_it_was_fitted(voice, histories):
    for history in histories.values():
        fitted = voice.score(history, EVERY)
        spread = max(float(np.ptp(fitted)), 1e-6)
        assert np.abs(voice.served().score(history, EVERY) - fitted).max() < 0.03 * spread


def test_arrays_that_cannot_be_written_to_serve_as_well(voice, histories):
    arrays = {name: array.copy() for name, array in voice.arrays().items()}
    for array in arrays.values():
        array.flags.writeable = False
    mapped = type(voice).from_arrays(arrays, ITEMS)

    for history in histories.values():
        mapped.score(history, EVERY)
        mapped.score_all([history, history])
        mapped.opinion(history).shares(EVERY)


def test_more_arrays_than_its_own_are_not_minded(voice):
    type(voice).from_arrays(voice.arrays() | {"another": np.ones(3)}, ITEMS)


def test_each_array_that_is_missing_is_named(voice):
    for name in voice.arrays():
        lacking = {key: array for key, array in voice.arrays().items() if key != name}

        with pytest.raises(ValueError, match=f"missing: {name}$"):
            type(voice).from_arrays(lacking, ITEMS)


@pytest.mark.parametrize(
    "misshape", [lambda array: array[None], lambda array: array[0, ...]], ids=["+1", "-1"]
)
def test_each_array_of_another_number_of_dimensions_is_named(voice, misshape):
    for name, array in voice.arrays().items():
        with pytest.raises(ValueError, match=f"{name} has shape"):
            type(voice).from_arrays(voice.arrays() | {name: misshape(array)}, ITEMS)


@pytest.mark.parametrize("items", [ITEMS - 1, ITEMS + 1, 0])
def test_arrays_of_another_number_of_items_are_refused(voice, items):
    with pytest.raises(ValueError, match="has shape"):
        type(voice).from_arrays(voice.arrays(), items)


@pytest.mark.parametrize("name", sorted(voices()))
def test_one_thread_and_one_seed_repeat_it_bit_for_bit(shop, name):
    first, second = fit(name, shop).arrays(), fit(name, shop).arrays()

    assert all(np.array_equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", sorted(voices()))
@pytest.mark.parametrize(
    "likes",
    [
        [[1]],
        [[1, 1]],
        [[1], [2]],
        [[1, 2, 3], [3, 2, 1]],
        [[1, 0], [0, 1]],
        [[1, 0, 0]],
        [[0, 0], [0, 2]],
        [[5, 5, 0], [0, 0, 0], [5, 5, 0]],
    ],
    ids=[
        "one user, one item",
        "one user",
        "one item",
        "no negatives",
        "nothing in common",
        "cold items",
        "a user who likes nothing",
        "twins",
    ],
)
def test_the_smallest_data_gives_finite_scores(examples_of, history_of, name, likes):
    parameters = PARAMETERS[name] | FEWEST_COMPONENTS.get(name, {})
    items = len(likes[0])

    voice = voices()[name].fit(examples_of(likes), parameters, lambda done: None)

    for history in (
        history_of({0: 1}),
        history_of({items - 1: 2}),
        history_of(dict.fromkeys(range(items), 1)),
    ):
        scores = voice.score(history, np.arange(items))
        assert np.isfinite(scores).all()
        assert voice.score_all([history])[0] == pytest.approx(scores, rel=1e-4, abs=1e-5)
        assert np.isfinite(voice.opinion(history).shares(np.arange(items))).all()
    assert all(np.isfinite(array).all() for array in voice.arrays().values())


@pytest.mark.parametrize("name", sorted(voices()))
@pytest.mark.parametrize("judge", [None, lambda voice: 0.5], ids=["untold", "told"])
def test_what_was_chosen_can_be_fitted_and_progress_never_goes_back(shop, histories, name, judge):
    told = []
    chosen, parameters = voices()[name].choose(shop, judge, LIMITS, told.append)

    fitted = voices()[name].fit(shop, parameters, told.append)

    # Not the same: an approximate decomposition may be fitted to another width.
    both = [voice.score(histories["more than components"], EVERY) for voice in (chosen, fitted)]
    assert np.corrcoef(both)[0, 1] > 0.95
    assert all(0 <= done <= 1 for done in told)


@pytest.mark.parametrize("name", sorted(set(voices()) - {"popularity"}))  # which is over before it could tell
def test_whoever_is_told_of_progress_can_end_a_fit(shop, name):
    def stop(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        voices()[name].fit(shop, PARAMETERS[name], stop)


@pytest.mark.parametrize("name", sorted(voices()))
def test_several_threads_learn_as_much_as_one(shop, histories, name):
    if name == "lightfm":
        pytest.skip("its threads race, and give another fit each time")

    alone, together = fit(name, shop), fit(name, replace(shop, threads=3))

    expected = alone.score(histories["a few"], EVERY)
    assert together.score(histories["a few"], EVERY) == pytest.approx(expected, rel=1e-2, abs=1e-3)
