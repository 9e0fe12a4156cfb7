"""A web that serves a small made-up shop with a made-up version, to be tried hard."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import made_up_version
from benchmarks.load import postgresql, serving
from benchmarks.measuring import new_instance
from benchmarks.synthetic import Shop, write
from recsvc.config import Config

ADMIN_KEY = "admin-key-of-a-benchmark"


@dataclass(frozen=True)
class SmallSystem:
    """What is running.

    Attributes:
        url: Of the service.
        pid: Of gunicorn's first process.
        config: The settings.
        shop: What is in the database.
        log: What the web processes write.
    """

    url: str
    pid: int
    config: Config
    shop: Shop
    log: Path


@contextmanager
def running(
    database: str, *, interactions: int = 20_000, workers: int = 2, app: str = "wsgi:app"
) -> Iterator[SmallSystem]:
    """Runs it, and stops all that it started in the end.

    Args:
        database: `sqlite`, or `postgresql` for one that is started for it.
        interactions: How many the shop has.
        workers: How many web processes.
        app: What gunicorn serves.
    """
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(postgresql(None, "recsvc_small")) if database == "postgresql" else ""
        settings = {"recsvc_admin_key": ADMIN_KEY, "log_level": "WARNING", "model_factors": 16}
        config = stack.enter_context(new_instance(database_url=url, model_components=16, **settings))
        shop = Shop(interactions)
        write(shop, config)
        made_up_version.publish(config)
        log = config.instance_dir / "web.log"
        address, pid = stack.enter_context(serving(config, log, workers=workers, app=app))
        yield SmallSystem(address, pid, config, shop, log)
