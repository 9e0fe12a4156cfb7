"""The service's calls, each named as in its documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar, Unpack

from recsvc.client.admin import AdminCalls
from recsvc.client.content import Features, Interaction, ItemContent, ItemOfBatch, UserOfBatch
from recsvc.client.results import (
    BatchOutcome,
    ErasureReceipt,
    Export,
    InteractionBatchOutcome,
    Item,
    MergeOutcome,
    Recommendations,
    Rejected,
    Stored,
    StoredInteraction,
    Token,
    User,
    entry_of,
    result_of,
)
from recsvc.client.transport import part, said

_BATCH = 1_000
_USERS_A_NEWSLETTER = 500

Entry = TypeVar("Entry")


class Client(AdminCalls):
    """Calls the service with an API key, or, for one user, with a user token.

    A call that is not answered, or answered with 429, 502, 503 or 504, is made again after a growing pause,
    `Retry-After` honoured. An interaction has an `event_id`, so that it is stored once.

    Every call may raise `ServiceError`, which carries the problem's `code`, `errors` and `request_id`.
    """

    # Interactions

    def record_interaction(
        self,
        user_id: str | None,
        item_id: str,
        event: str,
        *,
        value: float | None = None,
        occurred_at: datetime | None = None,
        event_id: str | None = None,
        recommendation_id: str | None = None,
    ) -> Stored:
        """Writes an interaction; the arguments are those of `Interaction`."""
        rest: dict[str, Any] = {} if event_id is None else {"event_id": event_id}
        interaction = Interaction(
            user_id, item_id, event, value, occurred_at, recommendation_id=recommendation_id, **rest
        )
        return result_of(Stored, self.call("POST", "/interactions", body=interaction))

    def record_interactions(self, interactions: Iterable[Interaction]) -> InteractionBatchOutcome:
        """Writes any number of interactions, 1,000 a request; good ones are stored whatever the others are.

        Where it raises, the batches before are stored. To write the same interactions again is safe.

        Returns:
            Counts, and what was rejected, by its place in `interactions`.
        """
        accepted, duplicates, rejected = 0, 0, []
        for start, batch in _batches(interactions, _BATCH):
            answer = self.call("POST", "/interactions/batch", body={"interactions": batch})
            accepted += entry_of(answer, "accepted")
            duplicates += entry_of(answer, "duplicates")
            rejected += _rejections(answer, start)
        return InteractionBatchOutcome(accepted, rejected, duplicates)

    def list_interactions(self, user_id: str, *, event: str | None = None) -> Iterator[StoredInteraction]:
        """A user's interactions, newest first, read a page at a time."""
        path = f"/users/{part(user_id)}/interactions"
        return self.pages(StoredInteraction, path, "interactions", event=event)

    def delete_interaction(self, interaction_key: int) -> None:
        """Deletes an interaction by the `id` that its writing answered."""
        self.call("DELETE", f"/interactions/{interaction_key}")

    # The catalogue

    def put_item(self, item_id: str, **content: Unpack[ItemContent]) -> Item:
        """Creates an item, or replaces all that is said of it."""
        return result_of(Item, self.call("PUT", f"/items/{part(item_id)}", body=content))

    def patch_item(self, item_id: str, **content: Unpack[ItemContent]) -> Item:
        """Changes some fields of an item."""
        return result_of(Item, self.call("PATCH", f"/items/{part(item_id)}", body=content))

    def get_item(self, item_id: str) -> Item:
        """Shows an item."""
        return result_of(Item, self.call("GET", f"/items/{part(item_id)}"))

    def delete_item(self, item_id: str) -> None:
        """Takes an item out of the catalogue; its interactions stay."""
        self.call("DELETE", f"/items/{part(item_id)}")

    def list_items(
        self, *, q: str | None = None, category: str | None = None, hidden: bool | None = None
    ) -> Iterator[Item]:
        """Items in the order in which they were made, read a page at a time.

        Args:
            q: Found within the id or the title.
            category: Only items in it.
            hidden: Only items that are hidden, or only such that are not.
        """
        return self.pages(Item, "/items", "items", q=q, category=category, hidden=hidden)

    def put_items(self, items: Iterable[ItemOfBatch]) -> BatchOutcome:
        """Creates or replaces any number of items, 1,000 a request."""
        return self._put_batches("items", items)

    # Users

    def put_user(self, user_id: str, *, features: Features | None = None) -> User:
        """Creates a user, or replaces all that is said of them."""
        return result_of(User, self.call("PUT", f"/users/{part(user_id)}", body=said(features=features)))

    def patch_user(self, user_id: str, *, features: Features | None = None) -> User:
        """Changes what is said of a user."""
        return result_of(User, self.call("PATCH", f"/users/{part(user_id)}", body=said(features=features)))

    def get_user(self, user_id: str) -> User:
        """Shows a user."""
        return result_of(User, self.call("GET", f"/users/{part(user_id)}"))

    def list_users(self) -> Iterator[User]:
        """Users in the order in which they were made, read a page at a time."""
        return self.pages(User, "/users", "users")

    def put_users(self, users: Iterable[UserOfBatch]) -> BatchOutcome:
        """Creates or replaces any number of users, 1,000 a request."""
        return self._put_batches("users", users)

    def export_user(self, user_id: str) -> Export:
        """Shows everything that is held of a user."""
        return result_of(Export, self.call("GET", f"/users/{part(user_id)}/export"))

    def erase_user(self, user_id: str) -> ErasureReceipt | None:
        """Erases a user and all that is held of them.

        Returns:
            The receipt; None where a try whose answer was lost had erased them already.
        """
        answer = self.call("DELETE", f"/users/{part(user_id)}")
        return None if answer is None else result_of(ErasureReceipt, answer)

    def merge_user(self, user_id: str, into: str) -> MergeOutcome:
        """Moves all that is held of a guest, at sign-in say, to an account.

        Raises:
            NotFoundError: There is no such guest, be it that a try whose answer was lost had moved them.
        """
        return result_of(
            MergeOutcome, self.call("POST", f"/users/{part(user_id)}/merge", body={"into": into})
        )

    # Recommendations

    def recommend_to_user(
        self,
        user_id: str | None = None,
        *,
        k: int = 10,
        category: str | None = None,
        exclude: Sequence[str] = (),
        include_seen: bool = False,
        diversity: float = 0.0,
        explain: bool = False,
    ) -> Recommendations:
        """Recommends items to a user, known or not.

        Args:
            user_id: For whom; None with a user token.
            k: How many items, 200 at the most.
            category: Only items in it.
            exclude: Items to leave out.
            include_seen: Whether what the user has seen may come back; nothing bought or disliked does.
            diversity: 0 to 1: how much the items are to be unlike each other.
            explain: Whether each item comes with its reasons.
        """
        query: dict[str, Any] = {"user_id": user_id, "k": k, "category": category, "exclude": list(exclude)}
        query |= {"include_seen": include_seen, "diversity": diversity, "explain": explain}
        return result_of(Recommendations, self.call("GET", "/recommendations", query=query))

    def recommend_to_session(
        self,
        item_ids: Sequence[str],
        *,
        k: int = 10,
        category: str | None = None,
        exclude: Sequence[str] = (),
        diversity: float = 0.0,
        explain: bool = False,
    ) -> Recommendations:
        """Recommends items to a visitor without an account; nothing is stored.

        Args:
            item_ids: What they looked at, the newest last.
            k: How many items, 200 at the most.
            category: Only items in it.
            exclude: Items to leave out.
            diversity: 0 to 1: how much the items are to be unlike each other.
            explain: Whether each item comes with its reasons.
        """
        body = said(item_ids=item_ids, k=k, category=category, exclude=exclude)
        body |= {"diversity": diversity, "explain": explain}
        return result_of(Recommendations, self.call("POST", "/recommendations/session", body=body))

    def recommend_to_users(
        self,
        user_ids: Iterable[str],
        *,
        k: int = 10,
        category: str | None = None,
        exclude: Sequence[str] = (),
        include_seen: bool = False,
        diversity: float = 0.0,
    ) -> Iterator[Recommendations]:
        """Recommends items to any number of users, 500 a request; lists come in the order of the users."""
        filters = said(k=k, category=category, exclude=exclude)
        filters |= {"include_seen": include_seen, "diversity": diversity}
        for _, batch in _batches(user_ids, _USERS_A_NEWSLETTER):
            answer = self.call("POST", "/recommendations/batch", body={"user_ids": batch, **filters})
            yield from (result_of(Recommendations, told) for told in entry_of(answer, "recommendations"))

    def list_similar(self, item_id: str, *, k: int = 10, category: str | None = None) -> Recommendations:
        """Items like an item."""
        return self._list(f"/items/{part(item_id)}/similar", k, category)

    def list_popular(self, *, k: int = 10, category: str | None = None) -> Recommendations:
        """What most users like."""
        return self._list("/recommendations/popular", k, category)

    def list_trending(self, *, k: int = 10, category: str | None = None) -> Recommendations:
        """What is liked more than usual in the last seven days."""
        return self._list("/recommendations/trending", k, category)

    def list_latest(self, *, k: int = 10, category: str | None = None) -> Recommendations:
        """What was published last."""
        return self._list("/recommendations/latest", k, category)

    # Tokens

    def issue_token(self, user_id: str, *, ttl_seconds: int = 3_600) -> Token:
        """Makes a token with which the app writes and reads for one user."""
        body = {"user_id": user_id, "ttl_seconds": ttl_seconds}
        return result_of(Token, self.call("POST", "/tokens", body=body))

    def _list(self, path: str, k: int, category: str | None) -> Recommendations:
        return result_of(Recommendations, self.call("GET", path, query={"k": k, "category": category}))

    def _put_batches(self, noun: str, entries: Iterable[Mapping[str, Any]]) -> BatchOutcome:
        accepted, rejected = 0, []
        for start, batch in _batches(entries, _BATCH):
            answer = self.call("POST", f"/{noun}/batch", body={noun: batch})
            accepted += entry_of(answer, "accepted")
            rejected += _rejections(answer, start)
        return BatchOutcome(accepted, rejected)


def _batches(entries: Iterable[Entry], size: int) -> Iterator[tuple[int, list[Entry]]]:
    """Lists of at most `size` entries, each with the place of its first."""
    start, rest = 0, iter(entries)
    while batch := list(islice(rest, size)):
        yield start, batch
        start += len(batch)


def _rejections(answer: Mapping[str, Any], start: int) -> list[Rejected]:
    rejected = [result_of(Rejected, told) for told in entry_of(answer, "rejected")]
    return [replace(one, index=start + one.index) for one in rejected]
