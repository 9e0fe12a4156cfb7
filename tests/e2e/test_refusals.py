"""What is refused before the application sees it."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest

pytestmark = pytest.mark.processes


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
    address = urlsplit(lasting_system.web.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(request_text.encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))

    head, _, body = answer.decode().partition("\r\n\r\n")
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
    address = urlsplit(lasting_system.web.url)
    head = (
        "POST /api/v1/interactions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {lasting_system.admin_key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall((head + chunk).encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))

    head, _, body = answer.decode().partition("\r\n\r\n")
    assert head.splitlines()[0].split()[1] == "400"
    assert json.loads(body)["code"] == "malformed"


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
