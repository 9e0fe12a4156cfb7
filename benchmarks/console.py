"""How soon the console's pages answer in a large shop: 50th and 95th percentile of each, without the network.

    python -m benchmarks.console --database-url postgresql://… [--interactions N] [--items N] [--lists N]
                                 [--requests N] [--json]

A shop is made up in the empty database, with lists shown over the last 30 days of which one in twenty was
taken up, and a model of two voices. Then the worker's count of figures is timed, and each page is asked for
again and again, of other users, items and words each time. The first answer to each page is not counted.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

import numpy as np
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert, select

from benchmarks.measuring import new_instance
from benchmarks.synthetic import YEAR, Shop, write
from recsvc.config import DATABASE_URL, Config
from recsvc.extensions import db
from recsvc.factory import create_app
from recsvc.services import figures, training
from recsvc.services.events import event_book
from recsvc.services.serving import serving
from recsvc.storage.database import chunks
from recsvc.storage.models import Interaction, ModelVersion, ShownRecommendation
from recsvc.storage.punctuality import allow_seconds

LIMIT_MS = 300
_KEY = "the-benchmark-has-no-other-key"
_LISTED = 10
_PATIENCE = 3600.0  # seconds for the worker's part


def main() -> None:
    """Reads the arguments, measures, and prints what it found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database-url", type=DATABASE_URL.parse, required=True, help="an empty database")
    parser.add_argument("--interactions", type=int, default=5_000_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--lists", type=int, default=500_000)
    parser.add_argument("--requests", type=int, default=60, help="of each page")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    shop = Shop(arguments.interactions, items=arguments.items, began=datetime.now(UTC) - YEAR)
    with new_instance(
        database_url=arguments.database_url,
        recsvc_admin_key=_KEY,
        voices=frozenset({"neighbours", "popularity"}),
        train_timeout=int(_PATIENCE),
    ) as config:
        measured = measure(shop, config, arguments.lists, arguments.requests)
    print(json.dumps(measured) if arguments.json else _in_words(measured))


def measure(shop: Shop, config: Config, lists: int, requests: int) -> dict[str, Any]:
    """Makes the shop, and asks for its pages.

    Args:
        shop: To be made up.
        config: The settings.
        lists: How many were shown.
        requests: How many of each page.

    Returns:
        Sizes, seconds of the worker's count, and milliseconds of each page: `p50` and `p95`.
    """
    write(shop, config)
    app = create_app(config)
    chance = np.random.default_rng(0)
    with app.app_context():
        allow_seconds(_PATIENCE)
        run, _ = training.request("manual", requested_by="benchmark")
        training.run(run.run_id)
        _show_lists(chance, shop, lists)
        began = perf_counter()
        figures.count()
        counted = perf_counter() - began
        serving().refresh()
    client = _signed_in(app)
    pages = _pages(chance, shop, app)
    return {
        "interactions": shop.interactions,
        "items": shop.items,
        "users": shop.users,
        "lists": lists,
        "count_seconds": round(counted, 2),
        "pages": {name: _timed(client, path, requests) for name, path in pages.items()},
    }


def _show_lists(chance: np.random.Generator, shop: Shop, lists: int) -> None:
    version = db.session.scalars(select(ModelVersion.version)).first()
    code = event_book().codes["view"]
    present = datetime.now(UTC)
    for some in chunks(range(lists), 10_000):
        rows, taken = [], []
        for number in some:
            user = int(chance.integers(shop.users)) + 1
            listed = (chance.integers(shop.items, size=_LISTED) + 1).tolist()
            moment = present - timedelta(seconds=float(chance.random()) * 30 * 86_400)
            rows.append(
                {
                    "recommendation_id": f"list-{number}",
                    "user_hash": user,
                    "model_version": version,
                    "strategy": "personal",
                    "experiment": None,
                    "item_keys": listed,
                    "shown_at": moment,
                }
            )
            if number % 20 == 0:
                taken.append(
                    {
                        "user_key": user,
                        "item_key": listed[0],
                        "event_code": code,
                        "occurred_at": moment,
                        "received_at": moment,
                        "recommendation_id": f"list-{number}",
                    }
                )
        db.session.execute(insert(ShownRecommendation), rows)
        db.session.execute(insert(Interaction), taken)
        db.session.commit()


def _signed_in(app: Flask) -> FlaskClient:
    client = app.test_client()
    page = client.get("/console/sign-in").get_data(as_text=True)
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None
    answer = client.post("/console/sign-in", data={"csrf_token": found[1], "key": _KEY})
    assert answer.status_code == 302, answer.status_code
    return client


def _pages(chance: np.random.Generator, shop: Shop, app: Flask) -> dict[str, Callable[[], str]]:
    def some(most: int) -> int:
        return int(chance.integers(most)) + 1

    with app.app_context():
        run_id = training.page(before=None, limit=1, status=None)[0].run_id
    return {
        "overview": lambda: "overview",
        "training": lambda: "training/",
        "run": lambda: f"training/{run_id}",
        "versions": lambda: "versions/",
        "explorer": lambda: "explorer/",
        "user": lambda: f"explorer/user?user_id=user-{some(shop.users)}",
        "basket": lambda: f"explorer/user?user_id=user-{some(shop.users)}&basket=item-{some(shop.items)}",
        "item": lambda: f"explorer/item?item_id=item-{some(shop.items)}",
        "catalogue": lambda: f"catalogue/?after={some(shop.items)}",
        "search": lambda: f"catalogue/?q=item+{some(shop.items)}",
        "search in vain": lambda: f"catalogue/?q=nothing+{some(shop.items)}",
        "never recommended": lambda: "catalogue/?only=never",
        "hidden": lambda: "catalogue/?only=hidden",
        "edit": lambda: f"catalogue/item?item_id=item-{some(shop.items)}",
        "import": lambda: "import/",
        "keys": lambda: "keys/",
        "settings": lambda: "settings/",
    }


def _timed(client: FlaskClient, path: Callable[[], str], requests: int) -> dict[str, float]:
    milliseconds = []
    for _ in range(requests + 1):
        url = f"/console/{path()}"
        began = perf_counter()
        answer = client.get(url)
        answer.get_data()
        milliseconds.append((perf_counter() - began) * 1000)
        if answer.status_code != 200:
            raise RuntimeError(f"{url} answered {answer.status_code}")
    p50, p95 = np.percentile(milliseconds[1:], [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}


def _in_words(measured: dict[str, Any]) -> str:
    sizes = ", ".join(f"{measured[name]:,} {name}" for name in ("interactions", "users", "items", "lists"))
    lines = [sizes, f"the worker counts for {measured['count_seconds']:.1f} s", ""]
    for name, of_page in measured["pages"].items():
        mark = "" if of_page["p95"] <= LIMIT_MS else f"  above {LIMIT_MS}"
        lines.append(f"{name:20} p50 {of_page['p50']:7.1f} ms   p95 {of_page['p95']:7.1f} ms{mark}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
