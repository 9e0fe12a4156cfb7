"""How gunicorn runs the web processes. It takes PORT and WEB_CONCURRENCY from the environment by itself."""

import os

from gunicorn import util

from recsvc.refusals import write_problem

util.write_error = write_problem  # of what gunicorn itself refuses; it has no setting for that

worker_class = "gthread"
threads = 8
timeout = 60
# Platforms kill what is still there thirty seconds after SIGTERM; some requests may be under way until then.
graceful_timeout = 20
limit_request_line = 8190  # the longest there is: a list of excluded items is part of it
control_socket_disable = True
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {},
    "handlers": {
        "stdout": {
            "()": "recsvc.logs.line_handler",
            "log_format": "console" if os.environ.get("LOG_FORMAT") == "console" else "json",
        }
    },
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": ["stdout"], "propagate": False}},
    "root": {"level": "INFO", "handlers": ["stdout"]},
}
