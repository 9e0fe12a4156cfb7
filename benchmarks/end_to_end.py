"""The main job on real data, through every process: import, train, recommend over HTTP.

`python -m benchmarks.end_to_end --data DIR`, where DIR holds `train.txt` and `test.txt`, a line a user: `user
item item …`. The training file is imported by `recsvc import pairs`; a worker process trains on it, asked by
`POST /api/v1/recommendations/train`, with default settings; then some of the users are asked for over HTTP
from gunicorn. Recall@20 over all items, training items left out. `test.txt` is read only to count hits.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from recsvc.config import Config
from recsvc.demo.system import client_of, train, wait_for_version, whole_system

K = 20
_RECSVC = str(Path(sys.executable).with_name("recsvc"))


def read_pairs(file: Path) -> dict[str, list[str]]:
    """Users to their items."""
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return {parts[0]: parts[1:] for parts in lines if len(parts) > 1}


def recall(ranked: list[str], relevant: list[str]) -> float:
    """Share of the relevant items that are among the ranked ones."""
    return len(set(ranked) & set(relevant)) / len(set(relevant))


def mean_with_interval(values: list[float], seed: int = 0) -> tuple[float, float, float]:
    """Mean, and the bounds of its 95 % bootstrap interval over users."""
    array = np.array(values)
    draws = np.random.default_rng(seed).integers(0, len(array), (1_000, len(array)))
    low, high = np.quantile(array[draws].mean(axis=1), [0.025, 0.975])
    return float(array.mean()), float(low), float(high)


def measure(data: Path, users: int, seed: int) -> dict[str, Any]:
    """Runs the whole job and measures it.

    Args:
        data: Folder of `train.txt` and `test.txt`.
        users: How many users to ask for.
        seed: Which ones.
    """
    with _own_instance() as config:
        subprocess.run([_RECSVC, "db", "upgrade"], check=True)
        seconds = {"import": _timed([_RECSVC, "import", "pairs", str(data / "train.txt")])}
        key = subprocess.run(
            [_RECSVC, "keys", "create", "--role", "admin"], check=True, capture_output=True, text=True
        ).stdout.strip()
        log = config.instance_dir / "processes.log"
        with whole_system(config, log) as url, client_of(url, key) as client:
            run = train(client)
            seconds |= run["seconds"]
            wait_for_version(client, run["model_version"])
            began = time.perf_counter()
            recalls, popular = _ask(client, data, users, seed)
            seconds["recommend"] = time.perf_counter() - began
    mean, low, high = mean_with_interval(recalls)
    return {
        "data": run["data"],
        "users_asked": len(recalls),
        "recall_at_20": mean,
        "interval": [low, high],
        "recall_at_20_of_popularity": float(np.mean(popular)),
        "seconds": {stage: round(value, 2) for stage, value in seconds.items()},
        "milliseconds_a_request": seconds["recommend"] / len(recalls) * 1_000,
    }


def _ask(client: httpx.Client, data: Path, users: int, seed: int) -> tuple[list[float], list[float]]:
    train_items, test_items = read_pairs(data / "train.txt"), read_pairs(data / "test.txt")
    askable = sorted(train_items.keys() & test_items.keys())
    chosen = np.random.default_rng(seed).choice(askable, min(users, len(askable)), replace=False)
    popular = client.get("/api/v1/recommendations/popular", params={"k": 200}).json()["items"]
    popular_ids = [item["item_id"] for item in popular]
    recalls, of_popularity = [], []
    for user in map(str, chosen):
        answer = client.get("/api/v1/recommendations", params={"user_id": user, "k": K}).json()
        recalls.append(recall([item["item_id"] for item in answer["items"]], test_items[user]))
        seen = set(train_items[user])
        unseen = [item_id for item_id in popular_ids if item_id not in seen][:K]
        of_popularity.append(recall(unseen, test_items[user]))
    return recalls, of_popularity


@contextmanager
def _own_instance() -> Iterator[Config]:
    with tempfile.TemporaryDirectory(prefix="recsvc-") as folder:
        os.environ["INSTANCE_DIR"] = folder
        os.environ["LOG_LEVEL"] = "WARNING"
        yield replace(Config.from_environment(), instance_dir=Path(folder))


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=sys.stderr)
    return time.perf_counter() - began


def main() -> None:
    """Reads the arguments and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of train.txt and test.txt")
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    result = measure(arguments.data, arguments.users, arguments.seed)
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    low, high = result["interval"]
    print(f"Users asked for over HTTP:             {result['users_asked']}")
    print(f"Recall@20:                             {result['recall_at_20']:.4f} ({low:.4f}–{high:.4f})")
    print(f"Recall@20 of popularity, same users:   {result['recall_at_20_of_popularity']:.4f}")
    print(f"A request, one after another:          {result['milliseconds_a_request']:.1f} ms")
    for stage, value in result["seconds"].items():
        print(f"{stage:12}{value:8.2f} s")


if __name__ == "__main__":
    main()
