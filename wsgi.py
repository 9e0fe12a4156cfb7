"""The web process: `gunicorn wsgi:app`."""

import sys

from recsvc.startup import imports_that_stay

with imports_that_stay():
    from recsvc import create_app
    from recsvc.config import InvalidSettingError
    from recsvc.services.serving import start_serving

try:
    app = create_app()
except InvalidSettingError as error:
    sys.exit(f"recsvc: {error}")
start_serving(app)
