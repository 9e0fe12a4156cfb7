"""Recommendations."""

from __future__ import annotations

from typing import Any

from flask import url_for

from recsvc.api import schemas
from recsvc.api.auth import allow, caller, for_whom, only_reads
from recsvc.api.blueprints import Blueprint
from recsvc.api.examples import example_of
from recsvc.api.fields import checked_id
from recsvc.services import recommending, training
from recsvc.services.recommending import Filters

blueprint = Blueprint("recommendations", __name__, description="Lists for users, visitors and beside items.")

_READERS = ("admin", "service", "read")
_ANYBODY = (*_READERS, "user")


def _without_reasons(user_id: str | None, strategy: str) -> dict[str, Any]:
    """An example of a list that was not asked for reasons."""
    item = example_of(schemas.RecommendedItemSchema)
    del item["reasons"]
    told = {"user_id": user_id, "strategy": strategy, "items": [item]}
    return example_of(schemas.RecommendationsSchema) | told


@blueprint.route("/recommendations")
@allow(*_ANYBODY)
@blueprint.arguments(schemas.RecommendationQuery, location="query")
@blueprint.response(200, schemas.RecommendationsSchema)
def recommend_to_user(query: dict[str, Any]) -> Any:
    """Recommend items to a user.

    Computed now, from everything the user did up to now. An unknown user is no error: they get what is
    popular. Exactly `k` items come back whenever so many may be recommended, no two of them editions of one
    work. What was seen in one edition counts as seen in all.
    """
    return recommending.for_user(for_whom(query.pop("user_id")), Filters(**query))


@blueprint.route("/recommendations/session", methods=["POST"])
@allow(*_READERS)
@only_reads
@blueprint.arguments(schemas.SessionRequest)
@blueprint.response(200, schemas.RecommendationsSchema, example=_without_reasons(None, "folded_in"))
def recommend_to_session(body: dict[str, Any]) -> Any:
    """Recommend items to a visitor without an account. Nothing is stored.

    A visitor who looked only at items that came after the last training gets what is popular.
    """
    return recommending.for_session(body.pop("item_ids"), Filters(**body))


@blueprint.route("/recommendations/batch", methods=["POST"])
@allow(*_READERS)
@only_reads
@blueprint.arguments(schemas.NewsletterRequest)
@blueprint.response(
    200,
    schemas.NewsletterSchema,
    example={"recommendations": [_without_reasons(user, "personal") for user in ("reader-7", "reader-8")]},
)
def recommend_to_users(body: dict[str, Any]) -> dict[str, Any]:
    """Recommend items to up to 500 users at once, as for a newsletter."""
    user_ids = body.pop("user_ids")
    return {"recommendations": recommending.for_users(user_ids, Filters(**body))}


@blueprint.route("/recommendations/popular")
@allow(*_ANYBODY)
@blueprint.arguments(schemas.ListQuery, location="query")
@blueprint.response(200, schemas.RecommendationsSchema, example=_without_reasons(None, "popular"))
def list_popular(query: dict[str, Any]) -> Any:
    """List what most users like."""
    return recommending.popular(Filters(**query))


@blueprint.route("/recommendations/trending")
@allow(*_ANYBODY)
@blueprint.arguments(schemas.ListQuery, location="query")
@blueprint.response(200, schemas.RecommendationsSchema, example=_without_reasons(None, "trending"))
def list_trending(query: dict[str, Any]) -> Any:
    """List what is liked more than usual in the last seven days; counted anew every minute."""
    return recommending.trending(Filters(**query))


@blueprint.route("/recommendations/latest")
@allow(*_ANYBODY)
@blueprint.arguments(schemas.ListQuery, location="query")
@blueprint.response(200, schemas.RecommendationsSchema, example=_without_reasons(None, "latest"))
def list_latest(query: dict[str, Any]) -> Any:
    """List what was published last, by `published_at`, else by when the item was made."""
    return recommending.latest(Filters(**query))


@blueprint.route("/items/<shop_id:item_id>/similar")
@allow(*_ANYBODY)
@blueprint.arguments(schemas.ListQuery, location="query")
@blueprint.response(200, schemas.RecommendationsSchema, example=_without_reasons(None, "similar"))
def list_similar(query: dict[str, Any], item_id: str) -> Any:
    """List items like an item."""
    return recommending.similar_to(checked_id(item_id), Filters(**query))


@blueprint.route("/recommendations/train", methods=["POST"])
@allow("admin")
@blueprint.arguments(schemas.TrainRequest, required=False)
@blueprint.response(202, schemas.TrainingRequested)
@blueprint.alt_response(
    200,
    schema=schemas.TrainingRequested,
    description="A run is under way already.",
    example={"already_running": True},
)
def train(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Ask for a training.

    A worker trains on ALL interactions while this API goes on serving. Where a run is queued or running, that
    one is answered: a hundred calls make one run.
    """
    run, already_running = training.request(
        "manual",
        requested_by=f"key {caller().name}",
        force=body.get("force", False),
        reason=body.get("reason"),
    )
    answer = {
        "run_id": run.run_id,
        "status": run.status,
        "url": url_for("training_runs.get_training_run", run_id=run.run_id),
        "already_running": already_running,
    }
    return answer, 200 if already_running else 202
