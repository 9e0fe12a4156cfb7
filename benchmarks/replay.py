"""A shop's last days replayed, a training each: what the gate says of it, and what it says of poisoned data.

    python -m benchmarks.replay (--movielens DIR | --interactions N) [--days N] [--threads N] [--seed N]
        [--json]

DIR holds `ratings.csv` of a MovieLens set; its ratings are taken in the order of their times, without genres.
With --interactions, a made-up shop of that size (`benchmarks.synthetic`) is taken. All that came before the
last so many days on which anything happened goes into a new database, and is trained on; then come the days,
one after another, each with a training as the schedule asks for it, with default settings. At last every
interaction is given to a random user, and there is one more training: it should be rejected, and no other.

`compared` is how many users the active version was compared by; below the gate's least it is not compared.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from flask_migrate import upgrade
from sqlalchemy import select, update

from benchmarks.measuring import in_new_process, new_instance
from benchmarks.synthetic import EVENTS, Shop
from recsvc.config import Config
from recsvc.extensions import db
from recsvc.factory import create_app
from recsvc.services import ingestion, training
from recsvc.services.ingestion import NewInteraction
from recsvc.storage.database import chunks, write_transaction
from recsvc.storage.models import Interaction
from recsvc.storage.types import from_microseconds

Rows = Sequence[NewInteraction]


def read_movielens(folder: Path) -> list[NewInteraction]:
    """All ratings, in the order of their times."""
    with (folder / "ratings.csv").open(newline="", encoding="utf-8") as file:
        rows = [
            NewInteraction(
                row["userId"],
                row["movieId"],
                "rating",
                value=float(row["rating"]),
                occurred_at=datetime.fromtimestamp(int(row["timestamp"]), UTC),
            )
            for row in csv.DictReader(file)
        ]
    return sorted(rows, key=lambda row: (row.occurred_at, row.user_id, row.item_id))


def make_up(interactions: int, seed: int) -> list[NewInteraction]:
    """All that happens in a made-up shop, in the order of time."""
    events = list(EVENTS)
    return [
        NewInteraction(f"u{user}", f"i{item}", events[event], occurred_at=from_microseconds(moment))
        for rows in Shop(interactions, seed).rows()
        for user, item, event, moment in zip(
            rows.users.tolist(),
            rows.items.tolist(),
            rows.events.tolist(),
            rows.occurred_at.tolist(),
            strict=True,
        )
    ]


def replay(config: Config, rows: list[NewInteraction], days: int, seed: int) -> list[dict[str, Any]]:
    """Replays the last days in this process; what became of each training, the poisoned one last."""
    by_day = [list(of_day) for _, of_day in groupby(rows, key=lambda row: row.occurred_at.date())]
    with create_app(config).app_context():
        upgrade()
        _write([row for of_day in by_day[:-days] for row in of_day])
        told = [{"day": "before", "new": sum(map(len, by_day[:-days])), **_train()}]
        for of_day in by_day[-days:]:
            _write(of_day)
            told.append({"day": str(of_day[0].occurred_at.date()), "new": len(of_day), **_train()})
        _shuffle_users(seed)
        told.append({"day": "poisoned", "new": 0, **_train()})
        return told


def _write(rows: Rows) -> None:
    for some in chunks(rows, 1_000):
        outcome = ingestion.record_batch(enumerate(some))
        if outcome.rejected:
            raise RuntimeError(f"refused: {outcome.rejected[0]}")


def _train() -> dict[str, Any]:
    run, _ = training.request("manual", requested_by="benchmarks.replay")
    training.run(run.run_id)
    ended = training.get(run.run_id)
    if ended.gate is None:
        raise RuntimeError(f"The training {ended.status}: {ended.error}")
    active, popularity = ended.gate["active"], ended.gate["popularity"]
    return {
        "status": ended.status,
        "seconds": round(sum(ended.seconds.values()), 1),
        "judged": popularity["users"] if popularity else 0,
        "over_popularity": popularity["difference"]["ndcg_at_10"] if popularity else None,
        "compared": active["users"] if active else 0,
        "over_active": active["difference"]["ndcg_at_10"] if active else None,
        "reason": ended.gate["reason"],
    }


def _shuffle_users(seed: int) -> None:
    rows = db.session.execute(select(Interaction.interaction_key, Interaction.user_key)).all()
    keys = np.random.default_rng(seed).permutation([user_key for _, user_key in rows]).tolist()
    with write_transaction():
        for some in chunks(zip(rows, keys, strict=True), 10_000):
            values = [{"interaction_key": row[0], "user_key": user_key} for row, user_key in some]
            db.session.execute(update(Interaction), values)


def _table(told: list[dict[str, Any]]) -> Iterator[str]:
    heading = "day", "new", "judged", "NDCG@10 over popularity", "compared", "over active", "seconds", ""
    yield "{:12}{:>8}{:>8}{:>32}{:>10}{:>32}{:>9}  {}".format(*heading)
    for row in told:
        popularity, active = (_interval(row[name]) for name in ("over_popularity", "over_active"))
        yield (
            f"{row['day']:12}{row['new']:8,}{row['judged']:8,}{popularity:>32}{row['compared']:10,}"
            f"{active:>32}{row['seconds']:9.1f}  {row['status']}"
        )
    rejected = sum(row["status"] == "rejected" for row in told[:-1])
    yield f"{rejected} of {len(told) - 1} trainings rejected; the poisoned one {told[-1]['status']}."


def _interval(of: dict[str, float] | None) -> str:
    return f"{of['mean']:+.4f} ({of['low']:+.4f} to {of['high']:+.4f})" if of else "–"


def main() -> None:
    """Reads the arguments, replays, and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--movielens", type=Path, metavar="DIR")
    data.add_argument("--interactions", type=int, metavar="N")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0, help="of the shop, and of the shuffling")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if arguments.movielens:
        rows = read_movielens(arguments.movielens)
    else:
        rows = make_up(arguments.interactions, arguments.seed)
    with new_instance(train_threads=arguments.threads) as config:
        told = in_new_process(replay, config, rows, arguments.days, arguments.seed)
    print(json.dumps(told, indent=2) if arguments.json else "\n".join(_table(told)))


if __name__ == "__main__":
    main()
