"""The command line: `recsvc …`."""

from __future__ import annotations

import sys

from flask.cli import FlaskGroup
from sqlalchemy.exc import SQLAlchemyError

from recsvc.cli import config, demo, import_data, keys, train, valkey
from recsvc.config import Config, InvalidSettingError
from recsvc.factory import create_app
from recsvc.storage.database import is_unavailable

cli = FlaskGroup(
    name="recsvc",
    help="The recommendation service that stands beside a shop.",
    create_app=create_app,
    add_version_option=False,
    load_dotenv=False,
)
for command in (config.config, demo.demo, import_data.import_data, keys.keys, train.train, valkey.valkey):
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
