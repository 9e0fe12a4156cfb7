"""How long a shop's words may be, and what they may hold: one rule for whatever way they come in."""

from __future__ import annotations

import json
import re
from datetime import timedelta

MAX_ID = 255
MAX_TITLE = 1_000
MAX_LABEL = 255
MAX_FEATURE_NAME = 64
MAX_FEATURES = 50
MAX_LABELS = 100
MAX_ATTRIBUTES = 16_384  # bytes of JSON: a page of items is to stay some megabytes
MAX_EVENT_ID = 64
MAX_VALUE = 1e9
CLOCK_TOLERANCE = timedelta(minutes=5)

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_id(given: object, longest: int = MAX_ID) -> bool:
    """Whether something is a text that can name a user, an item or an event."""
    return type(given) is str and 0 < len(given) <= longest and given.isprintable()


def is_text(given: object, longest: int) -> bool:
    """Whether something is a text for people to read.

    More is taken than in an id: Persian titles need joiners, and Japanese ones a wide space, neither of which
    Python calls printable.
    """
    return type(given) is str and 0 < len(given) <= longest and not has_control_characters(given)


def has_control_characters(text: str) -> bool:
    """Whether a text holds what no title has: control characters, line breaks, halves of a surrogate pair."""
    return _CONTROL.search(text) is not None


def size_as_json(given: object) -> int:
    """How many bytes of UTF-8 something takes as JSON, blanks between its parts left out."""
    return len(json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode())
