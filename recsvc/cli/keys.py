"""`recsvc keys …`."""

from __future__ import annotations

from typing import Any

import click

from recsvc.cli.parts import Group, as_json, moment, print_json, with_application
from recsvc.services import keys as service
from recsvc.services import tokens
from recsvc.services.keys import ROLES
from recsvc.storage.models import ApiKey


@click.group(cls=Group)
def keys() -> None:
    """Make, list and revoke API keys.

    \b
    admin     everything: operators
    service   write and read for any user, the catalogue, tokens: the shop's backend
    read      lists and the catalogue: dashboards, partners

    \b
    recsvc keys create --role service --name "shop backend"
    recsvc keys list
    """  # noqa: D301 — \b has to be the character that click takes for "as it stands"


@keys.command("create")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the key may do.")
@click.option("--name", default="", help="What the key is for, in your words.")
@as_json
@with_application
def create_key(role: str, name: str, as_json: bool) -> None:
    """Make a key, which is printed once and kept only as a hash.

    \b
    KEY=$(recsvc keys create --role service --name "shop backend")
    """  # noqa: D301
    credential, key = service.create(role, name or role)
    if as_json:
        print_json({"key_id": credential.key_id, "role": role, "name": credential.name, "key": key})
    else:
        click.echo(key)


@keys.command("list")
@as_json
@with_application
def list_keys(as_json: bool) -> None:
    """List keys, oldest first.

    \b
    recsvc keys list
    """  # noqa: D301
    everything = service.everything()
    if as_json:
        print_json([_told(key) for key in everything])
        return
    for key in everything:
        state = "revoked" if key.revoked_at else "active"
        used = moment(key.last_used_at) if key.last_used_at else "never"
        line = f"{key.key_id}  {key.role:8}{state:9}last used {used}  {key.name}"
        click.secho(line, dim=key.revoked_at is not None)


@keys.command("revoke")
@click.argument("key_id")
@with_application
def revoke_key(key_id: str) -> None:
    """End the key KEY_ID, as `recsvc keys list` shows it.

    \b
    recsvc keys revoke 1f0c9a77d14f
    """  # noqa: D301
    service.revoke(key_id)
    click.echo(f"{key_id} is revoked.")


@keys.command("rotate-tokens")
@with_application
def rotate_tokens() -> None:
    """End all user tokens made here within seconds, by signing with a new secret from now on.

    Those of an identity provider of your own (JWT_JWKS_URL, JWT_SECRET) are ended there.

    \b
    recsvc keys rotate-tokens
    """  # noqa: D301
    tokens.rotate()
    click.echo("All user tokens made until now end within 5 seconds.")


def _told(key: ApiKey) -> dict[str, Any]:
    moments = {
        name: at.isoformat() if (at := getattr(key, name)) else None
        for name in ("created_at", "last_used_at", "revoked_at")
    }
    return {"key_id": key.key_id, "role": key.role, "name": key.name, **moments}
