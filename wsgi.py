"""The web process: `gunicorn wsgi:app`."""

from recsvc import create_app
from recsvc.services.serving import start_serving

app = create_app()
start_serving(app)
