"""How answers become JSON."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response
from flask.json.provider import DefaultJSONProvider


class AnswerProvider(DefaultJSONProvider):
    """Flask's own, but that answers are written by orjson: a list with reasons is hundreds of objects.

    What comes in is read by Python's own module, whose errors the parser tells.
    """

    ensure_ascii = False
    sort_keys = False

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Writes an answer out."""
        answer = self._prepare_response_obj(args, kwargs)
        try:
            content = orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE)
        except orjson.JSONEncodeError:
            # A shop's metadata may hold whole numbers of more than 64 bits, and gets them back as they were.
            content = self.dumps(answer).encode() + b"\n"
        return Response(content, mimetype=self.mimetype)
