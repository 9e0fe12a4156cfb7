"""The examples in the documentation do what they say: they are run, against real web processes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "api-examples.md"
# What each language must ask for, and what it must be answered.
CALLS = [
    ("PUT", "/items/dom-casmurro", {200, 201}),
    ("POST", "/interactions", {201}),
    ("GET", "/recommendations", {200}),
    ("POST", "/interactions", {201}),
    ("GET", "/items/dom-casmurro/similar", {200}),
    ("POST", "/recommendations/session", {200}),
    ("POST", "/interactions/batch", {200}),
    ("POST", "/recommendations/batch", {200}),
    ("POST", "/tokens", {201}),
    ("GET", "/recommendations", {200}),
    ("POST", "/users/guest-1f0c/merge", {200}),
    ("GET", "/users/ana/export", {200}),
    ("DELETE", "/users/ana", {200}),
    ("POST", "/interactions", {422}),
]
RUNS = {"sh": ["bash", "-euo", "pipefail"], "python": [sys.executable], "js": ["node"]}
SUFFIXES = {"sh": "sh", "python": "py", "js": "mjs"}


def code(language: str) -> str:
    """All blocks of a language, in the order of the page, without those that only set the environment."""
    _, _, page = PAGE.read_text(encoding="utf-8").partition("## Once\n")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return "\n".join(blocks)


@pytest.mark.parametrize("language", RUNS)
def test_the_examples_run_and_are_answered_as_the_page_says(language, lasting_system, make_network, tmp_path):
    if shutil.which(RUNS[language][0]) is None:
        pytest.skip(f"{RUNS[language][0]} is not installed: the examples in {language} are not checked")
    network = make_network(lasting_system.web.url)
    script = tmp_path / f"examples.{SUFFIXES[language]}"
    script.write_text(code(language), encoding="utf-8")

    ended = subprocess.run(
        [*RUNS[language], str(script)],
        env={**os.environ, "RECSVC_URL": network.url, "RECSVC_KEY": lasting_system.admin_key},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    asked = [request.partition("?")[0].replace(" /api/v1", " ") for request in network.requests]
    assert asked == [f"{method} {path}" for method, path, _ in CALLS]
    statuses = [status for status, _ in network.answers]
    assert [status in allowed for status, (_, _, allowed) in zip(statuses, CALLS, strict=True)] == [True] * 14
    answers = [answer for _, answer in network.answers]
    assert (answers[0]["title"], answers[0]["features"]) == (
        "Dom Casmurro",
        {"author": ["Machado de Assis"]},
    )
    assert (answers[2]["user_id"], len(answers[2]["items"])) == ("ana", 5)
    assert [len(answers[number]["items"]) for number in (4, 5)] == [5, 5]
    assert answers[6] == {"accepted": 2, "duplicates": 0, "rejected": []}
    assert [len(told["items"]) for told in answers[7]["recommendations"]] == [5, 5]
    assert (answers[9]["user_id"], len(answers[9]["items"])) == ("ana", 5)
    assert answers[10]["interactions"] == 1
    held = [(one["event"], one["event_id"], one["recommendation_id"]) for one in answers[11]["interactions"]]
    assert sorted(event for event, _, _ in held) == ["cart", "purchase", "rating", "view"]
    assert {event_id for _, event_id, _ in held} >= {"order-1001-1", "rating-77", "view-78"}
    assert [of for event, _, of in held if event == "cart"] == [answers[2]["recommendation_id"]]
    (cart,) = (one for one in answers[11]["interactions"] if one["event"] == "cart")
    assert cart["item_id"] in {item["item_id"] for item in answers[2]["items"]}
    assert answers[12]["interactions"] == 4
    assert list(answers[13]["errors"]) == ["value"]


def test_kotlin_makes_the_same_calls():
    calls = re.findall(r'call\("([A-Z]+)", "([^"?]+)', code("kotlin"))

    assert calls == [(method, path) for method, path, _ in CALLS]
