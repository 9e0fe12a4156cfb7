"""`recsvc train`."""

from __future__ import annotations

import time

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from recsvc.api.schemas import TrainingRunSchema
from recsvc.cli.parts import Command, as_json, print_json, with_application
from recsvc.extensions import db
from recsvc.services import training
from recsvc.storage.models import UNDER_WAY, TrainingRun

_LOOK_EVERY = 0.5  # seconds
_NOBODY_AFTER = 10.0  # seconds
_ENDED = {"failed": "failed", "rejected": "was rejected", "cancelled": "was cancelled"}


@click.command(cls=Command)
@click.option("--wait", is_flag=True, help="Show the progress, and end when the run does.")
@click.option("--reason", help="Why, in your words; kept with the run.")
@click.option("--force", is_flag=True, help="Make it active even where the gate would reject it.")
@as_json
@with_application
def train(wait: bool, reason: str | None, force: bool, as_json: bool) -> None:
    """Ask for a training on all interactions; a worker does it.

    Where a run is under way already, that one is meant. With --wait the exit code is 0 only if the run
    succeeded.

    \b
    recsvc train --wait
    recsvc train --reason "new catalogue" --json
    """  # noqa: D301 — \b has to be the character that click takes for "as it stands"
    run, already_running = training.request("manual", requested_by="command line", reason=reason, force=force)
    if not as_json:
        click.echo(f"Run {run.run_id} {'is under way already' if already_running else 'is queued'}.")
    if already_running and force and not run.force:
        click.echo("It is not forced: ask again when it has ended.", err=True)
    if wait:
        run = _follow(run.run_id)
    if as_json:
        print_json({**TrainingRunSchema().dump(run), "already_running": already_running})
    if wait:
        _tell_end(run, quietly=as_json)


def _tell_end(run: TrainingRun, *, quietly: bool) -> None:
    why = (run.gate or {}).get("reason", "")
    if run.status != "succeeded":
        raise click.ClickException(f"The run {_ENDED[run.status]}. {run.error or why}".strip())
    if not quietly:
        click.echo(why)
        click.echo(f"Version {run.model_version} is active.")


def _follow(run_id: str) -> TrainingRun:
    began, is_warned = time.monotonic(), False
    columns = (
        TextColumn("{task.description:9}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task, shown = bar.add_task("queued", total=1.0, detail=""), "queued"
        while True:
            # SQLite would show what it was when this transaction began, for ever.
            db.session.rollback()
            run = training.get(run_id)
            if run.stage is not None and run.stage != shown:
                bar.update(task, completed=1.0)
                bar.stop_task(task)
                task, shown = bar.add_task(run.stage, total=1.0, detail=""), run.stage
            bar.update(task, completed=run.progress, detail=_detail(run))
            if run.status not in UNDER_WAY:
                return run
            if run.status == "queued" and not is_warned and time.monotonic() - began > _NOBODY_AFTER:
                bar.console.print("No worker has taken it yet. Does one run? python worker.py")
                is_warned = True
            time.sleep(_LOOK_EVERY)


def _detail(run: TrainingRun) -> str:
    parts = []
    if run.stage == "read" and run.rows_read:
        parts.append(f"{run.rows_read:,} rows")
    if run.epoch:
        parts.append(f"epoch {run.epoch}")
    if run.attempt > 1:
        parts.append(f"attempt {run.attempt}")
    return ", ".join(parts)
