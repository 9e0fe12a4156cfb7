"""What takes a look at every row to count."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Integer, and_, case, func, or_, select
from sqlalchemy import cast as sql_cast

from recsvc.extensions import db
from recsvc.storage.models import Interaction, Item, ItemFeature, UserFeature


class UserStock(NamedTuple):
    """Users by what they did.

    Attributes:
        with_enough: Who have as many interactions as is asked for.
        likers_before: Who like something, and whose first interaction is no later than the watermark.
        likers_after: Who like something, and whose first interaction is later.
        featured: Who like nothing, and have a feature.
    """

    with_enough: int
    likers_before: int
    likers_after: int
    featured: int


class ItemStock(NamedTuple):
    """Items of the catalogue by what is known of them.

    Attributes:
        with_enough: Which have as many interactions as is asked for.
        untouched: Which have none.
        without_feature: Which have no feature.
        unknown: Which have neither.
    """

    with_enough: int
    untouched: int
    without_feature: int
    unknown: int


def count_users(
    *, enough: int, liking: Collection[int], rating_code: int, neutral: float, watermark: int
) -> UserStock:
    """Counts users.

    Args:
        enough: Interactions.
        liking: Codes of events that speak for an item.
        rating_code: The event whose value decides.
        neutral: Ratings above it speak for an item.
        watermark: Key of an interaction.
    """
    likes = and_(
        Interaction.event_code.in_(liking),
        or_(Interaction.event_code != rating_code, Interaction.value > neutral),
    )
    per_user = (
        select(
            Interaction.user_key,
            func.count().label("interactions"),
            func.min(Interaction.interaction_key).label("first"),
            func.max(case((likes, 1), else_=0)).label("likes"),
        )
        .group_by(Interaction.user_key)
        .cte("per_user")
    )
    likers = per_user.c.likes == 1
    featured = select(UserFeature.user_key).distinct().subquery()
    of_featured = (
        select(func.count())
        .select_from(featured.outerjoin(per_user, per_user.c.user_key == featured.c.user_key))
        .where(or_(per_user.c.likes.is_(None), per_user.c.likes == 0))
        .scalar_subquery()
    )
    row = db.session.execute(
        select(
            _how_many(per_user.c.interactions >= enough),
            _how_many(and_(likers, per_user.c.first <= watermark)),
            _how_many(and_(likers, per_user.c.first > watermark)),
            of_featured,
        )
    ).one()
    return UserStock(*row)


def count_items(*, enough: int) -> ItemStock:
    """Counts items.

    Args:
        enough: Interactions.
    """
    per_item = (
        select(Interaction.item_key, func.count().label("interactions"))
        .group_by(Interaction.item_key)
        .subquery()
    )
    featured = select(ItemFeature.item_key).distinct().subquery()
    untouched, featureless = per_item.c.interactions.is_(None), featured.c.item_key.is_(None)
    row = db.session.execute(
        select(
            _how_many(per_item.c.interactions >= enough),
            _how_many(untouched),
            _how_many(featureless),
            _how_many(and_(untouched, featureless)),
        )
        .select_from(Item)
        .outerjoin(per_item, per_item.c.item_key == Item.item_key)
        .outerjoin(featured, featured.c.item_key == Item.item_key)
        .where(Item.deleted_at.is_(None))
    ).one()
    return ItemStock(*row)


def _how_many(condition: Any) -> Any:
    return sql_cast(func.coalesce(func.sum(case((condition, 1), else_=0)), 0), Integer)
