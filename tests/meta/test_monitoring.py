"""What is exported, documented, drawn and alerted on is the same."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from recsvc import queues
from recsvc.extensions import db
from recsvc.instruments import instruments
from recsvc.storage.models import ModelVersion, TrainingRun, now

FOLDER = Path(__file__).parents[2] / "docs" / "monitoring"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
ALERTS = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
TESTS = yaml.safe_load((FOLDER / "alerts.test.yml").read_text())["tests"]
OF_A_HISTOGRAM = re.compile("_(bucket|count|sum)$")


@pytest.fixture
def exported(sqlite_app: Flask, redis: Any) -> dict[str, set[str]]:
    """Names of the metrics to the names of their labels, in an application where everything has happened."""
    queues.note_scheduler(redis)
    with sqlite_app.app_context():
        run = TrainingRun(run_id="1", trigger="manual", requested_by="test", status="succeeded")
        run.finished_at, run.seconds, run.gate = now(), {"fit": 1.0}, {"decision": "passed"}
        db.session.add(run)
        db.session.flush()
        db.session.add(ModelVersion(version="v1", run_id="1", status="active", manifest={}))
        db.session.commit()
        told = instruments()
        told.recommended("user", "personal", "v1", asked=2, hot=1, cold=0)
        told.shown("personal", "v1")
        told.attributed("view", "personal", "v1")
        told.serves("v1")
    client = sqlite_app.test_client()
    client.get("/healthz")
    text = client.get("/metrics").get_data(as_text=True)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = OF_A_HISTOGRAM.sub("", sample.name) if family.type == "histogram" else sample.name
            found.setdefault(name, set()).update(sample.labels.keys() - {"le"})
    return found


def documented() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `(recsvc_\w+)` \|([^|]*)\|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def expressions() -> list[str]:
    """Everything that the dashboard asks Prometheus."""
    of_panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    return of_panels + [annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]]


def named_in(text: str) -> set[str]:
    return set(re.findall(r"recsvc_[a-z_]+", text))


def test_every_metric_is_documented_with_its_labels_and_every_documented_one_is_there(exported):
    assert documented() == exported


def test_dashboard_and_alerts_ask_for_metrics_that_there_are(exported):
    used = named_in("\n".join([*expressions(), *(alert["expr"] for alert in ALERTS)]))

    assert {OF_A_HISTOGRAM.sub("", name) for name in used} - exported.keys() == set()


def test_the_dashboard_shows_every_metric(exported):
    shown = {OF_A_HISTOGRAM.sub("", name) for name in named_in("\n".join(expressions()))}

    assert exported.keys() - shown == set()


def test_every_panel_says_what_it_shows_and_has_a_place_of_its_own():
    panels = DASHBOARD["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["type"] == "row" or panel["description"], panel["title"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels) > 20


def test_every_alert_says_what_to_do_and_is_tried_both_silent_and_firing():
    fires = {
        test["alertname"] for group in TESTS for test in group["alert_rule_test"] if test.get("exp_alerts")
    }
    silent = {
        test["alertname"]
        for group in TESTS
        for test in group["alert_rule_test"]
        if not test.get("exp_alerts")
    }
    # Of these a second shop in the same test is the one that must not fire.
    silent |= {"RecsvcErrors", "RecsvcEmptyLists"}
    names = {alert["alert"] for alert in ALERTS}
    assert names == fires == silent
    for alert in ALERTS:
        assert alert["annotations"].keys() == {"summary", "description"}
        assert alert["labels"]["severity"] in {"info", "warning", "critical"}


def promtool(*arguments: str, folder: Path = FOLDER, said: str = "") -> str:
    command = shutil.which("promtool")
    if command is None:
        pytest.skip("NOT CHECKED: promtool is not installed (Debian: apt-get install prometheus)")
    ended = subprocess.run(
        [command, *arguments], cwd=folder, input=said, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_promtool_finds_nothing_wrong_with_what_is_exported(exported, sqlite_app):
    promtool("check", "metrics", said=sqlite_app.test_client().get("/metrics").get_data(as_text=True))


def test_promtool_takes_the_alerts_and_they_do_as_their_tests_say():
    promtool("check", "rules", "--lint-fatal", "alerts.yml")
    promtool("test", "rules", "alerts.test.yml")


def test_promtool_takes_whatever_the_dashboard_asks(tmp_path):
    rules = [
        {"record": f"asked_{number}", "expr": asked.replace("$__rate_interval", "5m")}
        for number, asked in enumerate(expressions())
    ]
    (tmp_path / "asked.yml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))

    assert f"{len(rules)} rules found" in promtool("check", "rules", "asked.yml", folder=tmp_path)
