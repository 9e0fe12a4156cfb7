"""POST /interactions and its kin, on both databases."""

from __future__ import annotations


def test_an_interaction_is_stored_once_however_often_it_is_retried(service):
    body = {"user_id": "r1", "item_id": "b1", "event": "purchase", "event_id": "order-1"}

    first = service.post("/api/v1/interactions", json=body)
    second = service.post("/api/v1/interactions", json=body)

    assert (first.status_code, first.json["duplicate"]) == (201, False)
    assert (second.status_code, second.json["duplicate"]) == (200, True)
    assert second.json["id"] == first.json["id"]
    assert len(service.get("/api/v1/users/r1/interactions").json["interactions"]) == 1


def test_a_users_token_keeps_no_purchase_of_another_user_from_being_stored(app, service):
    token = service.post("/api/v1/tokens", json={"user_id": "r1", "ttl_seconds": 60}).json["token"]
    guessed = {"item_id": "b1", "event": "view", "event_id": "order-1"}
    own = app.test_client().post(
        "/api/v1/interactions", json=guessed, headers={"Authorization": f"Bearer {token}"}
    )

    body = {"user_id": "r2", "item_id": "b1", "event": "purchase", "event_id": "order-1"}
    others = service.post("/api/v1/interactions", json=body)

    assert (own.status_code, others.status_code) == (201, 201)
    assert others.json["id"] != own.json["id"]
