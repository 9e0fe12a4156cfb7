"""What gunicorn answers and logs of a request that never reaches the application: as if it had reached it."""

from __future__ import annotations

import json
import logging
import re
import socket
import uuid

_MALFORMED = 400


def write_problem(sock: socket.socket, status_int: int, reason: str, mesg: str) -> None:
    """Takes the place of `gunicorn.util.write_error`, which answers in HTML.

    Args:
        sock: Of the client.
        status_int: HTTP status.
        reason: Its phrase.
        mesg: What is wrong with the request.
    """
    body = {
        "type": "about:blank",
        "title": reason,
        "status": status_int,
        "detail": mesg or reason,
        "code": "malformed" if status_int == _MALFORMED else reason.lower().replace(" ", "_"),
        "errors": {},
        "request_id": uuid.uuid4().hex,
    }
    content = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status_int} {reason}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(content)}\r\nX-Request-ID: {body['request_id']}\r\n\r\n"
    )
    sock.sendall(head.encode("latin1") + content)


def name_nobody(record: logging.LogRecord) -> bool:
    """A filter of gunicorn's log: that a request failed stays; whose it was, and what it held, does not."""
    told = re.match("Invalid request|Error handling request", str(record.msg))
    if told:
        record.msg, record.args = told[0], ()
    return True
