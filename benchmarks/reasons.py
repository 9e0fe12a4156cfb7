"""Whether reasons keep what they promise: shares add up to 1, and what is named counts.

    python -m benchmarks.reasons [--interactions N] [--lists N] [--deleted N] [--half-life DAYS] [--seed N]
        [--json]

A made-up shop (`benchmarks.synthetic`) is trained on with default settings, but for the half-life; a tenth of
its items come after the training, so that lists have cold items too. Lists of ten are asked for with
`explain`. Each interaction that is named for an item is taken out of the user's history, and the item is
scored anew from the rows that are left. For `--deleted` of them it is deleted from the database, and the user
is asked for again.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import astuple
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import training
from benchmarks.measuring import in_new_process, new_instance
from benchmarks.synthetic import Shop, write
from recsvc.config import Config
from recsvc.factory import create_app
from recsvc.services import catalogue, ingestion
from recsvc.services.catalogue import ItemContent
from recsvc.services.recommending import Filters, RecommendedItem, for_user
from recsvc.services.serving import serving
from recsvc.services.tastes import taste_of_user
from recsvc.storage.queries import features, interactions, shop_ids
from recsvc.storage.queries.interactions import UserHistory

_MOST = 200  # items of a list that is asked for again
_TOLERANCE = 0.001


def examine(config: Config, shop: Shop, lists: int, deleted: int, seed: int) -> dict[str, Any]:
    """Asks for lists, and holds their reasons against what happens."""
    told: Counter[str] = Counter()
    chance = np.random.default_rng(seed)
    asked = (1 + chance.choice(shop.users, min(lists, shop.users), replace=False)).tolist()
    # As in a web process: matrices so small only wait for each other's threads.
    with threadpool_limits(1), create_app(config).app_context():
        _add_items(shop, shop.items // 10)
        for number in asked:
            user_id = f"user-{number}"
            answer = for_user(user_id, Filters(k=10, explain=True))
            told["lists"] += 1
            for item in answer.items:
                assert item.reasons is not None
                shares = sum(reason["share"] for reason in item.reasons)
                told["items"] += 1
                told["shares that do not add up to 1"] += abs(shares - 1) > _TOLERANCE
                told.update(f"because {reason['because']}" for reason in item.reasons)
            _score_without(user_id, answer.items, told)
        for number in asked[:deleted]:
            _delete_and_ask(f"user-{number}", told, chance)
    return dict(told)


def _add_items(shop: Shop, items: int) -> None:
    def content(number: int) -> ItemContent:
        labels: dict[str, list[str]] = {}
        for place in shop.features[number].tolist():
            name, value = shop.labels[place]
            labels.setdefault(name, []).append(value)
        return ItemContent(features=labels)

    for start in range(0, items, 1000):
        numbers = range(start, min(items, start + 1000))
        catalogue.put_items((f"late-{number}", content(number)) for number in numbers)


def _score_without(user_id: str, listed: list[RecommendedItem], told: Counter[str]) -> None:
    view = serving().view()
    assert view.served is not None
    model = view.served.model
    user_key, done = interactions.history(user_id, with_times=True)
    keys = features.keys_of_owner("user", user_key) if user_key else []
    named = {r["item_id"] for item in listed for r in item.reasons or [] if "item_id" in r}
    key_of = shop_ids.keys_of("item", {*named, *(item.item_id for item in listed)})
    indexes = view.indexes_of(np.array([key_of[item.item_id] for item in listed]))

    def scores_without(item_key: int | None) -> Any:
        left = [one for one in zip(*astuple(done), strict=True) if one[1] != item_key]
        taste = taste_of_user(view, UserHistory(*zip(*left, strict=True)), keys)
        return None if taste is None else model.scores(model.prepare(taste.history, view.newcomers), indexes)

    whole = scores_without(None)
    for item_id in named:
        without = scores_without(key_of[item_id])
        for place, item in enumerate(listed):
            if any(r.get("item_id") == item_id for r in item.reasons or []):
                told["named"] += 1
                if without is None:
                    told["named, and nothing else is known"] += 1
                else:
                    told["named without effect"] += not without[place] < whole[place]


def _delete_and_ask(user_id: str, told: Counter[str], chance: np.random.Generator) -> None:
    listed = for_user(user_id, Filters(k=10, explain=True)).items
    named = [(item, r["item_id"]) for item in listed for r in item.reasons or [] if "item_id" in r]
    if not named:
        return
    item, item_id = named[chance.integers(len(named))]
    key = shop_ids.keys_of("item", [item_id])[item_id]
    before = for_user(user_id, Filters(k=_MOST, include_seen=True))
    done = interactions.history(user_id)[1]
    for interaction_key, item_key in zip(done.interaction_keys, done.item_keys, strict=True):
        if item_key == key:
            ingestion.delete(interaction_key)
    after = for_user(user_id, Filters(k=_MOST, include_seen=True))
    then = {one.item_id: one.score for one in after.items}
    told["deleted"] += 1
    if after.strategy != before.strategy:
        told["deleted, and nothing else is known"] += 1
    elif then.get(item.item_id, -np.inf) >= item.score:
        told["deleted without effect"] += 1


def main() -> None:
    """Reads the arguments, examines, and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--interactions", type=int, default=600_000, help="of the shop")
    parser.add_argument("--lists", type=int, default=10_000)
    parser.add_argument("--deleted", type=int, default=500)
    parser.add_argument("--half-life", type=float, default=0.0, help="in days; 0 for none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    shop = Shop(arguments.interactions, arguments.seed)
    with new_instance(half_life_days=arguments.half_life) as config:
        in_new_process(write, shop, config)
        in_new_process(training.train, config)
        told = in_new_process(examine, config, shop, arguments.lists, arguments.deleted, arguments.seed)
    if arguments.json:
        print(json.dumps(told, indent=2))
    else:
        print("\n".join(f"{count:9,} {what}" for what, count in sorted(told.items())))


if __name__ == "__main__":
    main()
