"""Sentences with values in them, as they stand in the API and on the command line."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recsvc.errors import ConflictError
from recsvc.sentences import Sentence, in_words


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


def test_a_sentence_may_hold_another():
    inner = Sentence("%(file)s is not the file that was published.", file="100%.npy")

    assert str(Sentence("It cannot be activated. %(why)s", why=inner)) == (
        "It cannot be activated. 100%.npy is not the file that was published."
    )


def test_a_percent_sign_is_told_as_it_stands_where_there_are_no_values():
    assert str(Sentence("The disk is 100% full: %(no) value.")) == "The disk is 100% full: %(no) value."


def test_an_error_tells_what_it_was_given_as_words_and_in_english():
    error = ConflictError("Run %(run_id)s is being activated.", run_id="50%")
    sentence = Sentence("Run %(run_id)s is being activated.", run_id="50%")
    plain = ConflictError("50% of it is away.")

    for told in (error, ConflictError(sentence)):
        assert (str(told), told.detail) == ("Run 50% is being activated.",) * 2
        assert (told.words.words, told.words.values) == (sentence.words, {"run_id": "50%"})
    assert (str(plain), plain.detail, str(plain.words)) == ("50% of it is away.",) * 3


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
