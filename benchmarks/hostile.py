"""Whether the service stands what nobody in their right mind would send.

    python -m benchmarks.hostile [--requests N] [--database sqlite|postgresql] [--seed N]

Broken JSON, wrong types, huge numbers, NaN, NUL bytes, tricks of Unicode and of paths, giant headers,
bodies that are longer or shorter than they say or longer than any may be, and bodies that come a byte at a
time are sent to a web of two processes, over raw sockets. Two thirds carry a `service` key; the rest none, or
one that is wrong. Each request is made so that it must be refused. Told are 5xx, requests that were taken,
answers that never came, web processes that were lost, and whether the tables hold afterwards, row by row,
what they held before. Ends with 1 where anything was found.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
from sqlalchemy import create_engine, text

from benchmarks.small_system import SmallSystem, running
from recsvc.config import Config
from recsvc.extensions import db
from recsvc.factory import create_app
from recsvc.services import keys

_THREADS = 8
_PATIENCE = 30.0  # seconds for an answer
_MAX_BODY = Config.max_body_bytes
_TABLES = ("users", "items", "interactions", "features", "item_features", "user_features", "training_runs")
_BODIES = {
    "POST": [
        "interactions",
        "interactions/batch",
        "items/batch",
        "users/batch",
        "tokens",
        "users/user-1/merge",
    ],
    "PUT": ["items/item-1", "users/user-1"],
    "PATCH": ["items/item-1", "users/user-1"],
}
_BROKEN = [
    b"{", b"[", b'{"user_id": ', b'{"a" "b"}', b"{'a': 1}", b"\x00", b"\xff\xfe{\x00}\x00", b'{"a": 1}}',
    b"nul", b'"\\ud800"', b'{"item_id": "\\udfff"}', b"[" * 20_000, b'{"a":' * 20_000, b"1e", b"--1",
    b'{"a": 01}', b"", b"\xef\xbb\xbf{}{}", b'{"\\u0000": 1', b"9" * 10_000,
]  # fmt: skip
_VALUES = [
    float("nan"), float("inf"), -float("inf"), 10**400, -(10**400), 1e308, 2**63, 2**64, -1, 0.1, True,
    None, [], {}, [[]], {"a": {"b": []}}, "", "\x00", "a\x00b", "\u202e", "\ufeff", "\ud800",
    "\U0010ffff", "\x7f", "\r\n", "a" * 256, "a" * 100_000, "💥" * 300, "' OR 1=1 --", "{{7*7}}",
    "../../etc/passwd", "%00", "\u0130", "ﷺ" * 200,
]  # fmt: skip
_PATHS = [
    "/../../etc/passwd", "/api/v1/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
    "/api/v1/docs/assets/../../wsgi.py", "/api/v1/docs/assets/%2e%2e%2fx", "/api/v1/items/%00",
    "/api/v1/items/%ff%fe", "/api/v1/items/%E2%80%AE", "/api/v1/items//", "/api/v1//items",
    "//api/v1/items/x", "/api/v1/items/%2F%2F%2F", "/api/v1/items/" + "a" * 256,
    "/api/v1/items/" + "%F0%9F%92%A5" * 256, "/api/v1/interactions/-1",
    "/api/v1/interactions/9" + "9" * 50, "/api/v1/interactions/1e5", "/api/v1/users/user-1%00/export",
    "/api/v1/users/%0d%0aX:%20y", "/api/v1/nothing", "/api/v1/model-versions/..%2f..%2fsecret",
    "/api/v1/training-runs/%F0%28%8C%28", "/%", "/api/v1/items/%zz\x01", "/api/v1/recommendations?k=0",
    "/api/v1/recommendations?k=1e9&user_id=a", "/api/v1/recommendations?user_id=%00",
    "/api/v1/recommendations?user_id=a&k=NaN", "/api/v1/recommendations?user_id=a&diversity=nan",
    "/api/v1/items?limit=-1", "/api/v1/items?cursor=" + "A" * 4000, "/api/v1/items?cursor=W10=",
    "/api/v1/items?q=%00", "/api/v1/items?nonsense=1", "/api/v1/users?cursor=bnVsbA==",
    "/api/v1/recommendations/popular?k=201", "/api/v1/recommendations/popular?k=٣٠٠",
]  # fmt: skip


def made(chance: random.Random, key: str) -> Iterator[tuple[str, bytes]]:
    """Hostile requests without an end, each with its kind.

    Args:
        chance: What decides.
        key: That most of them carry.
    """
    kinds: dict[str, Callable[[], bytes]] = {
        "broken JSON": lambda: _with_body(chance, key, chance.choice(_BROKEN)),
        "noise": lambda: _with_body(chance, key, chance.randbytes(chance.randint(1, 2_000))),
        "wrong values": lambda: _with_body(chance, key, _wrong(chance)),
        "paths": lambda: _head(chance, key, chance.choice(("GET", "DELETE")), chance.choice(_PATHS)),
        "headers": lambda: _with_odd_headers(chance, key),
        "lengths": lambda: _with_wrong_length(chance, key),
        "too long": lambda: _longer_than_taken(chance, key),
        "not HTTP": lambda: chance.randbytes(chance.randint(1, 500)) + b"\r\n\r\n",
    }
    names, weights = list(kinds), (3, 2, 6, 5, 2, 1, 0.02, 1)
    while True:
        (kind,) = chance.choices(names, weights)
        yield kind, kinds[kind]()


def _credential(chance: random.Random, key: str) -> str:
    wrong = (
        "",
        "Bearer",
        "Bearer \t",
        f"Bearer {key}x",
        "Bearer " + "a." * 3_000,
        "Basic YTpi",
        "Bearer é",
        "Bearer a.b.c",
    )
    return f"Bearer {key}" if chance.random() < 2 / 3 else chance.choice(wrong)


def _head(chance: random.Random, key: str, method: str, path: str, *more: str) -> bytes:
    encoded = quote(path, safe="/%?=&:.~-_\x01")
    lines = [f"{method} {encoded} HTTP/1.1", "Host: shop", "Connection: close"]
    lines += [f"Authorization: {_credential(chance, key)}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")


def _target(chance: random.Random) -> tuple[str, str]:
    method = chance.choice(list(_BODIES))
    return method, f"/api/v1/{chance.choice(_BODIES[method])}"


def _with_body(chance: random.Random, key: str, body: bytes) -> bytes:
    length = f"Content-Length: {len(body)}"
    return _head(chance, key, *_target(chance), "Content-Type: application/json", length) + body


def _wrong(chance: random.Random) -> bytes:
    # No route takes this field, so that whatever else is said the request must be refused.
    content: object = {"no_such_field": chance.choice(_VALUES)}
    fields = (
        "user_id",
        "item_id",
        "event",
        "value",
        "occurred_at",
        "event_id",
        "title",
        "features",
        "categories",
    )
    fields += (
        "interactions",
        "items",
        "users",
        "into",
        "ttl_seconds",
        "published_at",
        "attributes",
        "available",
    )
    assert isinstance(content, dict)
    for name in chance.sample(fields, chance.randint(0, 6)):
        content[name] = chance.choice(_VALUES)
    if chance.random() < 0.2:
        content = chance.choice([value for value in _VALUES if value != {}])
    text_of = json.dumps(content, ensure_ascii=chance.random() < 0.5)
    return text_of.encode("utf-8", "surrogatepass")


def _with_odd_headers(chance: random.Random, key: str) -> bytes:
    odd = chance.choice(
        (
            ["X: " + "x" * chance.choice((1_000, 8_000, 9_000, 100_000))],
            [f"X-{number}: x" for number in range(chance.choice((50, 99, 101, 500)))],
            ["Content-Type: application/json", "Content-Length: -1"],
            ["Content-Type: application/json", "Content-Length: 5", "Content-Length: 6"],
            ["Content-Type: application/json", "Transfer-Encoding: chunked", "Content-Length: 5"],
            ["Content-Type: text/plain", "Content-Length: 0"],
            ["Content-Type: application/json; charset=nonsense", "Content-Length: 0"],
            ["X-Request-ID: " + "\u202e" * 40],
            ["X-Forwarded-For: ' OR 1=1", "X-HTTP-Method-Override: DELETE", "Forwarded: for=_x"],
            ["Expect: 200-maybe", "Content-Length: 2"],
            ["Bad header without a colon"],
            [" folded: yes"],
            ["Range: bytes=-1", "If-None-Match: *", "Accept: */*;q=nan", "Cookie: " + "a=b;" * 1_000],
        )
    )
    return _head(chance, key, "POST", "/api/v1/interactions", *odd)


def _with_wrong_length(chance: random.Random, key: str) -> bytes:
    body = b'{"user_id": "user-1", "item_id": "item-1", "event": "vi'
    if chance.random() < 0.5:
        sizes = chance.choice((b"zz", b"-1", b"FFFFFFFFFFFFFFFFFF", b"5;a=b"))
        chunked = ("Content-Type: application/json", "Transfer-Encoding: chunked")
        return _head(chance, key, "POST", "/api/v1/interactions", *chunked) + sizes + b"\r\n" + body + b"\r\n"
    length = f"Content-Length: {len(body) + chance.choice((-5, -50, 1, 10_000, 10**7, 10**12))}"
    return _head(chance, key, "POST", "/api/v1/interactions", "Content-Type: application/json", length) + body


def _longer_than_taken(chance: random.Random, key: str) -> bytes:
    # Cut where it becomes too long, it would be a good one.
    body = b'{"user_id": "user-1", "item_id": "item-1", "event": "view"}'.ljust(_MAX_BODY) + b"}"
    chunked = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    head = _head(chance, key, "POST", "/api/v1/interactions", *chunked)
    return head + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"


def attack(system: SmallSystem, requests: int, seed: int) -> dict[str, object]:
    """Sends hostile requests from several threads.

    Args:
        system: Whom to.
        requests: How many.
        seed: Of what is sent.
    """
    address = urlsplit(system.url)
    place = str(address.hostname), int(address.port or 80)
    key = _service_key(system)
    before, workers = _fingerprint(system), _children(system.pid)

    def send_share(number: int) -> Counter[tuple[str, str]]:
        chance = random.Random(f"{seed}-{number}")
        told: Counter[tuple[str, str]] = Counter()
        hostile = made(chance, key)
        for _ in range(requests // _THREADS):
            kind, request = next(hostile)
            told[kind, _status(place, request, is_slow=chance.random() < 0.001)] += 1
        return told

    began = time.perf_counter()
    with ThreadPoolExecutor(_THREADS) as pool:
        told = sum(pool.map(send_share, range(_THREADS)), Counter[tuple[str, str]]())
    seconds = time.perf_counter() - began
    alive = httpx.get(f"{system.url}/readyz").json()
    return {
        "requests": told.total(),
        "seconds": round(seconds),
        "by_kind": {kind: _of_kind(told, kind) for kind in sorted({kind for kind, _ in told})},
        "server_errors": sum(count for (_, status), count in told.items() if status.startswith("5")),
        "taken": sum(count for (_, status), count in told.items() if status.startswith("2")),
        "no_answer_in_time": sum(count for (_, status), count in told.items() if status == "silence"),
        "workers_lost": len(set(workers) - set(_children(system.pid))),
        "ready_afterwards": alive["ready"],
        "unexpected_errors_logged": system.log.read_text(encoding="utf-8").count("unexpected_error"),
        "database_unchanged": _fingerprint(system) == before,
    }


def _of_kind(told: Counter[tuple[str, str]], kind: str) -> dict[str, int]:
    return {status: count for (name, status), count in sorted(told.items()) if name == kind}


def _status(place: tuple[str, int], request: bytes, *, is_slow: bool) -> str:
    try:
        with socket.create_connection(place, timeout=_PATIENCE) as connection:
            if is_slow:
                for byte in request[-40:-1]:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.05)
            else:
                connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while len(answer) < 12 and (more := connection.recv(65_536)):
                answer += more
    except TimeoutError:
        return "silence"
    except OSError:
        return "closed"  # the server need not hear out what it has refused already
    return answer[9:12].decode("ascii", "replace") or "closed"


def _service_key(system: SmallSystem) -> str:
    with create_app(system.config).app_context():
        key = keys.create("service", "hostile")[1]
        db.session.remove()
        db.engine.dispose()
    # Its use is noted once a minute, in another table than those that are compared.
    httpx.get(
        f"{system.url}/api/v1/items/item-1", headers={"Authorization": f"Bearer {key}"}
    ).raise_for_status()
    return key


def _fingerprint(system: SmallSystem) -> str:
    """A hash of all rows of the shop's tables."""
    engine = create_engine(system.config.database_url)
    hashed = hashlib.sha256()
    with engine.connect() as connection:
        for table in _TABLES:
            rows = connection.execute(text(f"SELECT * FROM {table}"))
            for row in sorted(map(repr, rows)):
                hashed.update(row.encode())
    engine.dispose()
    return hashed.hexdigest()


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def main() -> None:
    """Reads the arguments, attacks, and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with running(arguments.database) as system:
        found = attack(system, arguments.requests, arguments.seed)
    print(json.dumps(found, indent=2))
    wanted = {"server_errors": 0, "taken": 0, "no_answer_in_time": 0, "workers_lost": 0}
    wanted |= {"ready_afterwards": True, "unexpected_errors_logged": 0, "database_unchanged": True}
    sys.exit(0 if {name: found[name] for name in wanted} == wanted else 1)


if __name__ == "__main__":
    main()
