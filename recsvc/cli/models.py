"""`recsvc models`."""

from __future__ import annotations

import click
from flask.cli import with_appcontext
from rich.console import Console
from rich.progress import Progress

from recsvc.errors import RecsvcError
from recsvc.services import reproducing


@click.group()
def models() -> None:
    """Look at model versions."""


@models.command()
@click.argument("version")
@with_appcontext
def reproduce(version: str) -> None:
    """Fit a version again, here and now, up to its watermark, and compare. Changes nothing.

    A version that was fitted with TRAIN_THREADS=1 comes out the same in every byte of every array, as long as
    the data up to its watermark and the libraries are as they were. Fits with several threads differ from one
    another: there the quality of both is compared. The exit code is 1 where one thread does not come to the
    same, or where the data has changed.
    """
    console = Console(stderr=True)
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("read", total=1.0)
            found = reproducing.reproduce(
                version, lambda stage, done: bar.update(task, description=stage, completed=done)
            )
    except RecsvcError as error:
        raise click.ClickException(error.detail) from error
    arrays = len(found.same) + len(found.different)
    click.echo(
        f"{found.version}: fitted again to {found.interactions:,} interactions with {found.threads}"
        f" thread{'' if found.threads == 1 else 's'} in {found.seconds:.0f} s."
    )
    for change in found.changed:
        click.echo(f"No longer as it was: {change}.")
    if not found.different:
        click.echo(f"The same in every byte of all {arrays} arrays.")
        return
    click.echo(f"The same: {len(found.same)} of {arrays} arrays. Not: {', '.join(found.different)}.")
    if found.threads > 1:
        click.echo("With several threads a fit does not repeat byte for byte: it is only comparable.")
    if found.quality is None:
        click.echo("Too few users came to like anything after its watermark to compare the quality by.")
    else:
        mean, low, high = found.quality.differences["ndcg_at_10"]
        click.echo(
            f"NDCG@10 on what {found.quality.users:,} users came to like after its watermark:"
            f" {found.quality.ours['ndcg_at_10']:.4f} now, {found.quality.theirs['ndcg_at_10']:.4f} then"
            f" (difference {mean:+.4f}, 99.8 % interval {low:+.4f} to {high:+.4f})."
        )
    if found.threads == 1 or found.changed:
        raise click.ClickException("It was not reproduced.")
