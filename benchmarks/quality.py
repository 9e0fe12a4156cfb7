"""How good lists are on a split that was made beforehand, beside others on the same users.

    python -m benchmarks.quality --data DIR [--rankings FILE] [--users N] [--left-out N] [--seed N] [--json]

DIR holds `train.txt` and `test.txt`, a line a user: `user item item …`, ids of any characters but whitespace.
`train.txt` is imported into a new instance and trained on in a new process, with default settings. All users
of `test.txt` are then asked for as a request asks, by `recommending.for_user`, in several new processes; who
is in `test.txt` alone is asked for as somebody unknown, and gets what is popular from the others too. Nothing
is chosen by `test.txt`. An item that is in it alone is relevant, and cannot be hit.

Recall@20 is hits by the number of a user's distinct test items. NDCG@20 has gains of 0 and 1; an ideal list
has all relevant items, or 20 of them. Intervals are of 95 %, by the bootstrap over users. Peak memory is the
resident set of one process, reset before each stage on Linux.

With --left-out, a second training lacks so many of the users; their training items are stored after it. The
ratio is their Recall@20 by that of the same users when they were trained on. As many users who stayed tell
what of that is due to there being less to learn from, and to parameters and weights that were chosen anew.
Those left out are imported last for the first training too: so all others have the same keys in both.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
from flask_migrate import upgrade
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks import training
from benchmarks.baselines import LABELS, rank_by
from benchmarks.measuring import BETWEEN, Stages, in_new_process, in_new_processes, new_instance
from recsvc.config import Config
from recsvc.factory import create_app
from recsvc.recommender.metrics import bootstrap_interval, difference_interval, evaluate_lists
from recsvc.services import importing
from recsvc.services.limits import is_id
from recsvc.services.recommending import Filters, for_user

K = 20
METRICS = {"recall_at_20": "Recall@20", "ndcg_at_20": "NDCG@20"}
_USERS_A_PROCESS = 500  # fewer are ranked before another process has started

Pairs = Mapping[str, Sequence[str]]


def read_pairs(file: Path) -> dict[str, list[str]]:
    """Users to their distinct items, both in the order in which they come first.

    Bytes that are not UTF-8 become surrogates, which `write_pairs` turns back.
    """
    pairs: dict[str, dict[str, None]] = {}
    # Not splitlines(): it breaks lines at characters that other programs take for a part of one.
    for line in file.read_bytes().decode("utf-8", "surrogateescape").split("\n"):
        user, *items = line.split() or [""]
        if user:
            pairs.setdefault(user, {}).update(dict.fromkeys(items))
    return {user: list(items) for user, items in pairs.items()}


def write_pairs(file: Path, pairs: Iterable[tuple[str, Iterable[str]]]) -> None:
    """Writes a line a user: `user item item …`."""
    with file.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        lines.writelines(" ".join([user, *items]) + "\n" for user, items in pairs)


def stand_ins(ids: Iterable[str]) -> dict[str, str]:
    """Ids to those that the service is given: their own where it takes them, else ones that nobody has."""
    known = dict.fromkeys(ids)
    free = (name for name in map("stand-in-{}".format, count()) if name not in known)
    return {name: name if is_id(name) else next(free) for name in known}


def recommend(
    train: Pairs, users: Sequence[str], later: Pairs, settings: Mapping[str, Any]
) -> tuple[list[list[str]], dict[str, Any]]:
    """Imports, trains and ranks as the service does.

    Args:
        train: What to train on.
        users: Whom to ask for.
        later: What is stored after the training.
        settings: Other than the defaults.

    Returns:
        Ids of the 20 best items of each user, and what was measured.
    """
    given = stand_ins(chain(train, later, users, *train.values(), *later.values()))
    own = {name: name_of_own for name_of_own, name in given.items()}
    with new_instance(**settings) as config:
        imported = in_new_process(_import, config, train, given)
        trained = in_new_process(training.train, config)
        if later:
            in_new_process(_import, config, later, given)
        processes = min(os.cpu_count() or 1, 1 + len(users) // _USERS_A_PROCESS)
        length = -(-len(users) // processes)
        parts = [users[start : start + length] for start in range(0, len(users), length)]
        ranked = in_new_processes(_rank, [(config, [given[user] for user in part]) for part in parts])
    lists = [[own[item] for item in items] for part, _, _ in ranked for items in part]
    told: dict[str, dict[str, float]] = {"seconds": {}, "peak_mb": {}}
    for what, of_stage in told.items():
        of_stage["import"] = getattr(imported, what)["import"]
        of_stage |= {f"train: {name}": value for name, value in trained[what].items() if name != BETWEEN}
        of_stage["rank"] = max(getattr(stages, what)["rank"] for _, _, stages in ranked)
    strategies = dict(sum((counts for _, counts, _ in ranked), Counter[str]()))
    about = {name: trained[name] for name in ("parameters", "metrics", "data")}
    return lists, {**told, **about, "strategies": strategies, "rank_processes": processes}


class Split:
    """What is trained on, and which test users are asked for: so many, or all where that is 0.

    Attributes:
        train: Users to the items to train on.
        asked: Users of `test.txt`.
        judged: Places in `asked` of those that have items there.
        relevant: Numbers of these items, of each user judged.
        matrix: CSR float32, shape (users of `train`, its items): what to train on.
        rows: Rows in the matrix of the users judged; -1 for those that have none.
    """

    def __init__(self, data: Path, users: int, seed: int) -> None:
        self.train = {user: items for user, items in read_pairs(data / "train.txt").items() if items}
        test = read_pairs(data / "test.txt")
        self.asked: list[str] = _some(list(test), users, seed)
        self.judged = [place for place, user in enumerate(self.asked) if test[user]]
        trained = dict.fromkeys(chain(*self.train.values()))
        of_both = dict.fromkeys(chain(trained, *test.values()))
        self._numbers = {item: number for number, item in enumerate(of_both)}
        self.relevant = [self._numbers_of(test[self.asked[place]]) for place in self.judged]
        columns = self._numbers_of(chain(*self.train.values())).astype(np.int32)
        bounds = np.cumsum([0, *map(len, self.train.values())]).astype(np.int32)
        shape = len(self.train), len(trained)
        self.matrix = sparse.csr_array((np.ones(len(columns), np.float32), columns, bounds), shape=shape)
        self.matrix.sort_indices()
        row_of = {user: row for row, user in enumerate(self.train)}
        self.rows = np.array([row_of.get(self.asked[place], -1) for place in self.judged], np.intp)

    def numbered(self, lists: Iterable[Sequence[str]]) -> NDArray[np.intp]:
        """Lists as numbers, shape (lists, 20); -1 where one is shorter."""
        padding = np.full(K, -1)
        return np.array([[*self._numbers_of(items), *padding[len(items) :]] for items in lists], np.intp)

    def _numbers_of(self, items: Iterable[str]) -> NDArray[np.intp]:
        return np.fromiter(map(self._numbers.__getitem__, items), np.intp)


def judge(lists: NDArray[np.intp], relevant: Sequence[NDArray[np.intp]]) -> dict[str, NDArray[np.float64]]:
    """Recall@20 and NDCG@20 of each user, by numbered lists and numbers of relevant items."""
    found = evaluate_lists(lists, relevant, [K])
    return {metric: found[metric] for metric in METRICS}


def measure(
    split: Split,
    *,
    rankings: Path | None = None,
    left_out: int = 0,
    seed: int = 0,
    names: Iterable[str] = tuple(LABELS),
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Measures ours and the others.

    Args:
        split: Somebody in it is judged.
        rankings: Where our lists go.
        left_out: How many to leave out of a second training; 0 for no such training.
        seed: Of the users left out, and of the bootstrap.
        names: Of the others, popularity among them.
        settings: Other than the defaults.
    """
    gone = _some(np.flatnonzero(split.rows >= 0).tolist(), left_out, seed) if left_out else []
    rest, later = _part(split, gone)
    lists, ours = recommend({**rest, **later}, split.asked, {}, settings or {})
    if rankings:
        write_pairs(rankings, zip(split.asked, lists, strict=True))
    values = judge(split.numbered(lists)[split.judged], split.relevant)
    others, best = {}, dict.fromkeys(METRICS, "popularity")
    for name in names:
        ranked, told = in_new_process(rank_by, name, split.matrix, split.rows)
        theirs = judge(ranked, split.relevant)
        minus = {metric: difference_interval(values[metric], theirs[metric], seed) for metric in METRICS}
        others[name] = {"label": LABELS[name], **_means(theirs, seed), "recsvc_minus_this": minus, **told}
        best |= {m: name for m in METRICS if others[name][m][0] > others[best[m]][m][0]}
    result = {"users": len(split.judged), "recsvc": ours | _means(values, seed)}
    result |= {"others": others, "best_other": best}
    if left_out:
        result["left_out"] = _leave_out(split, values["recall_at_20"], gone, seed, settings or {})
    return result


def _part(split: Split, gone: Iterable[int]) -> tuple[Pairs, Pairs]:
    """What is trained on without some of the users judged, and what these have."""
    later = {user: split.train[user] for user in (split.asked[split.judged[place]] for place in gone)}
    return {user: items for user, items in split.train.items() if user not in later}, later


def _leave_out(
    split: Split,
    when_trained: NDArray[np.float64],
    left_out: list[int],
    seed: int,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    trained = np.flatnonzero(split.rows >= 0).tolist()
    stayed = _some(sorted({*trained} - {*left_out}), len(left_out), seed)
    chosen = [*left_out, *stayed]
    asked = [split.asked[split.judged[place]] for place in chosen]
    rest, later = _part(split, left_out)
    lists, told = recommend(rest, asked, later, settings)
    recall = judge(split.numbered(lists), [split.relevant[place] for place in chosen])["recall_at_20"]
    now, of_stayed = recall[: len(left_out)], recall[len(left_out) :]
    return told | {
        "users": len(left_out),
        "recall_when_left_out": float(now.mean()),
        "recall_when_trained": float(when_trained[left_out].mean()),
        "ratio": _ratio(now, when_trained[left_out]),
        "difference": difference_interval(now, when_trained[left_out], seed),
        "stayed": len(stayed),
        "ratio_of_stayed": _ratio(of_stayed, when_trained[stayed]),
    }


def _ratio(recall: NDArray[np.float64], before: NDArray[np.float64]) -> float | None:
    return round(float(recall.mean() / before.mean()), 4) if before.any() else None


def _import(config: Config, pairs: Pairs, names: Mapping[str, str]) -> Stages:
    stages = Stages()
    file = config.instance_dir / "pairs.txt"
    with create_app(config).app_context():
        write_pairs(file, ((names[user], map(names.__getitem__, items)) for user, items in pairs.items()))
        upgrade()
        with stages.stage("import"):
            outcome = importing.import_path(importing.Request("pairs", str(file), "interactions", {}, "view"))
    if outcome.rejected:
        raise RuntimeError(f"The import rejected rows: {outcome.reasons}")
    return stages


def _rank(config: Config, users: Sequence[str]) -> tuple[list[list[str]], Counter[str], Stages]:
    app, filters, stages = create_app(config), Filters(k=K), Stages()
    lists, strategies = [], Counter[str]()
    with stages.stage("rank"), threadpool_limits(limits=1, user_api="blas"):
        for user in users:
            with app.app_context():
                answer = for_user(user, filters)
            strategies[answer.strategy] += 1
            lists.append([item.item_id for item in answer.items])
    return lists, strategies, stages


def _some(given: list[Any], wanted: int, seed: int) -> list[Any]:
    if not 0 < wanted < len(given):
        return given
    chosen = np.sort(np.random.default_rng(seed).choice(len(given), wanted, replace=False))
    return [given[place] for place in chosen.tolist()]


def _means(values: Mapping[str, NDArray[np.float64]], seed: int) -> dict[str, list[float]]:
    return {metric: [float(of.mean()), *bootstrap_interval(of, seed)] for metric, of in values.items()}


def _show(result: dict[str, Any]) -> None:
    ours, others = result["recsvc"], result["others"]
    print("{users:,} users, {items:,} items, {pairs:,} pairs".format(**ours["data"]))
    judged = f"{result['users']:,} users judged"
    print(f"{judged:46}{'Recall@20':27}{'NDCG@20':27}{'seconds':>8}{'peak MB':>9}")
    for label, side in [("recsvc, default settings", ours), *((o["label"], o) for o in others.values())]:
        figures = "".join("{:.4f} ({:.4f}–{:.4f})".format(*side[metric]).ljust(27) for metric in METRICS)
        seconds, peak = sum(side["seconds"].values()), max(side["peak_mb"].values())
        print(f"{label:46}{figures}{seconds:8.1f}{peak:9.0f}")
    for metric, title in METRICS.items():
        best = others[result["best_other"][metric]]
        low, high = best["recsvc_minus_this"][metric]
        gain = ours[metric][0] - best[metric][0]
        print(f"{title}, recsvc minus {best['label']}, the best: {gain:+.4f} ({low:+.4f} to {high:+.4f})")
    print(f"\nrecsvc, {ours['rank_processes']} processes to rank; strategies: {ours['strategies']}")
    for stage, seconds in ours["seconds"].items():
        print(f"{stage:20}{seconds:8.1f} s{ours['peak_mb'][stage]:8.0f} MB")
    if told := result.get("left_out"):
        print(f"\n{told['users']:,} users left out of a second training, their items stored after it:")
        print(
            "Recall@20 {recall_when_left_out:.4f}, when trained on {recall_when_trained:.4f}".format(**told)
        )
        print("ratio {}, difference {:+.4f} to {:+.4f}".format(told["ratio"], *told["difference"]))
        print(
            "{stayed:,} users who stayed, by the same two trainings: ratio {ratio_of_stayed}".format(**told)
        )


def main() -> None:
    """Reads the arguments, measures, and prints."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--data", type=Path, required=True, help="folder of train.txt and test.txt")
    parser.add_argument("--rankings", type=Path, help="file for the 20 best items of each test user")
    parser.add_argument("--users", type=int, default=0, help="ask for so many test users only")
    parser.add_argument("--left-out", type=int, default=0, help="users left out of a second training")
    parser.add_argument("--seed", type=int, default=0, help="of the users chosen, and of the bootstrap")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    try:
        split = Split(arguments.data, arguments.users, arguments.seed)
    except OSError as error:
        parser.error(f"{error.filename} cannot be read: {error.strerror}")
    if not split.judged or not split.train:
        parser.error("train.txt or test.txt has no user with an item")
    result = measure(split, rankings=arguments.rankings, left_out=arguments.left_out, seed=arguments.seed)
    print(json.dumps(result, indent=2)) if arguments.json else _show(result)


if __name__ == "__main__":
    main()
