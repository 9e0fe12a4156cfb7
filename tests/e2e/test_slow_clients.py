"""As many clients as there are threads, each slower than it has to be, do not stop a web process for long."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.processes

# The web process that serves, with an application that reads all and answers a lot, and with less patience.
SERVER = """
from gunicorn.app.base import BaseApplication
from recsvc import web_process

web_process.HEAD_WITHIN, web_process.BODY_WITHIN, web_process.TAKEN_WITHIN = 1, 5, 16

class Server(BaseApplication):
    def load_config(self):
        for name, value in {
            "bind": "127.0.0.1:0",
            "worker_class": "recsvc.web_process.WebProcess",
            "threads": 2,
            "control_socket_disable": True,
        }.items():
            self.cfg.set(name, value)

    def load(self):
        return answer

def answer(environ, start_response):
    read = environ["wsgi.input"].read()
    content = b"x" * 20_000_000 if environ["PATH_INFO"] == "/much" else b"read %d" % len(read)
    start_response("200 OK", [("Content-Length", str(len(content)))])
    return [content]

Server().run()
"""
HEAD = "GET / HTTP/1.1\r\nHost: a\r\n"
BODY = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
ANSWER = "GET /much HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with subprocess.Popen([sys.executable, "-c", SERVER], stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        line = next(line for line in server.stderr if "Listening at: " in line)
        # Whatever else it says would fill the pipe, and stop it.
        threading.Thread(target=server.stderr.read).start()
        url = urlsplit(line.partition("Listening at: ")[2].split()[0])
        yield str(url.hostname), int(url.port or 0)
        server.terminate()


@contextlib.contextmanager
def slow_clients(address: tuple[str, int], count: int, begin: str) -> Iterator[list[socket.socket]]:
    """Clients that send the beginning of something, then a byte a fifth of a second, and read nothing."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(address)) for _ in range(count)]
        over = threading.Event()
        stack.callback(over.set)
        for client in clients:
            client.sendall(begin.encode())

        def go_on() -> None:
            while not over.wait(0.2):
                for client in clients:
                    with contextlib.suppress(OSError):
                        client.send(b"a")

        threading.Thread(target=go_on).start()
        yield clients


def ask(address: tuple[str, int], text: str, within: float) -> bytes:
    with socket.create_connection(address, timeout=within) as client:
        client.sendall(text.encode())
        return b"".join(iter(lambda: client.recv(65_536), b""))


# What is read is given up before the answer would be.
@pytest.mark.parametrize(
    ("begin", "within"), [(HEAD, 12), (BODY, 12), (ANSWER, 40)], ids=["head", "body", "answer"]
)
def test_others_are_answered_where_clients_are_slow(address, begin, within):
    with slow_clients(address, 2, begin):
        time.sleep(0.5)  # they have the threads

        answer = ask(address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", within=within)

    assert answer.endswith(b"read 0")


def test_a_body_may_take_longer_than_a_head(address):
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nConnection: close\r\n\r\nabc")
        time.sleep(2)
        client.sendall(b"def")
        answer = b"".join(iter(lambda: client.recv(65_536), b""))

    assert answer.endswith(b"read 6")


def test_a_connection_is_kept_for_longer_than_clients_keep_theirs(lasting_system):
    url = urlsplit(lasting_system.web.url)
    with contextlib.closing(HTTPConnection(str(url.hostname), url.port, timeout=20)) as connection:
        connection.connect()
        connection.auto_open = 0  # it would open another
        for idle in (6, 0):  # httpx lets go of one after five seconds
            connection.request("GET", "/healthz")
            with connection.getresponse() as answer:
                assert (answer.status, bool(answer.read())) == (200, True)
            time.sleep(idle)


def test_clients_that_never_end_their_head_do_not_stop_the_web(system):
    url = urlsplit(system.start_web(workers=1).url)
    address = str(url.hostname), int(url.port or 0)
    with slow_clients(address, 9, HEAD):  # it has eight threads
        time.sleep(0.5)

        answer = ask(address, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", within=50)

    assert answer.startswith(b"HTTP/1.1 200")
