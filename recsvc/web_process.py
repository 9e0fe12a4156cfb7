"""gunicorn's web process with threads, none of which a client holds for long by being slow."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

# Seconds from when a thread has a connection. gunicorn itself waits for the first byte only, five seconds.
HEAD_WITHIN = 10
BODY_WITHIN = 30  # from when the head is there: as long as Heroku's router waits for an answer
TAKEN_WITHIN = 120


@dataclass
class _UnderWay:
    """A request that a thread is busy with.

    Attributes:
        read_until: When all that is asked for at this stage must have come.
        over_at: When the answer must have been taken.
    """

    read_until: float
    over_at: float


class WebProcess(ThreadWorker):
    """Ends what a thread waits for in vain: as many slow clients as there are threads would stop the process.

    What has not come in time is read no further, and is answered, if at all, as if the client had gone. That
    a request is worked on for longer than it may be read harms nothing: all of it was read.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._under_way: dict[Any, _UnderWay] = {}

    def handle(self, conn: Any) -> Any:
        """Handles a request, in a thread of its own."""
        began = monotonic()
        self._under_way[conn] = _UnderWay(began + HEAD_WITHIN, began + TAKEN_WITHIN)
        try:
            return super().handle(conn)
        finally:
            del self._under_way[conn]

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Handles a request whose head is there."""
        self._under_way[conn].read_until = monotonic() + BODY_WITHIN
        return super().handle_request(req, conn)

    def notify(self) -> None:
        """Tells that the process lives, at least once a second, and ends what is late."""
        super().notify()
        now = monotonic()
        for conn, request in self._under_way.copy().items():
            if now > request.over_at:
                _shut(conn, socket.SHUT_RDWR)
            elif now > request.read_until:
                _shut(conn, socket.SHUT_RD)


def _shut(conn: Any, way: int) -> None:
    with suppress(OSError):  # the client has gone
        conn.sock.shutdown(way)
