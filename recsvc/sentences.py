"""Sentences that whoever shows them can put into another language."""

from __future__ import annotations

from datetime import timedelta


class Sentence:
    """Words with values in them; as text, they are English.

    Attributes:
        words: With a `%(name)s` for each value, and `%%` for a percent sign; as they stand without values.
        values: Whole numbers; shares, 0 to 1, as floats; spans of time; several names; sentences, told in the
            same language; text that stays so.
    """

    def __init__(self, words: str, **values: Value) -> None:
        self.words = words
        self.values = values

    def __str__(self) -> str:
        if not self.values:
            return self.words
        return self.words % {name: _in_english(value) for name, value in self.values.items()}


Value = int | float | timedelta | tuple[str, ...] | Sentence | str


def in_words(span: timedelta) -> str:
    """A span of time in the largest unit that fits it, such as `3 days`."""
    seconds = span.total_seconds()
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}s"
    return f"{seconds:.0f} seconds"


def _in_english(value: Value) -> str:
    match value:
        case float():
            return f"{value:.0%}"
        case int():
            return f"{value:,}"
        case timedelta():
            return in_words(value)
        case tuple():
            return " and ".join(value)
        case Sentence():
            return str(value)
    return value
