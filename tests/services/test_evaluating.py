"""Evaluations: what they tell can be worked out by hand, and they leave no trace."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import log2
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from sqlalchemy import select

from recsvc.config import current_config
from recsvc.errors import ConflictError, TrainingError
from recsvc.extensions import db
from recsvc.recommender import fitting, trial
from recsvc.recommender.interactions import InteractionColumns, build_matrix
from recsvc.recommender.keys import locate
from recsvc.services import ingestion
from recsvc.services.catalogue import ItemContent, put_items
from recsvc.services.evaluating import SPLITS, Evaluation, evaluate
from recsvc.services.events import event_book
from recsvc.services.ingestion import NewInteraction
from recsvc.services.learning import build, read_rows

LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def shelf(sqlite_app: Flask) -> Iterator[Flask]:
    """An application with an empty catalogue, its context pushed."""
    with sqlite_app.app_context():
        yield sqlite_app


def store(rows: list[tuple[str, str, float]]) -> None:
    """Stores views: user, item, and the day it was."""
    batch = [
        NewInteraction(user, item, "view", None, LONG_AGO + timedelta(days=day)) for user, item, day in rows
    ]
    assert ingestion.record_batch(enumerate(batch)).accepted == len(rows)


@pytest.fixture
def two_tastes(shelf: Flask) -> Flask:
    """Forty books of two tastes, and 140 readers who like eight or nine of theirs, over a hundred days."""
    random = np.random.default_rng(3)
    put_items(
        (f"{taste}-{number}", ItemContent(title=f"{taste} {number}", features={"taste": [taste]}))
        for taste in ("crime", "poetry")
        for number in range(20)
    )
    store(
        [
            (f"reader-{reader}", f"{('crime', 'poetry')[reader % 2]}-{number}", float(random.uniform(0, 100)))
            for reader in range(140)
            for number in random.choice(20, 8 + reader % 3 // 2, replace=False)
        ]
    )
    return shelf


def row(found: Evaluation, name: str) -> trial.Row:
    (of_name,) = [entry for entry in found.trial.rows if entry.name == name]
    return of_name


def everything_stored() -> dict[str, list[tuple[object, ...]]]:
    db.session.rollback()
    return {
        table.name: sorted(map(tuple, db.session.execute(select(table))), key=repr)
        for table in db.metadata.sorted_tables
    }


def files(folder: Path) -> set[tuple[str, bytes]]:
    return {
        (str(path), path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("recsvc.db")
    }


def test_plain_popularity_is_as_computed_by_hand(shelf):
    # Twenty users came to like `best` last, twenty liked it first; the rest is each liked by one.
    first = [(f"a{user}", f"x{user}", 0) for user in range(20)] + [
        (f"a{user}", "best", 1) for user in range(20)
    ]
    second = [(f"b{user}", "best", 0) for user in range(20)] + [
        (f"b{user}", f"y{user}", 1) for user in range(20)
    ]
    store(first + second)

    found = evaluate("last", users=100)

    plain = row(found, "plain popularity")
    assert (found.trial.users, found.trial.relevant, found.trial.pairs) == (40, 40, 40)
    # Of the rest, 20 like `best`: on top of the lists of those who miss it. Nobody likes any y.
    for name in trial.METRICS:
        assert plain.figures[name].mean == pytest.approx(0.5), name
        assert 0.3 < plain.figures[name].low < 0.5 < plain.figures[name].high < 0.7
    # `best` and 19 x to the one half, 20 x to the other: no y is shown.
    assert plain.coverage == pytest.approx(21 / 41)
    assert plain.novelty == pytest.approx(((1 + 19 * log2(40)) / 20 + log2(40)) / 2)
    assert plain.popularity_bias == pytest.approx((((20 + 19) / 20) / 1 + 1 / 20) / 2)
    # Nobody has five likes left, so nothing can be validated on, and that is no failure.
    assert found.trial.validation_users == 0


def test_where_there_are_two_tastes_the_blend_beats_popularity(two_tastes):
    found = evaluate("latest", users=2_000)

    blend, plain = row(found, "blend"), row(found, "plain popularity")
    assert found.trial.validation_users >= 20
    for name in ("recall_at_20", "ndcg_at_10"):
        assert blend.figures[name].low > plain.figures[name].high
    kinds = [entry.kind for entry in found.trial.rows]
    assert kinds == ["blend", *["voice"] * (len(kinds) - 3), "baseline", "baseline"]
    assert found.trial.difference.low <= found.trial.difference.mean <= found.trial.difference.high


@pytest.mark.parametrize("split", SPLITS)
def test_each_split_is_told_and_can_be_told_as_json(two_tastes, split):
    found = evaluate(split, users=60)

    assert 20 <= found.trial.users <= 60
    for entry in found.trial.rows:
        assert entry.figures.keys() == trial.METRICS.keys()
        assert 0 <= entry.coverage <= 1
        for figure in entry.figures.values():
            assert 0 <= figure.low <= figure.mean <= figure.high <= 1
    told = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert (told["split"], told["held_out"]["users"]) == (split, found.trial.users)
    assert told["models"][0]["name"] == "blend"
    assert told["difference"]["to"] in {model["name"] for model in told["models"][1:]}
    assert (told["cold"] is not None) == (split == "items")


def test_the_same_seed_gives_the_same_figures_and_another_does_not(two_tastes):
    first, again, other = (evaluate("latest", users=30, seed=seed).as_json() for seed in (1, 1, 2))

    assert first["models"] == again["models"]
    assert first["models"] != other["models"]


def test_cold_items_are_ranked_among_themselves_by_their_features(two_tastes):
    found = evaluate("items", users=2_000)

    cold = found.trial.cold
    assert (cold.items, cold.with_features) == (4, 4)
    assert {"neighbours", "als"} & set(cold.silent)
    assert [entry.name for entry in found.trial.rows] == ["blend", "lightfm", "by chance", "catalogue order"]
    assert 0 <= cold.share_of_lists <= 1
    for entry in found.trial.rows:
        # A list has place for all four, so whatever is asked for is in it; the order is what counts.
        assert entry.figures["recall_at_20"].mean == pytest.approx(1)
        assert entry.coverage == pytest.approx(1)
        assert (entry.novelty, entry.popularity_bias) == (None, None)
    blend, lightfm, chance, _ = (entry.figures for entry in found.trial.rows)
    # One voice alone speaks of cold items, so the order is the same but for ties that rounding breaks.
    assert blend["mrr_at_20"].mean == pytest.approx(lightfm["mrr_at_20"].mean, abs=0.05)
    assert lightfm["mrr_at_20"].low > chance["mrr_at_20"].high


def test_users_held_out_whole_leave_most_to_learn_from(two_tastes):
    found = evaluate("users", users=2_000)

    assert found.trial.users == 28  # a fifth of 140
    assert row(found, "blend").figures["recall_at_20"].mean > 0.5


@pytest.mark.parametrize("split", SPLITS)
def test_the_split_within_has_the_same_indexes_and_nothing_that_was_held_out(two_tastes, split):
    rows = read_rows(current_config(), lambda read, total: None)
    matrix, examples = build(current_config(), rows, None)
    columns = rows.interactions
    outer = trial.SPLITS[split](matrix, columns, 2_000, 1)

    left, rest = trial.without(matrix, examples, outer)
    inner = fitting.hold_out(left, columns, 1)

    # The same as building from those interactions alone that remain, which may be of fewer users.
    kept = outer.strengths.toarray()
    users, items = locate(matrix.user_keys, columns.user_keys), locate(matrix.item_keys, columns.item_keys)
    remains = kept[users, items] > 0
    alone = InteractionColumns(**{name: column[remains] for name, column in vars(columns).items()})
    built = build_matrix(alone, event_book().scale, rows.catalogue["item_key"])
    assert np.array_equal(built.item_keys, left.item_keys)
    same_users = locate(left.user_keys, built.user_keys)
    assert np.array_equal(built.strengths.toarray(), left.strengths.toarray()[same_users])
    assert built.strengths.nnz == left.strengths.nnz == rest.strengths.nnz == len(rest.ages)

    again = fitting.hold_out(built, alone, 1)
    assert len(again.user_indexes) == len(inner.user_indexes) >= 20
    for told, expected in zip(inner.relevant, again.relevant, strict=True):
        assert np.array_equal(told, expected)
    for user, relevant in zip(outer.user_indexes, outer.relevant, strict=True):
        assert not kept[user, relevant].any()
    for user, relevant in zip(inner.user_indexes, inner.relevant, strict=True):
        assert (kept[user, relevant] > 0).all()


def test_nothing_is_written(
    shop: dict[str, list[str]], train: Callable[[], object], tmp_path: Path, context: Flask
) -> None:
    train()
    stored, kept = everything_stored(), files(tmp_path)
    assert stored["model_versions"]
    assert stored["training_runs"]

    evaluate("latest", users=2_000)

    assert everything_stored() == stored
    assert files(tmp_path) == kept


def test_too_little_is_said_in_a_sentence(shop):
    with pytest.raises(ConflictError, match=r"too little data for the split users: .* of 4 users"):
        evaluate("users", users=2_000)


def test_an_empty_database_is_said_in_a_sentence(shelf):
    with pytest.raises(TrainingError, match="no interactions to learn from"):
        evaluate("latest", users=2_000)


def test_cold_items_need_a_voice_that_speaks_of_them(make_app, sqlite_url):
    with (
        make_app(sqlite_url, voices=frozenset({"neighbours"})).app_context(),
        pytest.raises(ConflictError, match="None of the voices in VOICES says anything of cold items"),
    ):
        evaluate("items", users=2_000)
