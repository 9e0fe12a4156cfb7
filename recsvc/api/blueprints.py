"""What every blueprint of the API is made of: requests are parsed as the contract says."""

from __future__ import annotations

import json
import re
from typing import Any

import flask_smorest
from flask import Request, abort
from marshmallow import RAISE
from webargs.core import is_json
from webargs.flaskparser import FlaskParser


class ContractParser(FlaskParser):
    """Refuses what webargs would pass over in silence."""

    # A misspelt filter must not answer an unfiltered list.
    DEFAULT_UNKNOWN_BY_LOCATION = FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION | {"query": RAISE}

    def _raw_load_json(self, req: Request) -> Any:
        body = req.get_data(cache=True)
        if body and not is_json(req.mimetype):
            # Taken for an empty body, it would replace an item by nothing.
            abort(415, "Send JSON, and say so: Content-Type: application/json.")
        try:
            content = super()._raw_load_json(req)
            if re.search(rb"\\u[dD][89a-fA-F]", body):
                json.dumps(content, ensure_ascii=False).encode()  # half a pair of surrogates is no character
            return content
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise
        except (RecursionError, ValueError) as error:
            # Nested too deeply, a number of thousands of digits, or what could not even be answered in UTF-8.
            self._handle_invalid_json_error(json.JSONDecodeError(str(error), "…", 0), req)


class Blueprint(flask_smorest.Blueprint):
    """A blueprint whose arguments are parsed by `ContractParser`."""

    ARGUMENTS_PARSER = ContractParser()
