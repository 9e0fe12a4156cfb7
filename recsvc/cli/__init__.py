"""The command line: `recsvc …`."""

from __future__ import annotations

import sys

from flask.cli import FlaskGroup

from recsvc.cli import config, demo, import_data, keys, train, valkey
from recsvc.config import Config, InvalidSettingError
from recsvc.factory import create_app

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
    """Runs the command line; a wrong setting ends it with one message and no traceback."""
    try:
        Config.from_environment()  # before Flask's --help would show a traceback for it
        cli.main()
    except InvalidSettingError as error:
        sys.exit(f"recsvc: {error}")
