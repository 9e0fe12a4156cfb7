"""`recsvc valkey …`."""

from __future__ import annotations

import click

from recsvc import valkey as bundled
from recsvc.cli.parts import Group, with_application
from recsvc.config import current_config


@click.group(cls=Group)
def valkey() -> None:
    """Look after the bundled Valkey, which stands in where REDIS_URL is not set.

    Whichever process needs it first starts it, and it outlives them all.

    \b
    recsvc valkey stop
    """  # noqa: D301 — \b has to be the character that click takes for "as it stands"


@valkey.command("stop")
@with_application
def stop_valkey() -> None:
    """Stop it; its data is kept, and the next process that needs it starts it again.

    \b
    recsvc valkey stop
    """  # noqa: D301
    click.echo("Stopped." if bundled.stop(current_config().instance_dir) else "It does not run.")
