"""The web application with one more route, which does nothing: what a request costs before any work is done.

For `gunicorn benchmarks.noop:app`. The route asks for the same authentication and passes through the same
layers as those of the product, which has no such route.
"""

from marshmallow import Schema

from benchmarks.load import NOOP_PATH
from recsvc import create_app
from recsvc.api.auth import allow
from recsvc.api.blueprints import Blueprint
from recsvc.services.serving import start_serving

blueprint = Blueprint("noop", __name__, description="Nothing.")


@blueprint.route(NOOP_PATH)
@allow("admin", "service", "read")
@blueprint.response(200, Schema)
def noop() -> dict[str, str]:
    """Do nothing."""
    return {}


app = create_app()
app.register_blueprint(blueprint)
start_serving(app)
