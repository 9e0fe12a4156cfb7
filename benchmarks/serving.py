"""What a list costs a web process, against a route of the same application that does nothing.

    python -m benchmarks.serving [--items N,N,…] [--users N] [--interactions N] [--rounds N] [--seconds N]
        [--workers N] [--connections N] [--k N] [--database-url URL] [--memory] [--json]

For each number of items a made-up shop is written into PostgreSQL, with a version as large as a training's
at default settings, but of random numbers. gunicorn runs as the Procfile has it, on two cores; wrk and
PostgreSQL have the others, where there are four. Both send an API key of role `service`, over connections
that are kept. The routes are loaded in turn, and again, so that all are measured in the same minutes; between
two of them the web processes come to rest. A round's ratio is that to the round's no-op, and the median of
the rounds is told. CPU is what a request takes of the web processes, what is recorded of its list included.
Users have 40 to 60 interactions, and are asked for by chance. Needs wrk: apt-get install wrk.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from benchmarks import made_up_version
from benchmarks.load import (
    NOOP,
    NOOP_PATH,
    asking,
    drive,
    in_turn,
    postgresql,
    proportional_set_size,
    serving,
    settle,
    show,
    wrk,
)
from benchmarks.measuring import new_instance
from benchmarks.synthetic import Shop, write
from recsvc.config import Config
from recsvc.extensions import db
from recsvc.factory import create_app
from recsvc.services import keys
from recsvc.storage.models import Interaction, User

_MOST_ASKED_FOR = 20_000


def measure(items: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Makes a shop of so many items, and loads its routes.

    Args:
        items: How many.
        arguments: As `main` reads them.
    """
    name = f"recsvc_serving_{items}"
    with postgresql(arguments.database_url, name) as url, new_instance(database_url=url) as config:
        write(Shop(arguments.interactions, users=arguments.users, items=items), config)
        version = made_up_version.publish(config)
        settle(url)
        key, users = _key_and_users(config)
        log = config.instance_dir / "web.log"
        found: dict[str, Any] = {
            "items": items,
            "users": arguments.users,
            "interactions": arguments.interactions,
        }
        files = (config.models_dir / version).iterdir()
        found["version_mb"] = round(sum(file.stat().st_size for file in files) / 1e6)
        scripts = _scripts(users, key, arguments.k)
        with serving(config, log, workers=arguments.workers) as (address, pid):
            found["routes"] = in_turn(address, pid, scripts, arguments)
        if arguments.memory:
            found["pss_mb"] = {
                workers: _memory(config, log, scripts["recommendations"], workers, arguments)
                for workers in (1, 4)
            }
        return found


def _key_and_users(config: Config) -> tuple[str, list[str]]:
    with create_app(config).app_context():
        of_usual_length = (
            select(User.user_id)
            .join(Interaction, Interaction.user_key == User.user_key)
            .group_by(User.user_id)
            .having(func.count().between(40, 60))
            .limit(_MOST_ASKED_FOR)
        )
        users = list(db.session.scalars(of_usual_length))
        key = keys.create("service", "benchmark")[1]
        db.session.remove()
        db.engine.dispose()
    return key, users


def _scripts(users: list[str], key: str, k: int) -> dict[str, str]:
    lists = [f"/api/v1/recommendations?k={k}&user_id={user}" for user in users]
    return {
        NOOP: asking([NOOP_PATH], key),
        "recommendations": asking(lists, key),
        "explain": asking([f"{path}&explain=true" for path in lists], key),
    }


def _memory(config: Config, log: Path, script: str, workers: int, arguments: argparse.Namespace) -> float:
    with serving(config, log, workers=workers) as (address, pid):
        # Long enough for each process to have touched what it will touch.
        drive(address, script, seconds=arguments.seconds * workers, connections=arguments.connections)
        return round(proportional_set_size(pid))


def _show(found: dict[str, Any], smallest: dict[str, Any]) -> None:
    print(
        f"\n{found['items']:,} items, {found['users']:,} users, {found['interactions']:,} interactions;"
        f" a version of {found['version_mb']:,} MB"
    )
    show(found["routes"])
    if found is not smallest:
        growth = 1 / (
            found["routes"]["recommendations"]["throughput_ratio"]
            / smallest["routes"]["recommendations"]["throughput_ratio"]
        )
        times = found["items"] / smallest["items"]
        print(f"a list costs {growth:.2f} times what it costs with {times:g} times fewer items")
    if "pss_mb" in found:
        one, four = found["pss_mb"][1], found["pss_mb"][4]
        print(f"memory (PSS): 1 worker {one:,.0f} MB, 4 workers {four:,.0f} MB, ratio {four / one:.2f}")
    sys.stdout.flush()


def main() -> None:
    """Reads the arguments, measures, and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", default="10000,50000,100000,500000", help="sizes with commas between")
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--interactions", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="of each stretch of load")
    parser.add_argument("--workers", type=int, default=2, help="web processes")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--database-url", help="a PostgreSQL server; one is started where not given")
    parser.add_argument("--memory", action="store_true", help="measure that of one and of four workers too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    wrk()
    results: list[dict[str, Any]] = []
    for items in map(int, arguments.items.split(",")):
        results.append(measure(items, arguments))
        if not arguments.json:
            _show(results[-1], results[0])
    if arguments.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
