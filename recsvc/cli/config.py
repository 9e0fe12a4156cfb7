"""`recsvc config`."""

from __future__ import annotations

import click

from recsvc.cli.parts import Command, as_json, print_json, with_application
from recsvc.config import current_config


@click.command(cls=Command)
@as_json
@with_application
def config(as_json: bool) -> None:
    """Show every setting, what is in force and what it means.

    Settings are read from the environment, and from a file .env where the environment has none. Secrets are
    masked.

    \b
    recsvc config
    TRAIN_SCHEDULE='0 */6 * * *' recsvc config | grep -A 1 TRAIN_SCHEDULE
    """  # noqa: D301 — \b has to be the character that click takes for "as it stands"
    settings = current_config().describe()
    if as_json:
        print_json(settings)
        return
    for setting in settings:
        click.secho(f"{setting['name']}={setting['value']}", bold=True)
        click.echo(f"    {setting['meaning']} Takes {setting['takes']}.")
