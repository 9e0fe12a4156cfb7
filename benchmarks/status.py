"""How long the status, the metrics and a worker's counting take on a shop that `benchmarks.synthetic` made.

    python -m benchmarks.status --database-url URL [--shown LISTS] [--json]

Records so many lists as shown first (a million by default), a tenth of them named by one of the newest
interactions each, unless there are any. Then the status is asked for 50 times without a worker's counts, and
as often with them. Beside it, in the same run, what a worker takes to count, and what a web process takes to
count one recommendation, into files as under gunicorn.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import timeit
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
from sqlalchemy import func, insert, select, text

from benchmarks.measuring import in_new_process, new_instance
from recsvc.config import DATABASE_URL
from recsvc.extensions import db
from recsvc.factory import create_app
from recsvc.instruments import Instruments
from recsvc.services import status, stock
from recsvc.services.observing import Observer
from recsvc.storage.database import chunks
from recsvc.storage.models import Interaction, ShownRecommendation, now

_TIMES = 50
_STRATEGIES = ("personal", "personal", "folded_in", "popular")


def record_shown(lists: int) -> None:
    """Records lists, and lets every tenth be named by an interaction with its first item."""
    newest = db.session.execute(
        select(Interaction.interaction_key, Interaction.item_key)
        .order_by(Interaction.interaction_key.desc())
        .limit(lists // 10)
    ).all()
    moment = now()
    for chunk in chunks(range(lists), 10_000):
        rows = [
            {
                "recommendation_id": f"{number:032x}",
                "user_hash": number % max(1, lists // 20),
                "model_version": f"v{number % 3}",
                "strategy": _STRATEGIES[number % 4],
                "item_keys": [newest[number // 10][1], *range(1, 10)],
                "shown_at": moment,
            }
            for number in chunk
        ]
        db.session.execute(insert(ShownRecommendation), rows)
    for chunk in chunks(enumerate(newest), 10_000):
        named = [{"key": key, "name": f"{10 * number:032x}"} for number, (key, _) in chunk]
        statement = text("UPDATE interactions SET recommendation_id = :name WHERE interaction_key = :key")
        db.session.execute(statement, named)
    db.session.commit()


def measure(lists: int) -> dict[str, Any]:
    """Measures on the database of the application whose context is pushed."""
    if not db.session.scalar(select(func.count()).select_from(ShownRecommendation)):
        record_shown(lists)
        # As autovacuum does by itself within minutes of an import.
        db.session.execute(text("ANALYZE"))
        db.session.commit()
    without = _milliseconds(status.status)
    began = perf_counter()
    stock.keep()
    counting = perf_counter() - began
    with_counts = _milliseconds(status.status)
    return {
        "rows": {
            table.__tablename__: db.session.scalar(select(func.count()).select_from(table))
            for table in (Interaction, ShownRecommendation)
        },
        "status_ms_before_a_worker_counted": without,
        "status_ms": with_counts,
        "metrics_ms": _milliseconds(lambda: list(Observer().collect())),
        "counting_seconds": round(counting, 2),
        "microseconds_a_recommendation": _as_under_gunicorn(count_recommendations),
        "counting_over_status": round(1000 * counting / with_counts["p50"]),
    }


def count_recommendations() -> float:
    """Microseconds that a web process takes to count a recommendation."""
    told = Instruments()

    def count() -> None:
        told.answered("GET", "/api/v1/recommendations", 200, 0.001)
        told.recommended("user", "personal", "v1", asked=20, hot=20, cold=0)
        told.shown("personal", "v1")

    count()
    return round(min(timeit.repeat(count, number=10_000, repeat=5)) / 10_000 * 1e6, 1)


def _as_under_gunicorn(function: Callable[[], float]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        # A new process, since the library chooses how to count when it is imported.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        try:
            return float(in_new_process(function))
        finally:
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]


def _milliseconds(look: Callable[[], object]) -> dict[str, float]:
    taken = []
    for _ in range(_TIMES):
        began = perf_counter()
        look()
        db.session.rollback()
        taken.append(1000 * (perf_counter() - began))
    return {"p50": round(float(np.median(taken)), 1), "p95": round(float(np.quantile(taken, 0.95)), 1)}


def main() -> None:
    """Measures, and prints what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database-url", required=True, type=DATABASE_URL.parse)
    parser.add_argument("--shown", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with new_instance() as config:
        app = create_app(replace(config, database_url=arguments.database_url))
        with app.app_context():
            found = measure(arguments.shown)
            db.session.remove()
            db.engine.dispose()
    if arguments.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:36} {value}")


if __name__ == "__main__":
    main()
