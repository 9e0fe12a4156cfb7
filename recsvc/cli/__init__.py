"""The command line: `recsvc …`."""

from __future__ import annotations

import sys

from flask import Flask
from flask.cli import FlaskGroup
from sqlalchemy.exc import SQLAlchemyError

from recsvc.cli import config, demo, evaluate, import_data, keys, models, train, tune, valkey
from recsvc.config import Config, InvalidSettingError
from recsvc.factory import create_app
from recsvc.logs import configure_logging
from recsvc.storage.database import is_unavailable


def _create_app() -> Flask:
    config = Config.from_environment()
    app = create_app(config)
    # What a command prints is for whoever reads its output; what it logs is not.
    configure_logging(config.log_level, config.log_format, sys.stderr)
    return app


cli = FlaskGroup(
    name="recsvc",
    help="The recommendation service that stands beside a shop.",
    create_app=_create_app,
    add_version_option=False,
    load_dotenv=False,
)
commands = (
    config.config,
    demo.demo,
    evaluate.evaluate,
    import_data.import_data,
    keys.keys,
    models.models,
    train.train,
    tune.tune,
    valkey.valkey,
)
for command in commands:
    cli.add_command(command)


def main() -> None:
    """Runs the command line; a wrong setting or a database that is away ends it with one message."""
    try:
        Config.from_environment()  # before Flask's --help would show a traceback for it
        cli.main()
    except InvalidSettingError as error:
        sys.exit(f"recsvc: {error}")
    except SQLAlchemyError as error:
        if not is_unavailable(error):
            raise
        sys.exit(
            f"recsvc: {error.__cause__ or error}\nIs the database there, and migrated? recsvc db upgrade"
        )
