"""What answers look like where they are not written by their fields."""

from __future__ import annotations

import pytest
from marshmallow import Schema

from recsvc.api.schemas import NewsletterSchema, RecommendationsSchema
from recsvc.services.reasons import Reason
from recsvc.services.recommending import Recommendations, RecommendedItem

REASONS = [
    Reason(because="interaction", share=0.5, item_id="b", event="cart"),
    Reason(because="interaction", share=0.25, item_id="c"),
    Reason(because="popular", share=0.25),
]


def a_list(*items: RecommendedItem, user_id: str | None = "ana") -> Recommendations:
    return Recommendations(user_id, None, "popular", "9f86", list(items))


@pytest.mark.parametrize(
    "told",
    [
        a_list(),
        a_list(RecommendedItem("a", 1, 0.5, "A"), RecommendedItem("b", 2, 0.25, None), user_id=None),
        a_list(RecommendedItem("a", 1, 0.5, "A", REASONS), RecommendedItem("b", 2, 0.25, None, [])),
    ],
)
def test_a_list_is_written_as_its_fields_would_write_it(told):
    assert RecommendationsSchema().dump(told) == Schema.dump(RecommendationsSchema(), told)


def test_lists_of_a_newsletter_are_written_the_same_way():
    lists = [a_list(RecommendedItem("a", 1, 0.5, "A")), a_list()]

    written = NewsletterSchema().dump({"recommendations": lists})

    assert written == {"recommendations": [RecommendationsSchema().dump(told) for told in lists]}
