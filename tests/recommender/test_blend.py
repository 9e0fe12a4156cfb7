"""How much each voice counts: by hand where a number can be, and by constructed data where it is learned."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from recsvc.recommender.blend import Blend, learn_blend
from recsvc.recommender.voice import Voice
from recsvc.recommender.voices.popularity import PopularOpinion

ITEMS = 60


@dataclass(frozen=True)
class Told(Voice):
    """Says of each user, by the first item of their history, what it was told to."""

    rows: np.ndarray
    speaks_of_cold: bool = False

    choose = fit = from_arrays = classmethod(lambda cls, *_: None)

    def opinion(self, history):
        return PopularOpinion(self.rows[history.indexes.min()].astype(np.float32), history)

    def score_all(self, histories):
        return np.stack([self.opinion(history).scores for history in histories])

    def arrays(self):
        return {"rows": self.rows}


def learn(voices, histories, relevant, *, is_hot=None, on_progress=lambda done: None) -> Blend:
    hot = np.ones(voices[min(voices)].rows.shape[1], dtype=bool) if is_hot is None else is_hot
    return learn_blend(voices, histories, relevant, hot, seed=3, threads=2, on_progress=on_progress)


def blend_of(lengths, weights) -> Blend:
    nothing = np.zeros(len(weights[0]), np.float32)
    return Blend(np.array(lengths, np.float32), np.array(weights, np.float32), nothing, nothing)


def test_between_two_lengths_weights_change_with_the_logarithm():
    blend = blend_of([1, 9], [[1, 0], [0, 4]])

    # 3 is half way from 1 to 9.
    assert blend.at(3).tolist() == pytest.approx([0.5, 2])
    assert blend.at(1).tolist() == [1, 0]
    assert blend.at(9).tolist() == pytest.approx([0, 4], abs=1e-6)


@pytest.mark.parametrize(("length", "expected"), [(0, [1, 0]), (1, [1, 0]), (2, [1, 0]), (10_000, [0, 4])])
def test_outside_of_all_lengths_weights_are_those_of_the_nearest(length, expected):
    assert blend_of([3, 9], [[1, 0], [0, 4]]).at(length).tolist() == expected


@pytest.mark.parametrize("length", [0, 1, 50])
def test_weights_of_one_length_are_those_of_every_length(length):
    assert blend_of([10], [[2, 3]]).at(length).tolist() == [2, 3]


def test_untold_all_voices_count_alike_once_brought_to_one_scale(history_of):
    # Deviations 1 and 10 (of 0 and 2, of 0 and 20).
    voices = {"a": Told(np.array([[0, 2], [0, 2]])), "b": Told(np.array([[0, 20], [20, 0]]))}

    blend = learn(voices, [history_of({0: 1}), history_of({1: 1})], None)

    assert blend.lengths.tolist() == [1]
    assert blend.weights.tolist() == [pytest.approx([0.5, 0.05])]
    # Nothing speaks of cold items: their score would be the voice's mean.
    assert blend.slopes.tolist() == [0, 0]
    assert blend.offsets.tolist() == [1, 10]


def test_a_voice_that_says_the_same_of_all_items_is_left_on_its_scale(history_of):
    voices = {"a": Told(np.array([[7.0, 7.0]])), "b": Told(np.array([[0.0, 2.0]]))}

    blend = learn(voices, [history_of({0: 1})], None)

    assert blend.weights.tolist() == [pytest.approx([0.5, 0.5])]


@pytest.mark.parametrize(("items", "said"), [(4_000, 3.3), (40_981, 0.1), (40_981, 1.0986123)])
def test_rounding_is_not_taken_for_what_tells_items_apart(history_of, items, said):
    rows, is_hot = np.full((12, items + 1), said), np.arange(items + 1) > 0
    rows[:, 0] = 0  # of a cold item, as with popularity
    voices = {"a": Told(rows), "b": Told(np.tile(np.arange(items + 1) % 2, (12, 1)))}

    blend = learn(voices, [history_of({user: 1}) for user in range(12)], None, is_hot=is_hot)

    assert blend.weights[0, 0] == 0.5


def test_a_voice_whose_scores_are_near_to_each_other_is_brought_to_the_scale_of_others(history_of):
    # 100 apart from 0, and 1 from each other: a deviation of 0.5.
    voices = {"a": Told(np.array([[100.0, 101.0]])), "b": Told(np.array([[0.0, 2.0]]))}

    blend = learn(voices, [history_of({0: 1})], None)

    assert blend.weights.tolist() == [pytest.approx([1, 0.5], rel=1e-3)]


def test_slope_and_offset_are_those_of_the_regression_on_the_voice_that_speaks_of_cold_items(history_of):
    # Over hot items (0, 1, 2, 3) to (1, 3, 5, 7): slope 2, offset 1. To (3, 2, 1, 0): falling, so the mean.
    # The last item is cold, and not among them.
    voices = {
        "cold": Told(np.array([[0.0, 1, 2, 3, 90]]), speaks_of_cold=True),
        "falls": Told(np.array([[3.0, 2, 1, 0, 50]])),
        "rises": Told(np.array([[1.0, 3, 5, 7, -80]])),
    }

    blend = learn(voices, [history_of({0: 1})], None, is_hot=np.array([True] * 4 + [False]))

    assert blend.slopes.tolist() == pytest.approx([1, 0, 2])
    assert blend.offsets.tolist() == pytest.approx([0, 1.5, 1])


def test_where_the_voice_of_cold_items_says_the_same_of_all_others_are_foretold_their_mean(history_of):
    voices = {"cold": Told(np.array([[5.0, 5]]), speaks_of_cold=True), "other": Told(np.array([[0.0, 4]]))}

    blend = learn(voices, [history_of({0: 1})], None)

    assert blend.slopes.tolist() == [1, 0]
    assert blend.offsets.tolist() == [0, 2]


@pytest.fixture
def oracle_and_noise(history_of):
    """40 users; what user u likes next is known to `oracle` alone. Histories are of one item or of twelve."""
    random = np.random.default_rng(0)
    relevant = [np.sort(random.choice(np.arange(52, ITEMS), 3, replace=False)) for _ in range(40)]
    oracle = np.zeros((ITEMS, ITEMS))
    for user, items in enumerate(relevant):
        oracle[user, items] = 1
    noise = random.normal(size=(ITEMS, ITEMS))
    return {"noise": Told(noise), "oracle": Told(oracle)}, relevant


@pytest.mark.parametrize("users", [40, 3, 1])
def test_the_voice_that_knows_gets_the_weight_and_noise_none_that_changes_a_list(
    oracle_and_noise, history_of, users
):
    voices, relevant = oracle_and_noise
    histories = [history_of({user: 1}) for user in range(users)]

    blend = learn(voices, histories, relevant[:users])

    weights = blend.at(1)
    assert weights[1] > 0
    for user in range(users):
        blended = sum(
            weight * voice.rows[user] for weight, voice in zip(weights, voices.values(), strict=True)
        )
        blended[user] = -np.inf
        assert set(np.argsort(-blended)[:3].tolist()) == set(relevant[user].tolist())


@pytest.mark.parametrize("decoy", ["seen", "cold"])
def test_what_no_list_could_hold_takes_no_place_from_what_was_held_out(history_of, decoy):
    """One voice prefers what no list holds to what was held out; the other what all lists may hold."""
    users, held_out, open_item, cold_item = 40, 50, 51, 59
    rows_of = {name: np.zeros((ITEMS, ITEMS)) for name in ("fooled", "right")}
    for rows in rows_of.values():
        rows[:, held_out] = 1
    rows_of["fooled"][:, open_item] = 5
    seen, nobodys = np.arange(ITEMS), np.full(ITEMS, cold_item)
    rows_of["right"][np.arange(ITEMS), seen if decoy == "seen" else nobodys] = 5

    blend = learn(
        {name: Told(rows) for name, rows in rows_of.items()},
        [history_of({user: 1}) for user in range(users)],
        [np.array([held_out])] * users,
        is_hot=np.arange(ITEMS) != cold_item,
    )

    assert blend.weights[:, 0].tolist() == [0] * len(blend.weights)
    assert blend.weights[:, 1].min() > 0


def test_a_length_that_few_histories_have_has_no_weights_of_its_own(oracle_and_noise, history_of):
    # 40 users like three items or more, and 20 of them ten: fewer than 30.
    voices, relevant = oracle_and_noise
    histories = [
        history_of({user: 1} | dict.fromkeys(range(40, 50 if user < 20 else 42), 1)) for user in range(40)
    ]

    assert learn(voices, histories, relevant).lengths.tolist() == [1, 3]


def test_with_too_few_users_for_any_length_there_are_weights_for_all(oracle_and_noise, history_of):
    voices, relevant = oracle_and_noise

    blend = learn(voices, [history_of({user: 1}) for user in range(29)], relevant[:29])

    assert blend.lengths.tolist() == [1]
    assert blend.weights.shape == (1, 2)


def test_where_no_candidate_was_held_out_weights_are_finite_and_not_all_zero(oracle_and_noise, history_of):
    # What was held out is liked by nobody else: it is cold, and no candidate.
    voices, _ = oracle_and_noise
    hot = np.arange(ITEMS) != 59

    histories = [history_of({user: 1}) for user in range(35)]
    blend = learn(voices, histories, [np.array([59])] * 35, is_hot=hot)

    assert np.isfinite(blend.weights).all()
    assert blend.weights.any()


def test_one_seed_gives_one_blend(oracle_and_noise, history_of):
    voices, relevant = oracle_and_noise
    histories = [history_of({user: 1, 45: 1, 46: 1}) for user in range(40)]

    first, second = (learn(voices, histories, relevant) for _ in range(2))

    assert all(np.array_equal(array, second.arrays()[name]) for name, array in first.arrays().items())


def test_whoever_is_told_of_progress_can_end_the_search(oracle_and_noise, history_of):
    voices, relevant = oracle_and_noise

    def stop(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(voices, [history_of({user: 1}) for user in range(40)], relevant, on_progress=stop)


def test_a_blend_survives_its_arrays_and_refuses_others_by_name():
    arrays = blend_of([1, 9], [[1, 0], [0, 4]]).arrays()

    assert Blend.from_arrays(arrays, 2).at(3).tolist() == pytest.approx([0.5, 2])
    for name in arrays:
        with pytest.raises(ValueError, match=f"missing: {name}$"):
            Blend.from_arrays({key: array for key, array in arrays.items() if key != name}, 2)
        with pytest.raises(ValueError, match=f"{name} has shape"):
            Blend.from_arrays(arrays | {name: arrays[name][None]}, 2)
    with pytest.raises(ValueError, match="weights has shape"):
        Blend.from_arrays(arrays, 3)


def test_a_voice_of_noise_beside_two_good_ones_is_hardly_ever_heard(history_of):
    # Of sixty users, some half of them always has some use for it.
    users, items, heard = 60, 400, 0
    histories = [history_of({user: 1}) for user in range(users)]
    for seed in range(8):
        random = np.random.default_rng(seed)
        wanted = random.integers(items, size=users)
        rows = {name: random.normal(size=(users, items)) for name in ("one", "other", "zz noise")}
        for name in ("one", "other"):
            rows[name][np.arange(users), wanted] += 2.0

        blend = learn(
            {name: Told(of_voice) for name, of_voice in rows.items()},
            histories,
            [np.array([item]) for item in wanted.tolist()],
        )

        assert (blend.weights[:, :2] > 0).all()
        heard += bool(blend.weights[:, 2].any())
    assert heard <= 2


@pytest.mark.parametrize(
    ("recency", "kept"), [(0.5, [{(5,), (9,)}, {(5, 3, 8), (9, 4, 2)}]), (0.0, None)], ids=["newest", "any"]
)
def test_histories_are_cut_to_the_newest_where_the_newest_counts(history_of, recency, kept):
    asked = set()

    @dataclass(frozen=True)
    class Listening(Told):
        def score_all(self, histories):
            asked.update((tuple(history.indexes.tolist()), history.recency) for history in histories)
            return super().score_all(histories)

    long = [[5, 3, 8, 1, 7, 6], [9, 4, 2, 1, 7, 6]]
    histories = [replace(history_of(dict.fromkeys(long[user % 2], 1)), recency=recency) for user in range(40)]
    voices = {"a": Listening(np.random.default_rng(1).normal(size=(ITEMS, ITEMS)))}

    blend = learn(voices, histories, [np.array([50])] * 40)

    assert blend.recency == recency
    assert {of_one for _, of_one in asked} == {recency}
    cut = [{items for items, _ in asked if len(items) == length} for length in (1, 3)]
    assert cut == kept if kept else min(map(len, cut)) > 2
