"""For Prometheus."""

from __future__ import annotations

import hmac
import time

from flask import Flask, Response, abort, g, request
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from werkzeug.datastructures import WWWAuthenticate

from recsvc.api.auth import public
from recsvc.api.blueprints import Blueprint
from recsvc.config import current_config
from recsvc.instruments import instruments
from recsvc.services.observing import observer

blueprint = Blueprint("metrics", __name__, description="What Prometheus asks for.")

_EXAMPLE = """\
# HELP recsvc_interactions_total Interactions that came in over HTTP: accepted, duplicate or rejected.
# TYPE recsvc_interactions_total counter
recsvc_interactions_total{outcome="accepted"} 48210.0
"""


@blueprint.route("/metrics")
@public
@blueprint.doc(responses={"401": "UNAUTHORIZED"})
@blueprint.response(200, {"type": "string"}, content_type="text/plain", example=_EXAMPLE)
def metrics() -> Response:
    """Tell Prometheus what was counted, by all processes of this server, and how things stand.

    Where `METRICS_TOKEN` is set it must be sent: `Authorization: Bearer …`. No label holds an id of a user or
    an item.
    """
    token = current_config().metrics_token
    sent = request.headers.get("Authorization", "")
    if token and not hmac.compare_digest(sent.encode(), f"Bearer {token}".encode()):
        authenticate = WWWAuthenticate("bearer", {"realm": "metrics"})
        abort(401, "Send METRICS_TOKEN: Authorization: Bearer …", www_authenticate=authenticate)
    registry = CollectorRegistry()
    registry.register(instruments())
    registry.register(observer())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def time_requests(app: Flask) -> None:
    """Counts and times every request; to be called before whatever else a request goes through."""

    @app.before_request
    def note_arrival() -> None:
        g.arrived = time.perf_counter()

    @app.after_request
    def count(response: Response) -> Response:
        rule = request.url_rule.rule if request.url_rule else None
        seconds = time.perf_counter() - g.arrived if "arrived" in g else 0.0
        instruments().answered(request.method, rule, response.status_code, seconds)
        return response
