"""`recsvc models …`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from recsvc.cli.parts import Group, as_json, moment, print_json, with_application
from recsvc.services import comparing, registry, reproducing, retention, verifying
from recsvc.services.comparing import Change, Difference
from recsvc.storage.models import ModelVersion

_NAMED = 10  # so many item ids are named; --json has all


@click.group(cls=Group)
def models() -> None:
    """List, compare, activate, prune, verify and reproduce model versions.

    A training that succeeds publishes a version in the model store (MODEL_STORE) and makes it the active one,
    which every web process serves within five seconds. MODEL_KEEP versions are kept to go back to.

    \b
    recsvc models list                     what there is
    recsvc models diff VERSION VERSION     what changed
    recsvc models activate VERSION         go back, or forward
    """  # noqa: D301 — \b has to be the character that click takes for "as it stands"


@models.command("list")
@as_json
@with_application
def list_models(as_json: bool) -> None:
    """List versions, newest first: status, when each was made, and whether its files are kept.

    A version is active, retired (it was active), candidate (it was not yet) or rejected.

    \b
    recsvc models list
    """  # noqa: D301
    versions = registry.everything()
    if as_json:
        print_json([_summary(version) for version in versions])
        return
    if not versions:
        click.echo("There is no version yet: recsvc train")
    for version in versions:
        kept = "" if version.files_kept else "  files deleted"
        line = f"{version.version}  {version.status:9}  made {moment(version.created_at)}{kept}"
        click.secho(line, bold=version.status == "active", dim=not version.files_kept)


@models.command("show")
@click.argument("version")
@as_json
@with_application
def show(version: str, as_json: bool) -> None:
    """Show VERSION: what it learned from, with which parameters, and how good it was measured to be.

    \b
    recsvc models show 20261123T000007Z-1f0c9a77
    """  # noqa: D301
    found = registry.get(version)
    until = retention.kept_until(found)
    if as_json:
        kept = {"trainings": until.trainings, "at": until.at.isoformat()}
        print_json({**_summary(found), "kept_until": kept, "manifest": found.manifest})
        return
    click.secho(f"{found.version}  {found.status}", bold=True)
    click.echo(f"made       {moment(found.created_at)} by run {found.run_id}")
    click.echo(f"active     {moment(found.activated_at) if found.activated_at else 'never'}")
    click.echo(f"files      {_until(found, until)}")
    for part in ("data", "parameters", "metrics"):
        click.secho(part, bold=True)
        for line in _lines(found.manifest.get(part), indent=1):
            click.echo(line)


@models.command("diff")
@click.argument("before")
@click.argument("after")
@as_json
@with_application
def diff(before: str, after: str, as_json: bool) -> None:
    """Tell what changed from version BEFORE to version AFTER: data, parameters, metrics, items.

    Each version was measured on the data of its day, so metrics tell of both data and model.

    \b
    recsvc models diff 20261122T000007Z-77ab01ce 20261123T000007Z-1f0c9a77
    """  # noqa: D301
    found = comparing.difference(before, after)
    if as_json:
        print_json(found.as_json())
        return
    for line in _changes(found):
        click.echo(line)


@models.command("activate")
@click.argument("version")
@as_json
@with_application
def activate(version: str, as_json: bool) -> None:
    """Make VERSION the active one: every web process serves it within five seconds, and no request fails.

    Its signature and files are checked first. The version that is active now is kept.

    \b
    recsvc models activate 20261122T000007Z-77ab01ce
    """  # noqa: D301
    found = registry.activate(version)
    if as_json:
        print_json(_summary(found))
    else:
        click.echo(f"Version {found.version} is active.")


@models.command("prune")
@click.option("--dry-run", is_flag=True, help="Only tell which.")
@as_json
@with_application
def prune(dry_run: bool, as_json: bool) -> None:
    """Delete the files of versions beyond MODEL_KEEP; what is known of them stays in the list.

    Neither the active version nor the one before it goes, nor what a training under way has published. A
    worker does this after each training by itself.

    \b
    recsvc models prune --dry-run
    """  # noqa: D301
    pruned = retention.prune(dry_run=dry_run)
    if as_json:
        print_json({"pruned": pruned, "dry_run": dry_run})
        return
    for version in pruned:
        click.echo(f"{version} {'would go' if dry_run else 'is gone'}")
    if not pruned:
        click.echo("There is nothing to prune.")


@models.command("verify")
@click.argument("versions", nargs=-1, metavar="[VERSION]...")
@as_json
@with_application
def verify(versions: tuple[str, ...], as_json: bool) -> None:
    """Read each VERSION, or all, from the model store, and check its signature and every byte.

    The exit code is 1 where one is not what was published.

    \b
    recsvc models verify
    """  # noqa: D301
    with _bar() as tell:
        verdicts = verifying.verify(versions, on_progress=tell)
    if as_json:
        print_json([asdict(verdict) for verdict in verdicts])
    for verdict in verdicts if not as_json else []:
        state = "ok" if verdict.bytes is not None else f"damaged: {verdict.problem}"
        size = f"  {verdict.bytes / 1e6:.1f} MB" if verdict.bytes is not None else ""
        click.secho(f"{verdict.version}  {state}{size}", fg="red" if verdict.problem else None)
    damaged = sum(verdict.problem is not None for verdict in verdicts)
    if damaged:
        raise click.ClickException(f"{damaged} of {len(verdicts)} versions must not be served.")


@models.command("reproduce")
@click.argument("version")
@as_json
@with_application
def reproduce(version: str, as_json: bool) -> None:
    """Fit VERSION again, here and now, up to its watermark, and compare. Changes nothing.

    A version that was fitted with TRAIN_THREADS=1 comes out the same in every byte of every array, as long as
    the data up to its watermark and the libraries are as they were. Fits with several threads differ from one
    another: there the quality of both is compared. The exit code is 1 where one thread does not come to the
    same, or where the data has changed.

    \b
    TRAIN_THREADS=1 recsvc models reproduce 20261123T000007Z-1f0c9a77
    """  # noqa: D301
    with _bar() as tell:
        found = reproducing.reproduce(version, tell)
    if as_json:
        print_json(asdict(found))
    else:
        _tell_reproduction(found)
    if found.different and (found.threads == 1 or found.changed):
        raise click.ClickException("It was not reproduced.")


@contextmanager
def _bar() -> Iterator[Callable[[str, float], None]]:
    """A bar on a terminal, and what tells it what is done, and how much of that."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, done: bar.update(task, description=what, completed=done)


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
        return f"deleted {moment(until.at)}"
    return f"kept for {until.trainings} more trainings: until {moment(until.at)} if only the schedule trains"


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
