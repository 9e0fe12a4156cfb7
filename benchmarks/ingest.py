"""What a write costs a web process, against a route that does nothing, and against the driver alone.

    python -m benchmarks.ingest [--users N] [--items N] [--interactions N] [--rounds N] [--seconds N]
        [--workers N] [--connections N] [--database-url URL] [--json]

A made-up shop is written into PostgreSQL, `synchronous_commit` on. `POST /interactions` with known users
and items, each with an `event_id` of its own, is loaded by wrk in turn with the no-op route, the web
processes at rest between, as in `benchmarks.serving`. Then batches of 1,000 are sent, one after another by
one client, in turn with the same rows inserted by psycopg, 1,000 in one statement and one transaction: what
the database alone takes. A round's ratio is that within the round, and the median of the rounds is told.
Needs wrk: apt-get install wrk.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import psycopg
from sqlalchemy import make_url, select

from benchmarks.load import NOOP, NOOP_PATH, asking, in_turn, postgresql, serving, settle, show, wrk
from benchmarks.measuring import new_instance
from benchmarks.synthetic import Shop, write
from recsvc.config import Config
from recsvc.extensions import db
from recsvc.factory import create_app
from recsvc.services import keys
from recsvc.storage.models import Event

_BATCH = 1_000
_COLUMNS = "user_key, item_key, event_code, occurred_at, received_at, event_id"


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Makes a shop, and writes to it both ways.

    Args:
        arguments: As `main` reads them.
    """
    with (
        postgresql(arguments.database_url, "recsvc_ingest") as url,
        new_instance(database_url=url) as config,
    ):
        write(Shop(arguments.interactions, users=arguments.users, items=arguments.items), config)
        key, event_code = _key_and_event(config)
        log = config.instance_dir / "web.log"
        settle(url)
        scripts = {NOOP: asking([NOOP_PATH], key), "interactions": _writing(key, arguments)}
        with serving(config, log, workers=arguments.workers, has_model=False) as (address, pid):
            return {
                "single": in_turn(address, pid, scripts, arguments),
                "batch": _batches(address, key, url, event_code, arguments),
            }


def _key_and_event(config: Config) -> tuple[str, int]:
    with create_app(config).app_context():
        key = keys.create("service", "benchmark")[1]
        code = db.session.scalars(select(Event.event_code).where(Event.name == "view")).one()
        db.session.remove()
        db.engine.dispose()
    return key, code


def _writing(key: str, arguments: argparse.Namespace) -> str:
    return f"""
local headers = {{ ["Authorization"] = "Bearer {key}", ["Content-Type"] = "application/json" }}
local number, count = 0, 0
function setup(thread)
  number = number + 1
  thread:set("seed", number)
end
function init() math.randomseed(seed); run = os.time() .. "-" .. seed .. "-" .. math.random(1000000000) end
function request()
  count = count + 1
  local body = string.format(
    '{{"user_id": "user-%d", "item_id": "item-%d", "event": "view", "event_id": "%s-%d"}}',
    math.random({arguments.users}), math.random({arguments.items}), run, count)
  return wrk.format("POST", "/api/v1/interactions", headers, body)
end
"""


def _batches(
    address: str, key: str, url: str, event_code: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    random = np.random.default_rng(0)

    def drawn() -> list[tuple[int, int, str]]:
        users = random.integers(1, arguments.users + 1, _BATCH).tolist()
        items = random.integers(1, arguments.items + 1, _BATCH).tolist()
        return [(user, item, uuid4().hex) for user, item in zip(users, items, strict=True)]

    driver_url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    rates: dict[str, list[float]] = {"driver": [], "batch": []}
    with (
        httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client,
        psycopg.connect(driver_url) as connection,
    ):
        setting = connection.execute("SHOW synchronous_commit").fetchone()
        for _ in range(arguments.rounds + 1):
            for name, send in (
                ("driver", lambda: _by_driver(connection, drawn(), event_code)),
                ("batch", lambda: _by_http(client, drawn())),
            ):
                began, rows, seconds = time.perf_counter(), 0, 0.0
                while time.perf_counter() - began < arguments.seconds:
                    seconds += send()
                    rows += _BATCH
                rates[name].append(rows / seconds)
    # The first round warms up.
    ratios = [ours / theirs for ours, theirs in zip(rates["batch"][1:], rates["driver"][1:], strict=True)]
    return {
        "synchronous_commit": setting[0] if setting else "",
        "rows_per_second": round(statistics.median(rates["batch"][1:])),
        "driver_rows_per_second": round(statistics.median(rates["driver"][1:])),
        "ratio": round(statistics.median(ratios), 3),
    }


def _by_driver(
    connection: psycopg.Connection[Any], rows: list[tuple[int, int, str]], event_code: int
) -> float:
    moment = datetime.now(UTC)
    values = [value for user, item, name in rows for value in (user, item, event_code, moment, moment, name)]
    places = ", ".join(["(%s, %s, %s, %s, %s, %s)"] * len(rows))
    began = time.perf_counter()
    connection.execute(f"INSERT INTO interactions ({_COLUMNS}) VALUES {places}", values)
    connection.commit()
    return time.perf_counter() - began


def _by_http(client: httpx.Client, rows: list[tuple[int, int, str]]) -> float:
    body = {
        "interactions": [
            {"user_id": f"user-{user}", "item_id": f"item-{item}", "event": "view", "event_id": name}
            for user, item, name in rows
        ]
    }
    began = time.perf_counter()
    answer = client.post("/api/v1/interactions/batch", json=body)
    seconds = time.perf_counter() - began
    outcome = answer.raise_for_status().json()
    if outcome["accepted"] != len(rows):
        raise SystemExit(f"Of {len(rows)} rows: {outcome}")
    return seconds


def main() -> None:
    """Reads the arguments, measures, and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--interactions", type=int, default=5_000_000, help="that are there already")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="of each stretch of load")
    parser.add_argument("--workers", type=int, default=2, help="web processes")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--database-url", help="a PostgreSQL server; one is started where not given")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    wrk()
    found = measure(arguments)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    show(found["single"])
    batch = found["batch"]
    print(
        f"batches of {_BATCH:,}, synchronous_commit {batch['synchronous_commit']}:"
        f" {batch['rows_per_second']:,} rows/s; by the driver {batch['driver_rows_per_second']:,};"
        f" ratio {batch['ratio']:.2f}"
    )


if __name__ == "__main__":
    main()
