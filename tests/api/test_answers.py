"""How answers are written."""

from __future__ import annotations

import json

import pytest
from flask import Flask, jsonify

from recsvc.api.answers import AnswerProvider


@pytest.fixture
def write():
    app = Flask(__name__)
    app.json = AnswerProvider(app)

    def written(answer: object) -> bytes:
        with app.test_request_context():
            response = jsonify(answer)
            assert response.mimetype == "application/json"
            return response.get_data()

    return written


def test_names_come_in_the_order_in_which_they_were_given(write):
    assert write({"strategy": "popular", "items": [{"rank": 1, "item_id": "b"}]}) == (
        b'{"strategy":"popular","items":[{"rank":1,"item_id":"b"}]}\n'
    )


def test_letters_of_any_script_are_written_as_they_are(write):
    assert write(["Memórias Póstumas", "夏目"]) == '["Memórias Póstumas","夏目"]\n'.encode()


@pytest.mark.parametrize("number", [2**63 - 1, 2**64, -(2**70), 10**300])
def test_whole_numbers_of_any_length_come_back_as_they_were(write, number):
    assert json.loads(write({"extra": number})) == {"extra": number}


@pytest.mark.parametrize("number", [0.1, 1e-300, 1.7976931348623157e308, -0.0, 0.1 + 0.2])
def test_numbers_come_back_to_the_last_bit(write, number):
    assert json.loads(write(number)).hex() == number.hex()


def test_what_is_no_json_at_all_is_refused(write):
    with pytest.raises(TypeError):
        write({"a set"})
