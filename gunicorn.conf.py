"""How gunicorn runs the web processes. It takes PORT and WEB_CONCURRENCY from the environment by itself."""

import atexit
import os
import shutil
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from gunicorn import util

from recsvc.refusals import name_nobody, write_problem
from recsvc.startup import imports_that_stay

# What the web processes are forked with, and share: most of what they import. The application is not among it
# (`preload_app`): its threads and connections are each process's own.
_LIBRARIES = (
    "flask_babel",
    "flask_limiter",
    "flask_migrate",
    "flask_smorest",
    "flask_sqlalchemy",
    "flask_wtf",
    "jwt",
    "psycopg",
    "pygal",
    "rq",
    "scipy.linalg",
    "scipy.sparse",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.orm",
)

# A thread does not outlive a fork, and OpenBLAS would have some from its import on. Web processes use one.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

with imports_that_stay():
    for library in _LIBRARIES:
        import_module(library)

util.write_error = write_problem  # of what gunicorn itself refuses; it has no setting for that

worker_class = "recsvc.web_process.WebProcess"
threads = 8
timeout = 60
# The client has to be the first to let go of an idle connection: a request that meets its end gets no answer.
# Heroku's router keeps one for 90 seconds, nginx for 60, most clients for less. See docs/adr/0027.
keepalive = 95
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
    "loggers": {
        "gunicorn.error": {
            "level": "INFO",
            "handlers": ["stdout"],
            "filters": [name_nobody],
            "propagate": False,
        }
    },
    "root": {"level": "INFO", "handlers": ["stdout"]},
}


def _make_folder_of_metrics() -> None:
    """Makes the folder through which web processes tell each other what they counted.

    It is there before prometheus_client is imported, which chooses by it how to count, and goes with this
    process. SIGHUP, which reads this file again, leaves it; who takes over at SIGUSR2 has another.
    """
    maker = os.getpid()
    prefix = f"recsvc-metrics-{maker}-"
    if Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")).name.startswith(prefix):
        return
    folder = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=prefix)
    # The web processes inherit this, and must leave the folder to the others.
    atexit.register(lambda: os.getpid() == maker and shutil.rmtree(folder, ignore_errors=True))


_make_folder_of_metrics()


def child_exit(_server: Any, worker: Any) -> None:
    """Takes a web process that ended out of what is told of those that live; what it counted stays."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)
