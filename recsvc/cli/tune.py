"""`recsvc tune`."""

from __future__ import annotations

import time

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from recsvc.cli.parts import Command, as_json, print_json, with_application
from recsvc.config import current_config
from recsvc.services import tuning
from recsvc.services.tuning import Outcome, Status


@click.command(cls=Command)
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Default: TUNE_MINUTES.")
@click.option("--reset", is_flag=True, help="Forget what earlier tunings tried and found, first.")
@as_json
@with_application
def tune(minutes: float | None, reset: bool, as_json: bool) -> None:
    """Look for parameters that recommend better than the settings, and keep them where they do for sure.

    Users that chose nothing judge the best trial. Goes on where an earlier tuning ended; Ctrl-C ends it early
    and keeps what was found. The next training takes what is in force. A setting that is not at its default
    is never tuned, except MODEL_COMPONENTS, which stays the most that is tried. With --reset alone nothing
    is tried.

    \b
    recsvc tune --minutes 30
    """  # noqa: D301 — \b has to be the character that click takes for "as it stands"
    if reset:
        tuning.reset()
        if minutes is None:
            click.echo("Trainings take the settings alone again.", err=as_json)
            return
    outcome = _run(minutes or current_config().tune_minutes)
    if as_json:
        print_json(outcome.as_json())
    else:
        click.echo(_told(outcome))


def _run(minutes: float) -> Outcome:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("reading", total=60 * minutes)
        began = time.monotonic()

        def show(status: Status) -> None:
            bar.update(
                task,
                completed=time.monotonic() - began,
                description=f"trial {status.trials + 1} ({status.turn}), best {status.gain:+.4f} NDCG@20",
            )

        return tuning.tune(minutes, on_progress=show)


def _told(outcome: Outcome) -> str:
    lines = [
        f"{outcome.trials} trials in {outcome.seconds:.0f} s, after {outcome.earlier} of earlier tunings.",
        f"NDCG@20 among {outcome.users} users: {outcome.default_ndcg:.4f} with the settings,"
        f" {outcome.ndcg:.4f} with the best found.",
        f"Gain {outcome.gain:+.4f}, 95 % interval {outcome.low:+.4f} to {outcome.high:+.4f}.",
    ]
    for name, (before, after) in outcome.changed.items():
        lines.append(f"  {name}: {'chosen by training' if before is None else f'{before:g}'} → {after:g}")
    if outcome.kept:
        lines.append("It is in force from the next training on.")
    else:
        lines.append("That is not above 0 for sure, so it was not put in force.")
        found = ", ".join(f"{name}={value:g}" for name, value in outcome.in_force.items())
        lines.append(f"In force beside the settings: {found or 'nothing'}.")
    return "\n".join(lines)
