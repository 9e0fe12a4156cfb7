"""`recsvc config`."""

from __future__ import annotations

import json

import click
from flask.cli import with_appcontext

from recsvc.config import current_config


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_appcontext
def config(as_json: bool) -> None:
    """Show every setting, what is in force and what it means.

    Settings are read from the environment, and from a file .env where the environment has none. Secrets are
    masked.
    """
    settings = current_config().describe()
    if as_json:
        click.echo(json.dumps(settings, ensure_ascii=False, indent=2))
        return
    for setting in settings:
        click.secho(f"{setting['name']}={setting['value']}", bold=True)
        click.echo(f"    {setting['meaning']} Takes {setting['takes']}.")
