"""An operator with a small shop; a browser, and the demonstration's bookshop served by real processes."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from recsvc import create_app
from recsvc.config import Config
from recsvc.demo import system
from recsvc.demo.shop import open_shop
from recsvc.extensions import db
from recsvc.services import figures, ingestion, keys, training
from recsvc.services.experiments import user_hash
from recsvc.services.ingestion import NewInteraction
from recsvc.services.recommending import Filters, preview_for_user
from recsvc.services.serving import serving
from recsvc.storage.database import write_transaction
from recsvc.storage.queries import shop_ids, shown

SETTINGS_KEY = "admin-key-of-the-settings"

ADMIN_KEY = "admin-key-of-a-test"
SETTINGS = {
    "RECSVC_ADMIN_KEY": ADMIN_KEY,
    "PORT": "0",
    "WEB_CONCURRENCY": "1",
    "TRAIN_THREADS": "1",
    "MODEL_COMPONENTS": "8",
    "MODEL_FACTORS": "32",
    "MODEL_EPOCHS": "5",
    "SCHEDULER_INTERVAL": "1",
    "MAINTENANCE_INTERVAL": "1",
    "LOG_LEVEL": "WARNING",
}
_PATIENCE = 180.0  # seconds
_DAYS = 14
_READERS_A_DAY = 120


class Operator:
    """Somebody who is signed in: sees pages, reads what they say, and sends forms with their token."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self.send("sign-in", "sign-in", key=SETTINGS_KEY)

    def look(self, path: str, status: int = 200) -> str:
        """A page as it is sent."""
        answer = self.client.get(f"/console/{path}")
        assert answer.status_code == status, (answer.status_code, answer.location)
        return answer.get_data(as_text=True)

    def say(self, path: str, status: int = 200) -> str:
        """What a page says."""
        return self.words(self.look(path, status))

    def send(self, page: str, path: str, **data: Any) -> Any:
        """Sends a form of a page."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.look(page))
        assert found is not None
        parts = {
            name: FileStorage(*value) if isinstance(value, tuple) else value for name, value in data.items()
        }
        # Encoded here: the test client would leave a temporary file of a large form open.
        boundary, body = encode_multipart({"csrf_token": found[1], **parts})
        kind = f'multipart/form-data; boundary="{boundary}"'
        return self.client.post(f"/console/{path}", data=body, content_type=kind)

    @staticmethod
    def words(page: str) -> str:
        """What a page says, without its marks."""
        main = page[page.index("<main") :]
        return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", main)))

    @staticmethod
    def ids_on(page: str) -> list[str]:
        """Ids of the items on a page of the catalogue."""
        return re.findall(r'<code class="text-quiet">([^<]*)', page)


@pytest.fixture
def app(make_app: Callable[..., Flask], database_url: str) -> Flask:
    """The application with an admin key, once on each kind of database."""
    return make_app(database_url, recsvc_admin_key=SETTINGS_KEY)


@pytest.fixture
def sign_in() -> Callable[[Flask], Operator]:
    """Signs in to an application."""
    return lambda app: Operator(app.test_client())


@pytest.fixture
def operator(app: Flask) -> Operator:
    """Somebody who is signed in."""
    return Operator(app.test_client())


@pytest.fixture
def trained(app: Flask, shop: dict[str, list[str]]) -> str:
    """The shop with a model; gives its version."""
    with app.app_context():
        run, _ = training.request("manual", requested_by="test")
        training.run(run.run_id)
        serving().refresh()
        return str(training.get(run.run_id).model_version)


@dataclass(frozen=True)
class Site:
    """A running console, and an API client beside it."""

    url: str
    api: httpx.Client


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The system's Chromium, or that of `make browser`; without one these tests are skipped, and say so."""
    from playwright.sync_api import sync_playwright

    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        of_system = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
        found = next(filter(None, of_system), playwright.chromium.executable_path)
        # One that lacks a library of the system cannot be used any more than one that is missing.
        if shutil.which(found) is None or subprocess.run([found, "--version"], check=False).returncode:
            pytest.skip("NO CHROMIUM HERE: THE CONSOLE WAS NOT TRIED IN A BROWSER. apt-get install chromium")
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(chromium: Any) -> Iterator[Site]:
    """The demonstration's shop, its processes running, after three trainings and two weeks of lists."""
    with tempfile.TemporaryDirectory(prefix="recsvc-") as folder, pytest.MonkeyPatch.context() as environment:
        for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "MODEL_STORE"):
            environment.setenv(name, "")
        for name, value in {**SETTINGS, "INSTANCE_DIR": folder}.items():
            environment.setenv(name, value)
        config = Config.from_environment()
        app = create_app(config)
        with app.app_context():
            upgrade()
            open_shop()
        with (
            system.whole_system(config, Path(folder) / "processes.log") as url,
            system.client_of(url, ADMIN_KEY) as client,
        ):
            versions: list[str] = []
            for reason in ("First training", "New books"):
                versions.append(_train(client, reason=reason, force=True)["model_version"])
                with app.app_context():
                    _live_through_some_days(versions)
            last = _train(client, reason="Is it better with another week?")
            system.wait_for_version(client, last["model_version"] or versions[-1])
            with app.app_context():
                keys.create("service", "shop backend")
                keys.create("read", "newsletter")
                figures.count()
                db.session.remove()
                db.engine.dispose()
            yield Site(url, client)


def _train(client: httpx.Client, **how: Any) -> dict[str, Any]:
    """Trains, and gives the run, whatever the gate said."""
    run_id = client.post("/api/v1/recommendations/train", json=how).json()["run_id"]
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        run: dict[str, Any] = client.get(f"/api/v1/training-runs/{run_id}").json()
        if run["status"] not in {"queued", "running"}:
            assert run["status"] in {"succeeded", "rejected"}, run
            return run
        time.sleep(0.2)
    raise AssertionError(f"the training did not end within {_PATIENCE:g} s")


def _live_through_some_days(versions: list[str]) -> None:
    """Shows lists of the newest version on days gone by, and lets readers take some of them up."""
    serving().refresh()
    chance = np.random.default_rng(len(versions))
    begin = 0 if len(versions) == 1 else _DAYS // 2
    for day in range(begin, begin + _DAYS // 2):
        moment = datetime.now(UTC) - timedelta(days=_DAYS - 1 - day, minutes=30)
        rows, taken = [], []
        for number in chance.choice(400, _READERS_A_DAY, replace=False).tolist():
            reader = f"reader-{number + 1:04}"
            answer = preview_for_user(reader, Filters(k=8), [])
            listed = [item.item_id for item in answer.items]
            item_keys = shop_ids.keys_of("item", listed)
            rows.append(
                {
                    "recommendation_id": answer.recommendation_id,
                    "user_hash": user_hash(reader),
                    "model_version": versions[-1],
                    "strategy": answer.strategy,
                    "experiment": None,
                    "item_keys": [item_keys[item_id] for item_id in listed],
                    "shown_at": moment,
                }
            )
            if chance.random() < 0.16 + 0.05 * len(versions):
                event = str(chance.choice(["view", "cart", "purchase"], p=[0.6, 0.2, 0.2]))
                item_id = listed[int(chance.integers(len(listed)))]
                taken.append(
                    NewInteraction(
                        reader,
                        item_id,
                        event,
                        occurred_at=moment + timedelta(minutes=5),
                        recommendation_id=answer.recommendation_id,
                    )
                )
        with write_transaction():
            shown.insert(rows)
        assert not ingestion.record_batch(enumerate(taken)).rejected


@pytest.fixture(scope="session")
def signed_in(chromium: Any, site: Site) -> dict[str, Any]:
    """The cookies of an operator who has signed in."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{site.url}/console/")
    page.get_by_label("Admin key").fill(ADMIN_KEY)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/console/overview")
    state: dict[str, Any] = context.storage_state()
    context.close()
    return state


@pytest.fixture
def open_page(chromium: Any, site: Site, signed_in: dict[str, Any]) -> Iterator[Callable[..., Any]]:
    """Opens a page as an operator sees it; a script's error or a refused asset fails the test.

    What the tests before it activated is served by then: no list changes while a test looks at it.
    """
    contexts, wrong = [], []
    versions = site.api.get("/api/v1/model-versions").json()["model_versions"]
    active = next(row["version"] for row in versions if row["status"] == "active")
    system.wait_for_version(site.api, active)

    def visit(path: str, *, width: int = 1280, **options: Any) -> Any:
        context = chromium.new_context(
            storage_state=signed_in, base_url=site.url, viewport={"width": width, "height": 900}, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
        page.goto(f"/console/{path}")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert wrong == []
