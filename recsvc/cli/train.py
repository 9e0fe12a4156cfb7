"""`recsvc train`."""

from __future__ import annotations

import time

import click
from flask.cli import with_appcontext
from rich.console import Console
from rich.progress import Progress

from recsvc.errors import RecsvcError
from recsvc.extensions import db
from recsvc.services import training
from recsvc.storage.models import UNDER_WAY, TrainingRun

_LOOK_EVERY = 0.5  # seconds
_NOBODY_AFTER = 10.0  # seconds


@click.command()
@click.option("--wait", is_flag=True, help="Show the progress, and end when the run does.")
@click.option("--reason", help="Why, in your words; kept with the run.")
@with_appcontext
def train(wait: bool, reason: str | None) -> None:
    """Ask for a training on all interactions; a worker does it.

    Where a run is under way already, that one is meant. With --wait the exit code is 0 only if the run
    succeeded.
    """
    try:
        run, already_running = training.request("manual", requested_by="command line", reason=reason)
    except RecsvcError as error:
        raise click.ClickException(error.detail) from error
    click.echo(f"Run {run.run_id} {'is under way already' if already_running else 'is queued'}.")
    if wait:
        ended = _follow(run.run_id)
        if ended.status != "succeeded":
            raise click.ClickException(f"The run {ended.status}. {ended.error or ''}".strip())
        click.echo(f"Version {ended.model_version} is active.")


def _follow(run_id: str) -> TrainingRun:
    began, is_warned = time.monotonic(), False
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("queued", total=1.0)
        while True:
            # SQLite would show what it was when this transaction began, for ever.
            db.session.rollback()
            run = training.get(run_id)
            bar.update(task, description=run.stage or run.status, completed=run.progress)
            if run.status not in UNDER_WAY:
                return run
            if run.status == "queued" and not is_warned and time.monotonic() - began > _NOBODY_AFTER:
                bar.console.print("No worker has taken it yet. Does one run? python worker.py")
                is_warned = True
            time.sleep(_LOOK_EVERY)
