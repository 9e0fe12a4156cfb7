"""All commands."""

from __future__ import annotations

import os
import sys
from typing import Any

import click
from flask import Flask
from flask.cli import ScriptInfo
from sqlalchemy.exc import SQLAlchemyError

from recsvc.bare import create_bare_app
from recsvc.cli import (
    completion,
    config,
    database,
    demo,
    evaluate,
    import_data,
    keys,
    models,
    status,
    train,
    tune,
    valkey,
)
from recsvc.cli.parts import Group
from recsvc.config import Config, InvalidSettingError
from recsvc.logs import configure_logging
from recsvc.storage.database import is_unavailable
from recsvc.storage.migrating import migrate


def _create_app() -> Flask:
    config = Config.from_environment()
    app = create_bare_app(config)
    migrate.init_app(app)
    # What a command prints is for whoever reads its output; what it logs is not, and what it does it prints.
    level = "WARNING" if config.log_level == "INFO" else config.log_level
    configure_logging(level, config.log_format, sys.stderr)
    return app


class CommandLine(Group):
    """All commands; the application is made when one of them first needs it."""

    create_app = staticmethod(_create_app)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Lets commands push the application's context."""
        extra.setdefault("obj", ScriptInfo(create_app=self.create_app, load_dotenv_defaults=False))
        return super().make_context(info_name, args, parent, **extra)


@click.group(cls=CommandLine, name="recsvc")
def cli() -> None:
    """The recommendation service that stands beside a shop.

    Settings come from the environment, and from a file .env where the environment has none.

    \b
    recsvc demo                                 a bookshop to look at
    recsvc db upgrade                           make the tables, or bring them up to date
    recsvc import csv interactions.csv          bring in what users did
    recsvc keys create --role service           a key for the shop's backend
    honcho start web worker scheduler           the service; then, beside it:
    recsvc train --wait                         the first model
    recsvc status                               what is wrong, what there is, what is served

    Every command has --help, with an example; those that print data have --json. Colours and progress bars
    are for terminals alone; NO_COLOR=1 takes the colours away. To have the shell complete commands and
    options: recsvc completion --help
    """  # noqa: D301 — \b has to be the character that click takes for "as it stands"


for command in (
    completion.completion,
    config.config,
    database.db,
    demo.demo,
    evaluate.evaluate,
    import_data.import_data,
    keys.keys,
    models.models,
    status.status,
    train.train,
    tune.tune,
    valkey.valkey,
):
    cli.add_command(command)


def run() -> None:
    """Runs the command line; a wrong setting or a database that is away ends it with one message."""
    try:
        Config.from_environment()  # a wrong setting is told whatever is asked for
        cli.main(prog_name="recsvc", color=False if os.environ.get("NO_COLOR") else None)
    except InvalidSettingError as error:
        sys.exit(f"recsvc: {error}")
    except SQLAlchemyError as error:
        if not is_unavailable(error):
            raise
        sys.exit(
            f"recsvc: {error.__cause__ or error}\nIs the database there, and migrated? recsvc db upgrade"
        )
