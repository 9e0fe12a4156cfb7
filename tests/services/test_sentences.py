"""Sentences with values in them, as they stand in the API and on the command line."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recsvc.services.sentences import Sentence, in_words


def test_a_sentence_is_english_as_text():
    said = Sentence(
        "%(share)s of %(number)s: %(names)s, for %(span)s, %(why)s.",
        share=0.408,
        number=1_234,
        names=("cart", "view"),
        span=timedelta(days=3),
        why="100 % so",
    )

    assert str(said) == "41% of 1,234: cart and view, for 3 days, 100 % so."


def test_a_sentence_may_hold_no_value():
    assert str(Sentence("Nothing is served.")) == "Nothing is served."


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=0), "0 seconds"),
        (timedelta(seconds=119), "119 seconds"),
        (timedelta(minutes=2), "2 minutes"),
        (timedelta(hours=1, minutes=30), "90 minutes"),
        (timedelta(hours=36), "36 hours"),
        (timedelta(days=2), "2 days"),
    ],
)
def test_spans_are_told_in_the_largest_unit_that_fits(span, words):
    assert in_words(span) == words
