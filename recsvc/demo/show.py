"""Tells on the terminal what readers read and what they are recommended."""

from __future__ import annotations

import json
import signal
from typing import Any

import click
import httpx

from recsvc.demo.system import NotRunningError

_READERS = ("reader-0001", "reader-0002", "reader-0003")


def tell_of_readers(client: httpx.Client, version: str) -> None:
    """Prints what three readers read and what they are recommended.

    Raises:
        NotRunningError: A list is empty, or comes from another version.
    """
    for reader in _READERS:
        history = client.get(f"/api/v1/users/{reader}/interactions", params={"limit": 200}).json()
        answer = _recommendations(client, reader)
        if answer["model_version"] != version or not answer["items"]:
            raise NotRunningError(f"{reader} got no list from {version}: {json.dumps(answer)}")
        read = list(dict.fromkeys(row["item_id"] for row in history["interactions"]))
        click.secho(f"\n{reader} did something with {len(read)} books, the latest of them:", bold=True)
        for item_id in read[:5]:
            click.echo(f"    {_describe(client, item_id)}")
        click.echo(f"  and is recommended ({answer['strategy']}):")
        for item in answer["items"]:
            click.secho(f"    {item['rank']}. {_describe(client, item['item_id'])}", fg="green")


def wait_for_interrupt() -> None:
    """Returns when Ctrl-C is pressed, or the process is asked to end."""
    # SIGINT too: a shell that starts this in the background has it ignored.
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.default_int_handler)
    try:
        signal.pause()
    except KeyboardInterrupt:
        click.echo("\nStopping.")


def _recommendations(client: httpx.Client, reader: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/api/v1/recommendations", params={"user_id": reader, "k": 5}).json()
    return answer


def _describe(client: httpx.Client, item_id: str) -> str:
    item = client.get(f"/api/v1/items/{item_id}").json()
    return f"{item['title']} — {', '.join(item['features']['author'])} ({', '.join(item['categories'])})"
