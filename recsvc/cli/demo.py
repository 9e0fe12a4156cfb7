"""`recsvc demo`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from flask_migrate import upgrade

from recsvc.cli.parts import Command, with_application
from recsvc.config import current_config
from recsvc.demo import show, system
from recsvc.demo.shop import open_shop
from recsvc.services import keys


@click.command(cls=Command)
@click.option("--once", is_flag=True, help="End when the recommendations are shown.")
@with_application
def demo(once: bool) -> None:
    """Run the whole system with a bookshop in it, until Ctrl-C.

    The books are real; the readers are generated. What you write stays in the instance folder; started again,
    the demo puts its own books and readers back as they were.

    \b
    INSTANCE_DIR=/tmp/demo recsvc demo
    """  # noqa: D301 — \b has to be the character that click takes for "as it stands"
    config = current_config()
    click.secho("A bookshop", bold=True)
    log = config.instance_dir / "processes.log"
    try:
        upgrade()
        books, new = open_shop()
        click.echo(f"{books} real books; {new} new interactions of generated readers, who are nobody real.")
        with (
            _demo_key() as key,
            system.whole_system(config, log) as url,
            system.client_of(url, key) as client,
        ):
            click.echo("web, worker and scheduler run. The worker trains …")
            run = system.train(client)
            system.wait_for_version(client, run["model_version"])
            click.echo(
                f"It took {sum(run['seconds'].values()):.1f} s. Version {run['model_version']} is served."
            )
            show.tell_of_readers(client, run["model_version"])
            _tell_where_to_go(url, key, log)
            if not once:
                show.wait_for_interrupt()
    except system.NotRunningError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("\nStopping.")


@contextmanager
def _demo_key() -> Iterator[str]:
    """An admin key for as long as the demo runs."""
    credential, key = keys.create("admin", "demo")
    try:
        yield key
    finally:
        keys.revoke(credential.key_id)


def _tell_where_to_go(url: str, key: str, log: Path) -> None:
    click.secho("\nTry it:", bold=True)
    click.echo(f"    {url}/console/")
    click.echo(f"    {url}/api/v1/docs")
    click.echo(f"    admin key  {key}")
    click.echo(
        f"    curl -H 'Authorization: Bearer {key}' '{url}/api/v1/recommendations?user_id=reader-0001'"
    )
    click.echo(f"    the processes write to {os.path.relpath(log)}")
