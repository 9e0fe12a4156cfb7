"""What is refused before the application sees it."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from benchmarks.system import System

pytestmark = pytest.mark.processes


def answer_to(request_text: str, system: System) -> str:
    """Sends what no client would, and reads what comes back to its end."""
    address = urlsplit(system.web.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(request_text.encode())
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b"")).decode()


@pytest.mark.parametrize(
    ("request_text", "status", "code"),
    [
        ("GET /healthz?" + "x" * 9_000 + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri_too_long"),
        (
            "GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + "x" * 9_000 + "\r\n\r\n",
            431,
            "request_header_fields_too_large",
        ),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nBad header\r\n\r\n", 400, "malformed"),
        ("What?\r\n\r\n", 400, "malformed"),
    ],
    ids=["a long line", "a long header", "no header", "no request"],
)
def test_what_gunicorn_refuses_is_a_problem_document_too(lasting_system, request_text, status, code):
    head, _, body = answer_to(request_text, lasting_system).partition("\r\n\r\n")

    assert head.splitlines()[0].split()[1] == str(status)
    assert "content-type: application/problem+json" in head.lower()
    problem = json.loads(body)
    assert (problem["status"], problem["code"], problem["errors"]) == (status, code, {})
    assert f"x-request-id: {problem['request_id']}" in head.lower()
    assert problem["detail"]


@pytest.mark.parametrize(
    "chunk", ["zz\r\n{}\r\n", "-1\r\n{}\r\n", "FFFFFFFFFFFFFFFFFF\r\n{}\r\n", "2;a=b\r\n{}x"]
)
def test_a_body_whose_chunks_are_not_what_they_say_is_malformed(lasting_system, chunk):
    head = (
        "POST /api/v1/interactions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {lasting_system.admin_key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    head, _, body = answer_to(head + chunk, lasting_system).partition("\r\n\r\n")

    assert head.splitlines()[0].split()[1] == "400"
    assert json.loads(body)["code"] == "malformed"


def test_the_log_has_that_a_request_was_refused_and_neither_whose_it_was_nor_what_it_said(
    lasting_system, eventually
):
    before = len(lasting_system.web.log)
    for request_text in (
        "GET / HTTP/1.1\r\nHost: a\r\nX-User maria-da-silva\r\n\r\n",
        "GET /api/v1/users/maria-da-silva\r\n\r\n",
    ):
        assert " 400 " in answer_to(request_text, lasting_system)

    def refused() -> list[str]:
        lines = [json.loads(line) for line in lasting_system.web.log[before:].splitlines()]
        return [line["event"] for line in lines if line["logger"] == "gunicorn.error"]

    eventually(lambda: len(refused()) == 2, "both refusals to be logged")
    assert refused() == ["Invalid request"] * 2
    assert "maria" not in lasting_system.web.log[before:]


def test_a_body_in_chunks_that_becomes_too_large_is_refused_whole(lasting_system):
    url, headers = lasting_system.web.url, {"Authorization": f"Bearer {lasting_system.admin_key}"}
    chunks = [b'{"user_id": "verbose", "item_id": "b", "event": "view"}', *[b" " * 1_000_000] * 5, b"garbage"]

    answer = httpx.post(
        f"{url}/api/v1/interactions",
        content=iter(chunks),
        headers=headers | {"Content-Type": "application/json"},
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert httpx.get(f"{url}/api/v1/users/verbose", headers=headers).status_code == 404
