"""Wires settings and the database into an application that answers no requests: what jobs run in."""

from __future__ import annotations

from flask import Flask

from recsvc.config import Config, InvalidSettingError
from recsvc.extensions import db
from recsvc.instruments import Instruments
from recsvc.logs import configure_logging
from recsvc.services.attribution import Recorder
from recsvc.services.observing import Observer
from recsvc.services.serving import Serving
from recsvc.storage.database import engine_options, prepare_engine


def create_bare_app(config: Config | None = None) -> Flask:
    """Makes an application without the API and the console, whose imports are much of a process's start.

    Args:
        config: The settings; read from the environment where not given.

    Returns:
        The application, which has not connected to anything yet.

    Raises:
        InvalidSettingError: A setting in the environment is wrong.
    """
    config = config or Config.from_environment()
    configure_logging(config.log_level, config.log_format)
    try:
        config.instance_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidSettingError(
            f"INSTANCE_DIR got {str(config.instance_dir)!r}; it takes a folder's path ({error.strerror})"
        ) from error
    app = Flask(__package__, instance_path=str(config.instance_dir), static_folder=None)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=config.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(
            config.database_url, config.database_timeout, config.database_connections
        ),
    )
    app.extensions["recsvc.config"] = config
    app.extensions["recsvc.instruments"] = Instruments()
    app.extensions["recsvc.observer"] = Observer()
    app.extensions["recsvc.serving"] = Serving()
    app.extensions["recsvc.recorder"] = Recorder()
    db.init_app(app)
    with app.app_context():
        prepare_engine(app, db.engine)
    return app
