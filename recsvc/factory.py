"""Wires settings, extensions and blueprints into an application. Nothing connects before it is called."""

from __future__ import annotations

from pathlib import Path

import flask_swagger_ui
from flask import Flask, Response, send_from_directory
from flask_smorest import Api

from recsvc.api import (
    health,
    interactions,
    items,
    metrics,
    model_versions,
    recommendations,
    status,
    tokens,
    training_runs,
    users,
)
from recsvc.api.answers import AnswerProvider
from recsvc.api.auth import KEY_SCHEME, TOKEN_SCHEME, identify_callers, public
from recsvc.api.paths import EncodedSlashes, ShopId
from recsvc.api.problems import ProblemApi, register
from recsvc.api.rate_limits import limit_rates
from recsvc.config import Config, InvalidSettingError
from recsvc.console import serve_console
from recsvc.extensions import db, migrate
from recsvc.instruments import Instruments
from recsvc.logs import configure_logging
from recsvc.services.attribution import Recorder
from recsvc.services.observing import Observer
from recsvc.services.serving import Serving
from recsvc.storage.database import engine_options, prepare_engine

BASE_PATH = "/api/v1"
_SWAGGER_FILES = Path(flask_swagger_ui.__file__).parent / "dist"
_NOUNS = (interactions, items, users, recommendations, tokens, training_runs, model_versions, status)


def create_app(config: Config | None = None) -> Flask:
    """Makes an application.

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
    app = Flask(__name__, instance_path=str(config.instance_dir), static_folder=None)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=config.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(
            config.database_url, config.database_timeout, config.database_connections
        ),
        MAX_CONTENT_LENGTH=config.max_body_bytes,
        API_TITLE="recsvc",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX=BASE_PATH,
        OPENAPI_JSON_PATH="openapi.json",
        OPENAPI_SWAGGER_UI_PATH="/docs",
        OPENAPI_SWAGGER_UI_URL=f"{BASE_PATH}/docs/assets/",
    )
    app.extensions["recsvc.config"] = config
    app.extensions["recsvc.instruments"] = Instruments()
    app.extensions["recsvc.observer"] = Observer()
    app.extensions["recsvc.serving"] = Serving()
    app.extensions["recsvc.recorder"] = Recorder()
    app.json = AnswerProvider(app)
    db.init_app(app)
    migrate.init_app(app, db, directory=str(Path(__file__).parent / "migrations"))
    with app.app_context():
        prepare_engine(app, db.engine)
    _serve_api(app, config)
    serve_console(app)
    return app


def _serve_api(app: Flask, config: Config) -> None:
    app.url_map.converters["shop_id"] = ShopId
    app.url_map.merge_slashes = False
    app.wsgi_app = EncodedSlashes(app.wsgi_app)  # type: ignore[method-assign]
    metrics.time_requests(app)
    register(app)
    identify_callers(app)
    limit_rates(app, config)
    api: Api = ProblemApi(app)
    api.spec.components.security_scheme(KEY_SCHEME, {"type": "http", "scheme": "bearer"})
    api.spec.components.security_scheme(
        TOKEN_SCHEME, {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    )
    for noun in _NOUNS:
        api.register_blueprint(noun.blueprint, url_prefix=BASE_PATH)
    api.register_blueprint(health.blueprint, url_prefix="/")
    api.register_blueprint(metrics.blueprint, url_prefix="/")

    @app.get(f"{BASE_PATH}/docs/assets/<path:name>")
    @public
    def documentation_asset(name: str) -> Response:
        return send_from_directory(_SWAGGER_FILES, name, max_age=86_400)
