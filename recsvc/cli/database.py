"""`recsvc db …`."""

from __future__ import annotations

import sys

import click
import flask_migrate
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from recsvc.cli.parts import Group, as_json, print_json, with_application
from recsvc.extensions import db as database
from recsvc.storage.migrating import migrate


@click.group(cls=Group)
def db() -> None:
    """Make the database's tables, and bring them up to date.

    Run it before the first start and after each update of recsvc, while nothing else runs or beside it.

    \b
    recsvc db upgrade
    """  # noqa: D301 — \b has to be the character that click takes for "as it stands"


@db.command()
@click.argument("revision", default="head")
@with_application
def upgrade(revision: str) -> None:
    """Bring the tables to REVISION, the newest if none is given. What is in them stays.

    \b
    recsvc db upgrade
    """  # noqa: D301
    flask_migrate.upgrade(revision=revision)
    # As a release step it is a process whose lines are those of a log.
    if sys.stdout.isatty():
        click.echo(f"The database is at revision {_present()}.")


@db.command()
@click.argument("revision")
@with_application
def downgrade(revision: str) -> None:
    """Take the tables back to REVISION, before going back to an older recsvc.

    What only the newer tables can hold is lost: make a copy of the database first.

    \b
    recsvc db downgrade 0004
    """  # noqa: D301
    flask_migrate.downgrade(revision=revision)
    click.echo(f"The database is at revision {_present()}.")


@db.command()
@as_json
@with_application
def current(as_json: bool) -> None:
    """Tell which revision the tables are at, and which is the newest.

    \b
    recsvc db current
    """  # noqa: D301
    present = _present()
    newest = ScriptDirectory.from_config(migrate.get_config()).get_current_head()
    if as_json:
        print_json({"revision": present, "newest": newest, "up_to_date": present == newest})
        return
    state = "up to date" if present == newest else f"the newest is {newest}: recsvc db upgrade"
    click.echo(f"{present or 'no tables yet'} ({state})")


@db.command("migrate")
@click.option("--message", "-m", required=True, help="What changes, in a few words.")
@click.option("--rev-id", help="The revision's number, such as 0007.")
@with_application
def make_migration(message: str, rev_id: str | None) -> None:
    """Write a new migration from the difference between the models and the tables, for you to correct.

    For those who work on recsvc itself.

    \b
    recsvc db migrate -m "wish lists" --rev-id 0007
    """  # noqa: D301
    flask_migrate.migrate(message=message, rev_id=rev_id)


def _present() -> str | None:
    revision = MigrationContext.configure(database.session.connection()).get_current_revision()
    database.session.rollback()
    return revision
