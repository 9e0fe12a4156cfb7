"""How much the newest is to count: more where the next thing goes with it, alike where nobody can tell."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from recsvc.recommender import comparison, fitting, search, trial
from recsvc.recommender.evaluation import rank_all
from recsvc.recommender.examples import Examples, History
from recsvc.recommender.interactions import EventScale, InteractionColumns, build_matrix
from recsvc.recommender.judging import Jury
from recsvc.recommender.metrics import evaluate_lists
from recsvc.recommender.recency import choose_recency, fit_plain, with_recency
from recsvc.recommender.split import HeldOut, hold_out_latest

USERS, SERIES, LENGTH, READ = 200, 12, 10, 3
NEIGHBOURS = {"neighbours": {"neighbours": 50}}
SCALE = EventScale(np.ones(1, np.float32), -1, 0, 1)


def ignore(*_) -> None:
    pass


@pytest.fixture(scope="module")
def shop_of_series(labelled):
    """Each of 200 users reads volumes of one series after another, in their order, one a day."""
    random = np.random.default_rng(3)
    rows = [
        (user, int(series) * LENGTH + int(volume))
        for user in range(USERS)
        for series in random.choice(SERIES, 5, replace=False)
        for volume in np.sort(random.choice(LENGTH, READ + 1, replace=False))
    ]
    users, items = np.array(rows).T
    columns = InteractionColumns(
        users.astype(np.int32),
        items.astype(np.int32),
        np.zeros(len(rows), np.int16),
        np.ones(len(rows), np.float32),
        np.arange(len(rows), dtype=np.int64) * 86_400_000_000,
    )
    matrix = build_matrix(columns, SCALE, np.arange(SERIES * LENGTH, dtype=np.int32))
    features = labelled(SERIES * LENGTH, {}), labelled(USERS, {})
    examples = Examples(matrix.strengths, matrix.ages, *features, seed=1, threads=1)
    # The last volume that each has read is of the series that they are in.
    held_out = hold_out_latest(matrix, columns, share=0.0, fewest_items=2, most_users=USERS, seed=1)
    return matrix, columns, examples, held_out


@pytest.fixture
def told(shop_of_series):
    """What is left of the shop, and its users as a jury."""
    matrix, _, examples, held_out = shop_of_series
    return examples.rest_of(matrix, held_out), Jury(examples.histories(held_out), held_out.relevant)


def chosen(rest, jury, limits, on_look) -> float:
    return choose_recency(fit_plain(rest, limits, on_look), jury, 1, on_look)


def reordered(jury, order) -> Jury:
    return replace(
        jury,
        histories=[
            History(history.indexes[of_one], history.strengths[of_one])
            for history in jury.histories
            for of_one in [order(len(history.indexes))]
        ],
    )


def test_where_the_next_thing_goes_with_the_newest_it_counts_more(told):
    assert chosen(*told, NEIGHBOURS, ignore) > 0


@pytest.mark.parametrize("seed", range(5))
def test_where_the_order_is_made_by_chance_all_count_alike(told, seed):
    rest, jury = told

    shuffled = reordered(jury, np.random.default_rng(seed).permutation)

    assert chosen(rest, shuffled, NEIGHBOURS, ignore) == 0


def test_where_the_next_thing_goes_with_the_oldest_all_count_alike(told):
    rest, jury = told

    assert chosen(rest, reordered(jury, lambda length: np.arange(length)[::-1]), NEIGHBOURS, ignore) == 0


def test_popularity_which_hears_no_history_needs_none_of_it(told):
    def stop() -> None:
        raise AssertionError("nothing is to be looked at")

    assert chosen(*told, {"popularity": {"neighbours": 50}}, stop) == 0


def test_whoever_is_told_of_looks_can_end_the_search(told):
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        chosen(*told, NEIGHBOURS, stop)


@dataclass(frozen=True)
class Judged(Jury):
    """Finds what it was told to, by how much the newest counts: a mean and its standard error."""

    found: dict[float, tuple[float, float]] = field(default_factory=dict)
    most_related: list[int] = field(default_factory=list)

    def ndcg(self, voice, threads):
        self.most_related.append(int(np.diff(voice.relations.bounds).max()))
        mean, error = self.found.get(self.histories[0].recency, (0.0, 0.0))
        return mean + error * 10 * np.tile([1.0, -1.0], 50)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({0.25: (0.1, 0), 0.5: (0.3, 0), 0.75: (0.2, 0), 1.0: (0.2, 0)}, 0.5),
        ({0.25: (0.1, 0.04), 0.5: (0.3, 0.2), 0.75: (0.3, 0.2)}, 0.25),
        ({0.25: (0.1, 0.06), 1.0: (0.3, 0.16)}, 0.0),
        ({0.25: (-0.1, 0), 0.5: (-0.3, 0)}, 0.0),
    ],
    ids=["the best", "the best beyond chance", "nothing is beyond chance", "nothing is better"],
)
def test_the_best_is_chosen_of_what_is_better_by_two_standard_errors(told, found, expected):
    rest, jury = told

    assert chosen(rest, Judged(jury.histories, jury.relevant, found), NEIGHBOURS, ignore) == expected


def test_it_keeps_to_the_neighbours_that_memory_is_wanted_for(told):
    rest, jury = told
    judged = Judged(jury.histories, jury.relevant)

    chosen(rest, judged, {"als": {"neighbours": 7}}, ignore)

    assert set(judged.most_related) == {7}


def test_a_jury_keeps_all_but_how_much_the_newest_counts(told):
    _, jury = told

    recent = with_recency(jury, 0.5)

    assert {history.recency for history in recent.histories} == {0.5}
    assert recent.histories[0].indexes is jury.histories[0].indexes
    assert recent.relevant is jury.relevant


# --- from the choice to the lists


def test_all_else_is_chosen_for_histories_as_they_will_count(shop_of_series, monkeypatch):
    matrix, _, examples, held_out = shop_of_series
    judged: set[float] = set()

    class Listening(fitting.Judge):
        def __init__(self, some, others, threads):
            super().__init__(some, others, threads)
            judged.update(history.recency for jury in (some, others) for history in jury.histories)

    monkeypatch.setattr(fitting, "Judge", Listening)
    monkeypatch.setattr(fitting, "_SOME_USERS", 150)  # so that there are others to judge too

    choice = fitting.choose(matrix, examples, held_out, NEIGHBOURS, ignore)
    model = fitting.fit(matrix, examples, choice.parameters, choice.blend, ignore)

    recency = choice.blend.recency
    assert recency > 0
    assert judged == {recency}
    assert choice.blend.of([0]).recency == model.blend.recency == recency


def ndcg(voice, histories, relevant) -> float:
    return float(
        evaluate_lists(rank_all(voice.score_all, histories, 20), relevant, [20])["ndcg_at_20"].mean()
    )


def test_voices_are_judged_as_they_will_be_heard(shop_of_series):
    matrix, _, examples, held_out = shop_of_series
    choice = fitting.choose(matrix, examples, held_out, NEIGHBOURS, ignore)
    voice, alike = choice.voices["neighbours"], examples.histories(choice.held_out)
    recent = [replace(history, recency=choice.blend.recency) for history in alike]

    found = fitting.describe(matrix, examples, choice)

    relevant = choice.held_out.relevant
    assert found["recency"] == choice.blend.recency
    assert found["voices"]["neighbours"]["ndcg_at_20"] == pytest.approx(
        ndcg(voice, recent, relevant), abs=1e-4
    )
    assert ndcg(voice, recent, relevant) > 1.1 * ndcg(voice, alike, relevant)


def test_a_trial_asks_voices_as_the_blend_does(shop_of_series):
    matrix, columns, examples, held_out = shop_of_series

    found = trial.run(matrix, columns, examples, held_out, NEIGHBOURS, neighbours=50, on_progress=ignore)

    # The blend is of one voice, so that both make the same lists.
    figures = {row.kind: row.figures["ndcg_at_20"].mean for row in found.rows if "popularity" not in row.name}
    assert figures["voice"] == pytest.approx(figures["blend"], rel=1e-3)
    assert figures["blend"] > 1.1 * figures["baseline"]


def test_trials_of_a_tuning_share_what_the_first_has_chosen(shop_of_series):
    matrix, _, examples, held_out = shop_of_series
    ground = search.lay_out(matrix, examples, held_out)

    first = search.try_out(ground, {}, NEIGHBOURS, None, ignore)
    again = search.try_out(ground, {}, NEIGHBOURS, first, ignore)
    alike = search.try_out(ground, {}, NEIGHBOURS, replace(first, recency=0.0), ignore)

    assert first.recency == again.recency > 0
    assert again.ndcg.tolist() == first.ndcg.tolist()
    assert alike.recency == 0
    assert first.quality > 1.1 * alike.quality


def test_models_are_compared_on_histories_in_their_order(shop_of_series):
    matrix, _, examples, held_out = shop_of_series
    choice = fitting.choose(matrix, examples, held_out, NEIGHBOURS, ignore)
    model = fitting.assemble(matrix, examples.rest_of(matrix, held_out), choice.voices, choice.blend)
    turned = examples.histories(held_out)
    users = np.arange(len(turned))

    def found(of_histories: HeldOut) -> float:
        values = comparison.evaluate(model, matrix, examples, of_histories, users, on_progress=ignore)
        return float(values["ndcg_at_10"].mean())

    oldest_first = held_out.histories.copy()
    for begin, end in zip(oldest_first.indptr, oldest_first.indptr[1:], strict=False):
        oldest_first.indices[begin:end] = oldest_first.indices[begin:end][::-1].copy()
        oldest_first.data[begin:end] = oldest_first.data[begin:end][::-1].copy()
    assert found(held_out) > 1.1 * found(replace(held_out, histories=oldest_first))
