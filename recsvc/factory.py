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
from recsvc.bare import create_bare_app
from recsvc.config import Config
from recsvc.console import serve_console
from recsvc.storage.migrating import migrate

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
    app = create_bare_app(config)
    migrate.init_app(app)
    _serve_api(app, app.extensions["recsvc.config"])
    serve_console(app)
    return app


def _serve_api(app: Flask, config: Config) -> None:
    app.config.update(
        MAX_CONTENT_LENGTH=config.max_body_bytes,
        API_TITLE="recsvc",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX=BASE_PATH,
        OPENAPI_JSON_PATH="openapi.json",
        OPENAPI_SWAGGER_UI_PATH="/docs",
        OPENAPI_SWAGGER_UI_URL=f"{BASE_PATH}/docs/assets/",
    )
    app.json = AnswerProvider(app)
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
