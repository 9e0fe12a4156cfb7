"""Whether the service goes on as it began, in errors, memory and writes, under a quarter of an hour of load.

    python -m benchmarks.soak [--minutes N] [--interactions N] [--clients N] [--database sqlite|postgresql]

Web, worker and scheduler run as the Procfile has it, two web processes. Clients, in processes of their own,
ask without a pause: 80 of 100 requests are for lists, 15 write an interaction, 5 change an item. In the
first third a training is asked for, and then the version before it and the new one are made active again.
Counted are answers other than they should be, the web's memory (PSS) in the last third against that in the
second, and writes that were accepted and are not in the database, looked for one by one. Ends with 1 where
anything is wrong.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from sqlalchemy import create_engine, select

from benchmarks.load import postgresql, proportional_set_size
from benchmarks.synthetic import Shop, write
from recsvc.config import Config
from recsvc.demo.system import client_of, train, wait_for_version, whole_system
from recsvc.storage.models import Interaction

_ADMIN_KEY = "admin-key-of-a-benchmark"
_PROCESSES = 2
_ITEMS = 5_000  # more than twice what anybody sees of them: there are always enough for a list
_MOST_GROWTH = 0.03
_SAMPLED_EVERY = 2.0  # seconds

Told = tuple[Counter[str], list[str], list[str]]  # statuses by kind, accepted event ids, unexpected answers


def measure(minutes: float, interactions: int, clients: int, url: str) -> dict[str, Any]:
    """Runs the whole system under load.

    Args:
        minutes: How long.
        interactions: How many the shop has at first.
        clients: How many ask at once.
        url: Of the database; empty for SQLite.
    """
    with tempfile.TemporaryDirectory(prefix="recsvc-") as folder:
        os.environ |= {
            "INSTANCE_DIR": folder,
            "DATABASE_URL": url,
            "RECSVC_ADMIN_KEY": _ADMIN_KEY,
            "SECRET_KEY": "secret-of-a-benchmark",
            "WEB_CONCURRENCY": "2",
            "LOG_LEVEL": "WARNING",
        }
        config = Config.from_environment()
        shop = Shop(interactions, items=_ITEMS)
        write(shop, config)
        log = Path(folder) / "processes.log"
        with whole_system(config, log) as address, client_of(address, _ADMIN_KEY) as client:
            first = str(train(client)["model_version"])
            wait_for_version(client, first)
            memory, reloads, told = _under_load(client, address, minutes * 60, shop, clients)
        unexpected = log.read_text(encoding="utf-8").count("unexpected_error")
        statuses, accepted, wrong = told
        return {
            "seconds": round(minutes * 60),
            "clients": clients,
            "requests": statuses.total(),
            "statuses": dict(sorted(statuses.items())),
            "unexpected_answers": len(wrong),
            "examples": wrong[:5],
            "unexpected_errors_logged": unexpected,
            "versions_served": reloads,
            **memory,
            "accepted_writes": len(accepted),
            "lost_writes": len(set(accepted) - _stored(config.database_url)),
        }


def _under_load(
    client: httpx.Client, address: str, seconds: float, shop: Shop, clients: int
) -> tuple[dict[str, Any], list[str], Told]:
    context = multiprocessing.get_context("spawn")
    web = _gunicorn(int(urlsplit(address).port or 0))
    samples: list[tuple[float, float]] = []
    with context.Manager() as manager, ProcessPoolExecutor(_PROCESSES, mp_context=context) as pool:
        ended = manager.Event()
        began = time.monotonic()
        load = [
            pool.submit(ask, address, shop.users, clients // _PROCESSES, number, ended)  # type: ignore[arg-type]
            for number in range(_PROCESSES)
        ]
        try:
            reloads = threading.Thread(target=_reload, args=(client, served := []), daemon=True)
            reloads.start()
            while (passed := time.monotonic() - began) < seconds:
                samples.append((passed, proportional_set_size(web)))
                time.sleep(_SAMPLED_EVERY)
            reloads.join()
        finally:
            ended.set()
        parts = [share.result() for share in load]
    statuses = sum((part[0] for part in parts), Counter[str]())
    told = statuses, [one for part in parts for one in part[1]], [one for part in parts for one in part[2]]
    return _memory(samples, seconds), served, told


def _reload(client: httpx.Client, served: list[str]) -> None:
    """Trains, and makes the version before and the new one active in turn."""
    before = client.get("/api/v1/recommendations/popular").json()["model_version"]
    run = client.post("/api/v1/recommendations/train", json={"force": True}).json()["run_id"]
    while (told := client.get(f"/api/v1/training-runs/{run}").json())["status"] in {"queued", "running"}:
        time.sleep(0.5)
    for version in (told["model_version"], before, told["model_version"]):
        client.post(f"/api/v1/model-versions/{version}/activate")
        wait_for_version(client, version)
        served.append(version)


def _memory(samples: list[tuple[float, float]], seconds: float) -> dict[str, float]:
    def median(begin: float, end: float) -> float:
        return statistics.median(
            megabytes for moment, megabytes in samples if begin <= moment / seconds < end
        )

    second, last = median(1 / 3, 2 / 3), median(2 / 3, 1.01)
    return {
        "memory_second_third_mb": round(second, 1),
        "memory_last_third_mb": round(last, 1),
        "growth": round(last / second - 1, 4),
    }


def ask(address: str, users: int, clients: int, seed: int, ended: Event) -> Told:
    """Asks without a pause until the end, a thread a client; to be run in a process of its own."""
    statuses: Counter[str] = Counter()
    accepted: list[str] = []
    wrong: list[str] = []
    is_over = threading.Event()

    def go_on(number: int) -> None:
        chance = random.Random(f"{seed}-{number}")
        connection = http.client.HTTPConnection(str(urlsplit(address).netloc), timeout=60)
        while not is_over.is_set():
            kind, method, path, body, expected = _request(chance, users)
            try:
                headers = {"Authorization": f"Bearer {_ADMIN_KEY}", "Content-Type": "application/json"}
                connection.request(method, f"/api/v1{path}", body and json.dumps(body), headers)
                answer = connection.getresponse()
                content = answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException) as error:
                status, content = 0, repr(error).encode()
                connection.close()
            statuses[f"{kind} {status}"] += 1
            if status != expected or (kind == "list" and len(json.loads(content)["items"]) != 20):
                wrong.append(f"{method} {path}: {status} {content[:300]!r}")
            elif kind == "write":
                accepted.append(str(body["event_id"]))
        connection.close()

    threads = [threading.Thread(target=go_on, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    ended.wait()
    is_over.set()
    for thread in threads:
        thread.join()
    return statuses, accepted, wrong


def _request(chance: random.Random, users: int) -> tuple[str, str, str, Any, int]:
    user, item = f"user-{chance.randint(1, users)}", f"item-{chance.randint(1, _ITEMS)}"
    drawn = chance.random()
    if drawn < 0.80:
        return "list", "GET", f"/recommendations?user_id={user}&k=20", None, 200
    if drawn < 0.95:
        event = {"user_id": user, "item_id": item, "event": "view"}
        return "write", "POST", "/interactions", event | {"event_id": f"{chance.getrandbits(128):032x}"}, 201
    change = chance.choice(({"title": f"Title {chance.random()}"}, {"hidden": True}, {"hidden": False}))
    return "change", "PATCH", f"/items/{item}", change, 200


def _gunicorn(port: int) -> int:
    """Id of the process that listens there and has the web processes for children."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().split("\0")
            environment = (folder / "environ").read_text().split("\0")
            children = (folder / "task" / folder.name / "children").read_text().split()
        except OSError:
            continue
        if (
            f"PORT={port}" in environment
            and any(word.endswith("gunicorn") for word in words)
            and len(children) == 2
        ):
            return int(folder.name)
    raise SystemExit("There is no gunicorn.")


def _stored(database_url: str) -> set[str]:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        found = set(connection.scalars(select(Interaction.event_id)))
    engine.dispose()
    return {one for one in found if one is not None}


def main() -> None:
    """Reads the arguments, runs, and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--interactions", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    arguments = parser.parse_args()
    if arguments.database == "postgresql":
        with postgresql(None, "recsvc_soak") as url:
            found = measure(arguments.minutes, arguments.interactions, arguments.clients, url)
    else:
        found = measure(arguments.minutes, arguments.interactions, arguments.clients, "")
    print(json.dumps(found, indent=2))
    wrong = found["unexpected_answers"] or found["unexpected_errors_logged"] or found["lost_writes"]
    sys.exit(1 if wrong or found["growth"] > _MOST_GROWTH or len(found["versions_served"]) < 3 else 0)


if __name__ == "__main__":
    main()
