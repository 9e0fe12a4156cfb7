"""Interactions: written one at a time or in batches, listed by user."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from recsvc.api import schemas
from recsvc.api.auth import allow, caller, for_whom
from recsvc.api.batches import check_each, in_order, rejection
from recsvc.api.blueprints import Blueprint
from recsvc.api.fields import checked_id, cursor_of
from recsvc.errors import InvalidInputError
from recsvc.instruments import instruments
from recsvc.services import ingestion
from recsvc.services.ingestion import NewInteraction

blueprint = Blueprint(
    "interactions", __name__, description="What users do: views, carts, purchases, ratings."
)

_REFUSED = frozenset({400, 413, 415, 422})


@blueprint.after_request
def count_refusal(response: Response) -> Response:
    """Counts an interaction that came by itself and was refused, by whatever looked at it first."""
    if request.endpoint == "interactions.record_interaction" and response.status_code in _REFUSED:
        instruments().ingested("rejected")
    return response


@blueprint.route("/interactions", methods=["POST"])
@allow("admin", "service", "user")
@blueprint.arguments(schemas.InteractionSchema)
@blueprint.response(201, schemas.InteractionStored)
@blueprint.alt_response(
    200,
    schema=schemas.InteractionStored,
    description="Stored before, nothing written.",
    example={"duplicate": True},
)
def record_interaction(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Write an interaction.

    With an `event_id` of your own, unique per user, a retry is safe: the second answer is 200 with
    `duplicate: true`, and nothing is stored twice. Users and items never heard of are made on the
    spot. No training starts. With the `recommendation_id` of the list that it came from, it is attributed to
    that list.
    """
    user_id = for_whom(body.pop("user_id"))
    key, duplicate = ingestion.record(NewInteraction(user_id=user_id, **body))
    instruments().ingested("duplicate" if duplicate else "accepted")
    return {"id": key, "duplicate": duplicate}, 200 if duplicate else 201


@blueprint.route("/interactions/batch", methods=["POST"])
@allow("admin", "service", "user")
@blueprint.arguments(schemas.InteractionBatch)
@blueprint.response(200, schemas.InteractionBatchOutcome)
def record_interactions(body: dict[str, Any]) -> dict[str, Any]:
    """Write up to 1,000 interactions.

    Good entries are stored whatever the bad ones are; each bad one is named by its index.
    """
    good, malformed = check_each(schemas.InteractionSchema(), body["interactions"])
    named, nameless = [], []
    for index, entry in good:
        try:
            named.append((index, NewInteraction(user_id=for_whom(entry.pop("user_id")), **entry)))
        except InvalidInputError as error:
            nameless.append(rejection(index, error))
    outcome = ingestion.record_batch(named)
    refused = [rejection(refusal.index, refusal.error) for refusal in outcome.rejected]
    rejected = in_order(malformed, nameless, refused)
    instruments().ingested("accepted", outcome.accepted)
    instruments().ingested("duplicate", outcome.duplicates)
    instruments().ingested("rejected", len(rejected))
    return {"accepted": outcome.accepted, "duplicates": outcome.duplicates, "rejected": rejected}


@blueprint.route("/users/<shop_id:user_id>/interactions")
@allow("admin", "service", "user", own="user_id")
@blueprint.arguments(schemas.InteractionQuery, location="query")
@blueprint.response(200, schemas.InteractionPage)
def list_interactions(query: dict[str, Any], user_id: str) -> dict[str, Any]:
    """List a user's interactions, newest first."""
    before = tuple(query["cursor"]) if query["cursor"] else None
    rows = ingestion.history_page(
        checked_id(user_id), before=before, limit=query["limit"], event=query["event"]
    )
    last = rows[-1][0] if len(rows) == query["limit"] else None
    return {
        "interactions": [ingestion.told(*row) for row in rows],
        "next_cursor": cursor_of(last.occurred_at, last.interaction_key) if last else None,
    }


@blueprint.route("/interactions/<int(max=9223372036854775807):interaction_key>", methods=["DELETE"])
@allow("admin", "service", "user")
@blueprint.response(204)
def delete_interaction(interaction_key: int) -> None:
    """Delete an interaction by the `id` that its writing answered. To a user token others' do not exist."""
    ingestion.delete(interaction_key, user_id=caller().user_id)
