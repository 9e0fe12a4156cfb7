"""`recsvc models …`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime
from functools import wraps
from typing import Any

import click
from flask.cli import with_appcontext
from rich.console import Console
from rich.progress import Progress

from recsvc.errors import RecsvcError
from recsvc.services import comparing, registry, reproducing, retention, verifying
from recsvc.services.comparing import Change, Difference
from recsvc.storage.models import ModelVersion

_NAMED = 10  # so many item ids are named; --json has all

Command = Callable[..., None]


@click.group()
def models() -> None:
    """List, compare, activate, prune, verify and reproduce model versions.

    A training that succeeds publishes a version in the model store (MODEL_STORE) and makes it the active one,
    which every web process serves within five seconds. MODEL_KEEP versions are kept to go back to.

    \b
    recsvc models list                     what there is
    recsvc models diff VERSION VERSION     what changed
    recsvc models activate VERSION         go back, or forward

    Exit codes: 0 done, 1 not done and why, 2 wrong usage.
    """  # noqa: D301 — \b has to be the character that click takes for "as it stands"


def _command(name: str) -> Callable[[Command], click.Command]:
    """A command that takes --json and ends with what went wrong in words."""

    def decorate(function: Command) -> click.Command:
        @wraps(function)
        def told(**options: Any) -> None:
            try:
                function(**options)
            except RecsvcError as error:
                raise click.ClickException(error.detail) from error

        command = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(with_appcontext(told))
        return models.command(name)(command)

    return decorate


@_command("list")
def list_models(as_json: bool) -> None:
    """List versions, newest first: status, when each was made, and whether its files are kept.

    A version is active, retired (it was active), candidate (it was not yet) or rejected.
    """
    versions = registry.everything()
    if as_json:
        _print_json([_summary(version) for version in versions])
        return
    if not versions:
        click.echo("There is no version yet: recsvc train")
    for version in versions:
        kept = "" if version.files_kept else "  files deleted"
        line = f"{version.version}  {version.status:9}  made {_time(version.created_at)}{kept}"
        click.secho(line, bold=version.status == "active", dim=not version.files_kept)


@_command("show")
@click.argument("version")
def show(version: str, as_json: bool) -> None:
    """Show a version: what it learned from, with which parameters, and how good it was measured to be."""
    found = registry.get(version)
    until = retention.kept_until(found)
    if as_json:
        kept = {"trainings": until.trainings, "at": until.at.isoformat()}
        _print_json({**_summary(found), "kept_until": kept, "manifest": found.manifest})
        return
    click.secho(f"{found.version}  {found.status}", bold=True)
    click.echo(f"made       {_time(found.created_at)} by run {found.run_id}")
    click.echo(f"active     {_time(found.activated_at) if found.activated_at else 'never'}")
    click.echo(f"files      {_until(found, until)}")
    for part in ("data", "parameters", "metrics"):
        click.secho(part, bold=True)
        for line in _lines(found.manifest.get(part), indent=1):
            click.echo(line)


@_command("diff")
@click.argument("before")
@click.argument("after")
def diff(before: str, after: str, as_json: bool) -> None:
    """Tell what changed from version BEFORE to version AFTER: data, parameters, metrics, items.

    Each version was measured on the data of its day, so metrics tell of both data and model.
    """
    found = comparing.difference(before, after)
    if as_json:
        _print_json(found.as_json())
        return
    for line in _changes(found):
        click.echo(line)


@_command("activate")
@click.argument("version")
def activate(version: str, as_json: bool) -> None:
    """Make VERSION the active one: every web process serves it within five seconds, and no request fails.

    Its signature and files are checked first. The version that is active now is kept.
    """
    found = registry.activate(version)
    if as_json:
        _print_json(_summary(found))
    else:
        click.echo(f"Version {found.version} is active.")


@_command("prune")
@click.option("--dry-run", is_flag=True, help="Only tell which.")
def prune(dry_run: bool, as_json: bool) -> None:
    """Delete the files of versions beyond MODEL_KEEP; what is known of them stays in the list.

    Neither the active version nor the one before it goes, nor what a training under way has published. A
    worker does this after each training by itself.
    """
    pruned = retention.prune(dry_run=dry_run)
    if as_json:
        _print_json({"pruned": pruned, "dry_run": dry_run})
        return
    for version in pruned:
        click.echo(f"{version} {'would go' if dry_run else 'is gone'}")
    if not pruned:
        click.echo("There is nothing to prune.")


@_command("verify")
@click.argument("versions", nargs=-1, metavar="[VERSION]...")
def verify(versions: tuple[str, ...], as_json: bool) -> None:
    """Read versions from the model store, and check the signature and every byte of each; all without any.

    The exit code is 1 where one is not what was published.
    """
    verdicts = verifying.verify(versions)
    if as_json:
        _print_json([asdict(verdict) for verdict in verdicts])
    for verdict in verdicts if not as_json else []:
        state = "ok" if verdict.bytes is not None else f"damaged: {verdict.problem}"
        size = f"  {verdict.bytes / 1e6:.1f} MB" if verdict.bytes is not None else ""
        click.secho(f"{verdict.version}  {state}{size}", fg="red" if verdict.problem else None)
    damaged = sum(verdict.problem is not None for verdict in verdicts)
    if damaged:
        raise click.ClickException(f"{damaged} of {len(verdicts)} versions must not be served.")


@_command("reproduce")
@click.argument("version")
def reproduce(version: str, as_json: bool) -> None:
    """Fit a version again, here and now, up to its watermark, and compare. Changes nothing.

    A version that was fitted with TRAIN_THREADS=1 comes out the same in every byte of every array, as long as
    the data up to its watermark and the libraries are as they were. Fits with several threads differ from one
    another: there the quality of both is compared. The exit code is 1 where one thread does not come to the
    same, or where the data has changed.
    """
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("read", total=1.0)
        found = reproducing.reproduce(
            version, lambda stage, done: bar.update(task, description=stage, completed=done)
        )
    if as_json:
        _print_json(asdict(found))
    else:
        _tell_reproduction(found)
    if found.different and (found.threads == 1 or found.changed):
        raise click.ClickException("It was not reproduced.")


def _summary(version: ModelVersion) -> dict[str, Any]:
    return {
        "version": version.version,
        "status": version.status,
        "run_id": version.run_id,
        "created_at": version.created_at.isoformat(),
        "activated_at": version.activated_at.isoformat() if version.activated_at else None,
        "files_kept": version.files_kept,
    }


def _until(version: ModelVersion, until: retention.KeptUntil) -> str:
    if not version.files_kept:
        return f"deleted {_time(until.at)}"
    return f"kept for {until.trainings} more trainings: until {_time(until.at)} if only the schedule trains"


def _changes(found: Difference) -> Iterator[str]:
    for part in ("data", "parameters", "metrics"):
        changes: dict[str, Change] = getattr(found, part)
        yield f"{part}: {'nothing changed' if not changes else ''}".rstrip()
        for name, change in changes.items():
            yield f"  {name}: {_value(change.before)} → {_value(change.after)}{_step(change)}"
    for what, item_ids in (("added", found.items_added), ("removed", found.items_removed)):
        if item_ids is None:
            yield f"items {what}: not known, since files of one of the versions are gone or damaged"
            continue
        named = ", ".join(item_ids[:_NAMED])
        more = f" and {len(item_ids) - _NAMED:,} more" if len(item_ids) > _NAMED else ""
        yield f"items {what}: {len(item_ids):,}{f' ({named}{more})' if item_ids else ''}"


def _step(change: Change) -> str:
    values = (change.before, change.after)
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return ""
    return f"  ({change.after - change.before:+.6g})"


def _lines(value: Any, indent: int) -> Iterator[str]:
    for name, inner in (value or {}).items():
        if isinstance(inner, dict):
            yield f"{'  ' * indent}{name}"
            yield from _lines(inner, indent + 1)
        else:
            yield f"{'  ' * indent}{name}: {_value(inner)}"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _tell_reproduction(found: reproducing.Reproduction) -> None:
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
