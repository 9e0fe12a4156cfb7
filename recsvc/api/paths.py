"""Ids in paths: any printable characters, percent-encoded, a slash among them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from werkzeug.routing import BaseConverter

# Private-use characters cannot be in an id, which is printable: they stand for an encoded slash on its way
# from the raw path to the converter, where the router would otherwise take it for a real one.
_SLASH = "\ue000"


class EncodedSlashes:
    """WSGI middleware that tells `%2F` within an id from a slash between two parts of a path."""

    def __init__(self, wsgi_app: Any) -> None:
        self._wsgi_app = wsgi_app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Rewrites the path where it holds an encoded slash."""
        raw = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
        # A request to a proxy names the whole URL.
        path = re.sub("^https?://[^/]*", "", raw.partition("?")[0])
        if re.search("%2f", path, re.IGNORECASE) and path.startswith("/"):
            marked = re.sub("%2f", "%EE%80%80", path, flags=re.IGNORECASE)
            # Where the service is mounted below the root, the raw path begins with that place.
            environ["PATH_INFO"] = unquote(marked, "latin-1").removeprefix(environ.get("SCRIPT_NAME", ""))
        return self._wsgi_app(environ, start_response)  # type: ignore[no-any-return]


class ShopId(BaseConverter):
    """An id of the shop's own; what it may be is for `checked_id` to say."""

    def to_python(self, value: str) -> str:
        """Puts encoded slashes back."""
        return value.replace(_SLASH, "/")

    def to_url(self, value: str) -> str:
        """Encodes an id whole."""
        return super().to_url(value).replace("/", "%2F")
