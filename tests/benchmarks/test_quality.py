from __future__ import annotations

import json
import os
import subprocess
import sys
from math import log2
from pathlib import Path

import numpy as np
import pytest

from benchmarks.baselines import BASELINES, KNOWN_SETTINGS, LABELS, rank_by
from benchmarks.quality import Split, judge, measure, read_pairs, stand_ins, write_pairs

ODD_IDS = (
    "u:1",
    "café",
    "cafe\u0301",
    "../x",
    "007",
    "7",
    "x" * 300,
    "zero\u200bwidth",
    "a\x00b",
    "\udcff",
    "stand-in-0",
)
OTHERS = ("popularity", "cosine_known")


def write(folder: Path, train: str, test: str) -> Path:
    for name, text in (("train.txt", train), ("test.txt", test)):
        (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    return folder


def test_reads_users_on_several_lines_items_twice_and_lines_without_any(tmp_path: Path) -> None:
    file = tmp_path / "train.txt"
    file.write_bytes(b"b 2 1 2\r\n\n  \na\t007 7 u:1\nb 1 3\nc\n")
    assert read_pairs(file) == {"b": ["2", "1", "3"], "a": ["007", "7", "u:1"], "c": []}
    file.write_bytes(b"")
    assert read_pairs(file) == {}


def test_reads_back_what_it_writes_whatever_the_ids_are(tmp_path: Path) -> None:
    pairs = {user: list(ODD_IDS) for user in ODD_IDS}
    write_pairs(tmp_path / "pairs.txt", pairs.items())
    assert read_pairs(tmp_path / "pairs.txt") == pairs


def test_ids_that_the_service_refuses_have_stand_ins_of_their_own() -> None:
    given = stand_ins(ODD_IDS)
    assert [name for name in ODD_IDS if given[name] != name] == list(ODD_IDS[6:10])
    assert len(set(given.values())) == len(ODD_IDS)


def test_a_split_knows_items_and_users_that_are_in_the_test_alone(tmp_path: Path) -> None:
    split = Split(write(tmp_path, "a 1 2 2\nb 3\na 4\nd\n", "b 9 1 9\nc 2\nd 3\ne\n"), users=0, seed=0)
    assert split.asked == ["b", "c", "d", "e"]
    assert split.judged == [0, 1, 2]
    assert split.rows.tolist() == [1, -1, -1]
    assert split.matrix.toarray().tolist() == [[1, 1, 1, 0], [0, 0, 0, 1]]
    assert [items.tolist() for items in split.relevant] == [[4, 0], [1], [3]]
    assert split.numbered([["3", "1"], []])[:, :3].tolist() == [[3, 0, -1], [-1, -1, -1]]


def test_recall_and_ndcg_by_hand(tmp_path: Path) -> None:
    items = " ".join(map(str, range(30)))
    many = " ".join(map(str, range(5, 30)))
    split = Split(write(tmp_path, f"a {items}\n", f"b 0 2 gone\nc {many}\nd 29\n"), users=0, seed=0)
    shown = [str(item) for item in range(20)]
    found = judge(split.numbered([shown, shown, []]), split.relevant)
    assert found["recall_at_20"] == pytest.approx([2 / 3, 15 / 25, 0])
    ideal_of_three = 1 + 1 / log2(3) + 1 / log2(4)
    ideal_of_twenty = sum(1 / log2(place + 1) for place in range(1, 21))
    of_many = sum(1 / log2(place + 1) for place in range(6, 21))
    assert found["ndcg_at_20"] == pytest.approx(
        [(1 + 1 / log2(4)) / ideal_of_three, of_many / ideal_of_twenty, 0]
    )


def test_every_baseline_has_a_label() -> None:
    assert LABELS.keys() == BASELINES.keys() | KNOWN_SETTINGS.keys()


def test_somebody_unknown_gets_what_is_popular(tmp_path: Path) -> None:
    split = Split(write(tmp_path, "a 1 2\nb 2 3\nc 2 3\n", "nobody 1\na 3\n"), users=0, seed=0)
    lists, _ = rank_by("popularity", split.matrix, split.rows)
    assert lists[:, :3].tolist() == [[1, 2, 0], [2, -1, -1]]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    users = [*ODD_IDS, *(f"user-{number}" for number in range(60))]
    items = [*ODD_IDS, *(f"item-{number}" for number in range(50))]
    lines: dict[str, list[str]] = {"train": [], "test": ["stranger never-seen item-1", "", "idle"]}
    for place, user in enumerate(users):
        # Half of the users like even items, half odd ones.
        chosen = [items[number] for number in random.choice(np.arange(place % 2, len(items), 2), 12, False)]
        lines["train"].append(" ".join([user, *chosen[:8], chosen[0]]))
        lines["test"].append(" ".join([user, *chosen[8:]]))
    return write(tmp_path, "\n".join(lines["train"]), "\n".join(lines["test"]))


def test_measures_from_files_to_rankings(shop: Path) -> None:
    rankings = shop / "rankings.txt"
    settings = {"model_components": 8, "model_epochs": 3, "model_factors": 16, "train_threads": 1}
    result = measure(
        Split(shop, users=0, seed=0), rankings=rankings, left_out=10, names=OTHERS, settings=settings
    )
    train, test, ranked = (read_pairs(file) for file in (shop / "train.txt", shop / "test.txt", rankings))
    assert list(ranked) == list(test)
    known = {item for items in train.values() for item in items}
    for user, items in ranked.items():
        assert len(items) == 20
        assert set(items) <= known - set(train.get(user, []))
    recalls = [len(set(ranked[user]) & set(items)) / len(items) for user, items in test.items() if items]
    assert result["users"] == len(recalls)
    mean, low, high = result["recsvc"]["recall_at_20"]
    assert mean == pytest.approx(np.mean(recalls))
    assert low < mean < high
    assert result["recsvc"]["strategies"] == {"personal": len(test) - 2, "popular": 2}
    assert tuple(result["others"]) == OTHERS
    assert result["left_out"]["users"] == 10
    assert result["left_out"]["strategies"] == {"folded_in": 10, "personal": 10}
    assert result["left_out"]["ratio"] > 0
    assert result["left_out"]["stayed"] == 10
    assert result["left_out"]["ratio_of_stayed"] > 0
    assert json.loads(json.dumps(result)) == json.loads(json.dumps(result, allow_nan=False))


def test_a_test_without_items_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    write(tmp_path, "a 1\n", "a\n\n")
    command = [sys.executable, "-m", "benchmarks.quality", "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 2
    assert "no user with an item" in done.stderr
