"""`recsvc keys …`."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from recsvc.errors import InvalidInputError, NotFoundError
from recsvc.services import keys as service
from recsvc.services import tokens
from recsvc.services.keys import ROLES


@click.group()
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command("create")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the key may do.")
@click.option("--name", default="", help="What the key is for, in your words.")
@with_appcontext
def create_key(role: str, name: str) -> None:
    """Make a key. It is printed once and kept only as a hash."""
    try:
        _, key = service.create(role, name or role)
    except InvalidInputError as error:
        raise click.ClickException(error.detail) from error
    click.echo(key)


@keys.command("list")
@with_appcontext
def list_keys() -> None:
    """List keys, oldest first."""
    for key in service.everything():
        state = "revoked" if key.revoked_at else "active"
        used = f"{key.last_used_at:%Y-%m-%d %H:%M} UTC" if key.last_used_at else "never"
        click.echo(f"{key.key_id}  {key.role:8}{state:9}last used {used}  {key.name}")


@keys.command("rotate-tokens")
@with_appcontext
def rotate_tokens() -> None:
    """End all user tokens made here within seconds, by signing with a new secret from now on."""
    tokens.rotate()
    click.echo("All user tokens made until now end within 5 seconds.")


@keys.command("revoke")
@click.argument("key_id")
@with_appcontext
def revoke_key(key_id: str) -> None:
    """End a key, by the id that `recsvc keys list` shows."""
    try:
        service.revoke(key_id)
    except NotFoundError as error:
        raise click.ClickException(error.detail) from error
    click.echo(f"{key_id} is revoked.")
