"""What every web process knows of a change, and writes down of what it showed."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("has_model", [False, True], ids=["no model", "a model"])
def test_a_change_of_the_catalogue_is_respected_by_every_web_process_within_five_seconds(
    system, eventually, has_model
):
    system.start_web(workers=3)
    system.fill()
    if has_model:
        system.start_worker()
        system.train()

    def lists() -> list[set[str]]:
        # A connection a request: so many reach all three processes.
        answers = [system.call("GET", "/recommendations?user_id=stranger&k=200") for _ in range(30)]
        return [{item["item_id"] for item in answer.json()["items"]} for answer in answers]

    eventually(lambda: all("book-4" in one for one in lists()), "all processes to know the catalogue")
    for name, change in (("book-4", {"hidden": True}), ("book-5", {"available": False}), ("book-6", None)):
        if change is None:
            assert system.call("DELETE", f"/items/{name}").status_code == 204
        else:
            assert system.call("PATCH", f"/items/{name}", change).status_code == 200
        began = time.monotonic()
        eventually(lambda gone=name: not any(gone in one for one in lists()), f"{name} to be gone", within=5)
        assert time.monotonic() - began < 5
    system.call("PATCH", "/items/book-4", {"hidden": False})
    eventually(lambda: all("book-4" in one for one in lists()), "book-4 to be back", within=5)
    assert len(system.runs()) == int(has_model)


def test_what_all_web_processes_showed_is_told_by_the_status_and_nothing_is_lost_at_their_end(
    system, eventually
):
    web = system.start_web(workers=2)
    system.fill()
    # So many that both are asked, though a busy one takes fewer.
    eventually(lambda: all(system.recommend()["items"] for _ in range(60)), "both to know the catalogue")
    for number in range(20):
        answer = system.recommend(f"visitor-{number}")
        body = {
            "user_id": answer["user_id"],
            "item_id": answer["items"][0]["item_id"],
            "event": "cart",
            "recommendation_id": answer["recommendation_id"],
        }
        assert system.call("POST", "/interactions", body).status_code == 201
    web.terminate()

    system.start_web()
    (told,) = system.call("GET", "/status").json()["attribution"]

    # The one more is reader-1, who was shown lists until there was something on them.
    assert (told["users"], told["events"]["cart"]) == (21, 20)
    assert told["recommendations"] >= 30
