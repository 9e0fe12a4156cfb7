"""`recsvc valkey …`."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from recsvc import valkey as bundled
from recsvc.config import current_config


@click.group()
def valkey() -> None:
    """Look after the bundled Valkey, which stands in where REDIS_URL is not set."""


@valkey.command("stop")
@with_appcontext
def stop_valkey() -> None:
    """Stop it; its data is kept, and the next process that needs it starts it again."""
    click.echo("Stopped." if bundled.stop(current_config().instance_dir) else "It does not run.")
