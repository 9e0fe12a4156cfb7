"""Seconds and memory of a training, stage by stage, beside LightFM used as its documentation shows.

    python -m benchmarks.training [--interactions 1000000,5000000] [--epochs N] [--threads N] [--seed N]
        [--database-url URL] [--skip-lightfm-above N] [--lightfm-evaluation-users N] [--json]

For each size a made-up shop (`benchmarks.synthetic`) goes into a new database. One new process then runs a
training as a worker does, from the rows in the database to an active version, with default settings. Another
takes the same rows as LightFM's documentation does: the shop's own ids, streamed into `lightfm.data.Dataset`,
item features, a random split of the distinct pairs, one WARP fit to 80 % of them, `recall_at_k` of all users
of the rest, and a pickle; with the threads, epochs and components of our final fit.

Peak memory is the process's resident set, reset before each stage on Linux; elsewhere it is the highest so
far. `memory` is the highest peak above what the process has before it begins. `judging` is to
tell how good tries of parameters and weights are, of which LightFM's way has nothing; `around` is the rest.
SQLite's file is in a temporary folder (TMPDIR). With --database-url, a PostgreSQL server on which databases
may be made, each size gets one of its own, dropped afterwards.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import create_engine, make_url, text

from benchmarks.baselines import train_lightfm_as_documented
from benchmarks.measuring import BETWEEN, Stages, in_new_process, new_instance
from benchmarks.synthetic import Shop, write
from recsvc.config import DATABASE_URL, Config

SIDES = ("recsvc", "lightfm")
FIGURES = ("whole", "fits", "around", "memory")

_DATABASE = "recsvc_benchmark"


def measure(interactions: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Makes a shop, and trains on it in both ways."""
    limits = {"model_epochs": arguments.epochs} if arguments.epochs else {}
    with (
        _database(arguments.database_url, interactions) as url,
        new_instance(database_url=url, train_threads=arguments.threads, **limits) as config,
    ):
        written = in_new_process(write, Shop(interactions, arguments.seed), config)
        result = {"interactions": interactions, "threads": arguments.threads, "seconds_to_write": written}
        result["recsvc"] = in_new_process(train, config)
        if interactions <= arguments.skip_lightfm_above:
            result["lightfm"] = in_new_process(
                train_as_documented,
                config,
                result["recsvc"]["epochs"],
                result["recsvc"]["components"],
                arguments.lightfm_evaluation_users,
            )
        return result


def train(config: Config) -> dict[str, Any]:
    """Runs a training as a worker's job does, in this process.

    Raises:
        RuntimeError: It did not succeed.
    """
    from recsvc.factory import create_app
    from recsvc.services import training
    from recsvc.services.progress import Progress

    with create_app(config).app_context():
        run_id = training.request("manual", requested_by="benchmarks.training")[0].run_id
        _import_lightfm()
        stages = Stages()

        class Measured(Progress):
            @contextmanager
            def stage(self, name: str) -> Iterator[None]:
                with stages.stage(name), super().stage(name):
                    yield

        with patch.object(training, "Progress", Measured):
            training.run(run_id)
        stages.end(BETWEEN)
        run = training.get(run_id)
        if run.status != "succeeded":
            raise RuntimeError(f"The training {run.status}: {run.error}")
        # Where a run has several models, each has parameters of its own.
        own = run.parameters.get("lightfm") or run.parameters
        # Parameters are chosen by fits too, each of which is judged.
        told = run.metrics or {}
        fits = float(told.get("fit_seconds", 0.0)) + stages.seconds["fit"]
        return {
            **_summary(stages, fits, float(told.get("judging_seconds", 0.0))),
            "epochs": own.get("epochs", config.model_epochs),
            "components": own.get("components", config.model_components),
            "run_seconds": run.seconds,
            "data": run.data,
            "parameters": run.parameters,
            "metrics": run.metrics,
        }


def train_as_documented(config: Config, epochs: int, components: int, most_users: int) -> dict[str, Any]:
    """Runs `benchmarks.baselines.train_lightfm_as_documented` in this process."""
    _import_lightfm()
    stages = Stages()
    told = train_lightfm_as_documented(
        config.database_url,
        config.instance_dir / "lightfm.pickle",
        stages.stage,
        epochs=epochs,
        components=components,
        threads=config.train_threads,
        seed=config.train_seed,
        most_users=most_users,
    )
    stages.end(BETWEEN)
    measured = stages.seconds["evaluate"]
    stages.seconds["evaluate"] = measured * told["test_users"] / told["evaluated_users"]
    told["is_extrapolated"] = told["evaluated_users"] < told["test_users"]
    return {**_summary(stages, stages.seconds["fit"], 0.0), **told, "measured_seconds_of_evaluate": measured}


def _summary(stages: Stages, fits: float, judging: float) -> dict[str, Any]:
    whole = sum(stages.seconds.values())
    return {
        "seconds": stages.seconds,
        "peak_mb": stages.peak_mb,
        "whole": whole,
        "fits": fits,
        "judging": judging,
        "around": whole - fits - judging,
        "peak": max(stages.peak_mb.values()),
        "memory": max(stages.peak_mb.values()) - stages.start_mb,
    }


def _import_lightfm() -> None:
    # Before the clock starts, on both sides.
    for module in ("cross_validation", "data", "evaluation"):
        importlib.import_module(f"lightfm.{module}")


@contextmanager
def _database(server_url: str | None, interactions: int) -> Iterator[str]:
    if not server_url:
        yield ""
        return
    name = f"{_DATABASE}_{interactions}"
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def _show(result: dict[str, Any], before: dict[str, Any] | None) -> None:
    data, sides = result["recsvc"]["data"], {name: result[name] for name in SIDES if name in result}
    print(
        f"\n{result['interactions']:,} interactions, {data['users']:,} users, {data['items']:,} items,"
        f" {data['pairs']:,} pairs; {result['threads']} threads"
    )
    for name, side in sides.items():
        _show_side(name, side)
    ours, theirs = result["recsvc"], result.get("lightfm")
    print(f"{'recsvc, whole by its fits alone':50}{ours['whole'] / ours['fits']:7.2f}")
    print(
        f"{'recsvc, whole by its fits and judging':50}{ours['whole'] / (ours['fits'] + ours['judging']):7.2f}"
    )
    if theirs:
        for what in FIGURES:
            print(f"{f'{what}, recsvc by LightFM':50}{ours[what] / theirs[what]:7.2f}")
    if before:
        times = result["interactions"] / before["interactions"]
        print(f"{times:g} times the interactions of before; growth divided by that:")
        for name, side in sides.items():
            if name in before:
                growth = (f"{what} {side[what] / before[name][what] / times:.2f}" for what in FIGURES)
                print(f"{name:10}{', '.join(growth)}")


def _show_side(name: str, side: dict[str, Any]) -> None:
    notes = {}
    if side.get("is_extrapolated"):
        measured, asked = side["measured_seconds_of_evaluate"], side["evaluated_users"]
        notes["evaluate"] = f"EXTRAPOLATED: {measured:.2f} s for {asked:,} of {side['test_users']:,} users"
    print(f"{name:10}{'stage':12}{'seconds':>10}{'peak MB':>10}")
    for stage, seconds in side["seconds"].items():
        print(
            f"{'':10}{stage:12}{seconds:10.2f}{side['peak_mb'][stage]:10.0f}  {notes.get(stage, '')}".rstrip()
        )
    print(f"{'':10}{'whole':12}{side['whole']:10.2f}{side['peak']:10.0f}  memory {side['memory']:.0f}")
    model = f"LightFM: {side['epochs']} epochs, {side['components']} components"
    print(f"{'':10}{'fits':12}{side['fits']:10.2f}{'':10}  {model}")
    if side["judging"]:
        print(f"{'':10}{'judging':12}{side['judging']:10.2f}{'':10}  to choose parameters and weights")
    print(f"{'':10}{'around':12}{side['around']:10.2f}")


def main() -> None:
    """Reads the arguments, measures, and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--interactions", default="1000000", help="sizes with commas between")
    parser.add_argument("--epochs", type=int, help="MODEL_EPOCHS, else its default")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0, help="of the shop")
    parser.add_argument("--database-url", type=DATABASE_URL.parse, help="a PostgreSQL server")
    parser.add_argument("--skip-lightfm-above", type=int, default=sys.maxsize, metavar="N")
    parser.add_argument(
        "--lightfm-evaluation-users",
        type=int,
        default=0,
        metavar="N",
        help="evaluate on so many test users, and extrapolate the seconds; 0, the default, for all",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if (arguments.database_url or "").startswith("sqlite"):
        parser.error("--database-url takes a PostgreSQL server; SQLite needs none")
    results: list[dict[str, Any]] = []
    for interactions in map(int, arguments.interactions.split(",")):
        results.append(measure(interactions, arguments))
        if not arguments.json:
            _show(results[-1], results[-2] if len(results) > 1 else None)
            sys.stdout.flush()
    if arguments.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
