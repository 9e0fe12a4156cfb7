"""What a hot reload costs those who are being served: failed requests, and time.

    python -m benchmarks.reload [--interactions N] [--reloads N] [--clients N] [--store STORE] [--json]

A made-up shop is trained on twice; web, worker and scheduler run as the Procfile has it, two web processes.
Clients, in processes of their own, ask for recommendations without a pause, each over a connection that it
keeps. The two versions are made active in turn. After each reload comes a stretch as long without one, so
that both are measured in the same minutes. A request counts for the reload where any part of it lies within
the two seconds after the activation was asked for, in which both processes have swapped.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import random
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from numpy.typing import NDArray

from benchmarks.synthetic import Shop, write
from recsvc.config import Config
from recsvc.demo.system import client_of, train, wait_for_version, whole_system

_STRETCH = 2.0  # seconds
_WARM_UP = 10.0  # seconds
_PROCESSES = 4
_ADMIN_KEY = "admin-key-of-a-benchmark"
_TRANSPORT = 0  # stands for the status of a request that got no answer

Requests = NDArray[np.float64]  # a row each: when it began, when it ended, status


def measure(interactions: int, reloads: int, clients: int, store: str) -> dict[str, Any]:
    """Runs the whole system under load, and reloads.

    Args:
        interactions: How many the shop has.
        reloads: How many times a version is made active.
        clients: How many ask at once.
        store: The model store: `directory` or `database`.
    """
    with tempfile.TemporaryDirectory(prefix="recsvc-") as folder:
        os.environ |= {
            "INSTANCE_DIR": folder,
            "RECSVC_ADMIN_KEY": _ADMIN_KEY,
            "SECRET_KEY": "secret-of-a-benchmark",
            "MODEL_STORE": store,
            "WEB_CONCURRENCY": "2",
            "LOG_LEVEL": "WARNING",
        }
        config = Config.from_environment()
        shop = Shop(interactions)
        write(shop, config)
        log = Path(folder) / "processes.log"
        with whole_system(config, log) as url, client_of(url, _ADMIN_KEY) as client:
            versions = [str(train(client)["model_version"]) for _ in range(2)]
            wait_for_version(client, versions[1])
            files = (config.models_dir / versions[1]).iterdir()
            megabytes = sum(file.stat().st_size for file in files) / 1e6
            requests, activated = _under_load(
                client, url, versions, reloads, clients=clients, users=shop.users
            )
    return {
        "interactions": interactions,
        "items": shop.items,
        "version_mb": round(megabytes, 1),
        "store": store,
        "clients": clients,
        "reloads": reloads,
        **figures(requests, activated),
    }


def figures(requests: Requests, activated: list[float]) -> dict[str, Any]:
    """What the requests tell.

    Args:
        requests: All that were made.
        activated: When each activation was asked for.
    """
    began, ended, status = requests.T
    during = np.zeros(len(requests), dtype=bool)
    for moment in activated:
        during |= (ended >= moment) & (began <= moment + _STRETCH)
    measured = {
        "during_reload": 1_000 * (ended - began)[during],
        "without": 1_000 * (ended - began)[~during],
    }
    told = {
        name: {
            "requests": len(values),
            **{f"p{q}_ms": round(float(np.percentile(values, q)), 2) for q in (50, 99)},
        }
        for name, values in measured.items()
    }
    return {
        "failed": int((status != 200).sum()),
        **told,
        "p99_ratio": round(float(told["during_reload"]["p99_ms"] / told["without"]["p99_ms"]), 2),
        "p50_ratio": round(float(told["during_reload"]["p50_ms"] / told["without"]["p50_ms"]), 2),
    }


def _under_load(
    client: httpx.Client, url: str, versions: list[str], reloads: int, *, clients: int, users: int
) -> tuple[Requests, list[float]]:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(_PROCESSES, mp_context=context) as pool:
        ended = manager.Event()
        shares = [clients // _PROCESSES + (number < clients % _PROCESSES) for number in range(_PROCESSES)]
        load = [
            pool.submit(ask, url, users, share, number, ended)  # type: ignore[arg-type]
            for number, share in enumerate(shares)
        ]
        try:
            time.sleep(_WARM_UP)
            warm = time.time()
            activated = []
            for number in range(reloads):
                activated.append(time.time())
                client.post(f"/api/v1/model-versions/{versions[number % 2]}/activate")
                time.sleep(max(0.0, activated[-1] + 2 * _STRETCH - time.time()))
        finally:
            ended.set()
        requests = np.concatenate([share.result() for share in load])
    return requests[requests[:, 0] > warm], activated


def ask(url: str, users: int, clients: int, seed: int, ended: Event) -> Requests:
    """Asks without a pause until the end, a thread a client; to be run in a process of its own."""
    made: list[tuple[float, float, int]] = []

    def go_on(number: int) -> None:
        chance = random.Random(f"{seed}-{number}")
        connection = http.client.HTTPConnection(str(urlsplit(url).netloc), timeout=30)
        while not is_over.is_set():
            path = f"/api/v1/recommendations?user_id=user-{chance.randint(1, users)}&k=20"
            began = time.time()
            try:
                connection.request("GET", path, headers={"Authorization": f"Bearer {_ADMIN_KEY}"})
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                status = _TRANSPORT
                connection.close()
            made.append((began, time.time(), status))
        connection.close()

    is_over = threading.Event()
    threads = [threading.Thread(target=go_on, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    ended.wait()
    is_over.set()
    for thread in threads:
        thread.join()
    return np.array(made, np.float64).reshape(-1, 3)


def main() -> None:
    """Reads the arguments and prints what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--interactions", type=int, default=300_000)
    parser.add_argument("--reloads", type=int, default=100)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--store", choices=["directory", "database"], default="directory")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    found = measure(arguments.interactions, arguments.reloads, arguments.clients, arguments.store)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    print(
        f"{found['reloads']} reloads of {found['version_mb']:.0f} MB and {found['items']:,} items, from the"
        f" {found['store']}, under {found['clients']} clients: {found['failed']} failed requests"
    )
    for name in ("without", "during_reload"):
        row = found[name]
        times = f"p50 {row['p50_ms']:7.2f} ms  p99 {row['p99_ms']:7.2f} ms"
        print(f"{name:15}{row['requests']:9,} requests  {times}")
    print(f"ratio during / without: p50 {found['p50_ratio']:.2f}, p99 {found['p99_ratio']:.2f}")


if __name__ == "__main__":
    main()
