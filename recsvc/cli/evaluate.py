"""`recsvc evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from recsvc.cli.parts import Command, as_json, print_json, with_application
from recsvc.recommender.trial import Figure, Row
from recsvc.services import evaluating
from recsvc.services.evaluating import Evaluation

_WIDTH = 150  # room for every column: where a terminal has less, it breaks lines, and no figure is cut
_WITH_INTERVAL = {"recall_at_20": "Recall@20", "ndcg_at_10": "NDCG@10"}
_ALONE = {"ndcg_at_20": "NDCG@20", "map_at_20": "MAP@20", "mrr_at_20": "MRR@20", "hit_rate_at_20": "Hit@20"}
_STAGES = {
    "read": "Reading",
    "choose": "Choosing parameters",
    "fit": "Fitting",
    "rank": "Ranking",
}


@click.command(cls=Command)
@click.option(
    "--split",
    type=click.Choice(evaluating.SPLITS),
    default="latest",
    show_default=True,
    help="What is held out.",
)
@click.option(
    "--users",
    type=click.IntRange(min=evaluating.FEWEST_USERS),
    default=2_000,
    show_default=True,
    help="Of how many users at the most.",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Of everything random; TRAIN_SEED else.")
@as_json
@with_application
def evaluate(split: str, users: int, seed: int | None, as_json: bool) -> None:
    """Tell how good recommendations are on interactions that the model is not shown.

    Learns, here and now, from what is left, as a training would: parameters and blend are chosen on a
    validation split of that. Publishes nothing and changes nothing.

    \b
    latest  the last fifth of what each user likes
    last    the one item that each user came to like last
    time    the youngest fifth of all likes: what came to be liked after one moment is not learned from
    users   users whom the training has never seen: their first likes are shown, the last fifth asked for
    items   a tenth of the items made cold, and ranked among themselves: only features tell of them

    With time, something of the future is known all the same: how strong older likes are, and how old, is
    told by all that was done with the same item, later too.

    Intervals are of 95 %, from a bootstrap over users. How fits differ from run to run is not in them: with
    TRAIN_THREADS above 1 LightFM's do, whatever the seed. The exit code is 1 where there is too little data.

    \b
    recsvc evaluate --split time --users 500
    """  # noqa: D301 — \b has to be the character that click takes for "as it stands"
    with _bar() as on_progress:
        found = evaluating.evaluate(split, users=users, seed=seed, on_progress=on_progress)
    if as_json:
        print_json(found.as_json())
        return
    console = Console(highlight=False)
    console.width = max(console.width, _WIDTH)
    console.print(Text(_title(found)))
    console.print(_table(found))
    for line in _notes(found):
        console.print(Text(line))


@contextmanager
def _bar() -> Iterator[Callable[[str, float], None]]:
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda stage, done: bar.update(task, description=_STAGES[stage], completed=done)


def _title(found: Evaluation) -> str:
    trial = found.trial
    return (
        f"{found.split}: {trial.relevant:,} likes of {trial.users:,} users held out,"
        f" learned from {trial.pairs:,} likes; {found.seconds:.0f} s"
    )


def _table(found: Evaluation) -> Table:
    trial, table = found.trial, Table()
    table.add_column("model", no_wrap=True)
    for heading in (*_WITH_INTERVAL.values(), *_ALONE.values(), "coverage", "novelty", "pop. bias"):
        table.add_column(heading, justify="right", no_wrap=True)
    for place, row in enumerate(trial.rows):
        is_last_of_kind = row.kind != trial.rows[min(place + 1, len(trial.rows) - 1)].kind
        table.add_row(*_cells(row), end_section=is_last_of_kind)
    return table


def _cells(row: Row) -> list[str]:
    return [
        row.name,
        *(_with_interval(row.figures[name]) for name in _WITH_INTERVAL),
        *(f"{row.figures[name].mean:.3f}" for name in _ALONE),
        f"{row.coverage:.1%}",
        "–" if row.novelty is None else f"{row.novelty:.2f}",
        "–" if row.popularity_bias is None else f"{row.popularity_bias:.2f}",
    ]


def _with_interval(figure: Figure) -> str:
    return f"{figure.mean:.3f} ({figure.low:.3f}–{figure.high:.3f})"


def _notes(found: Evaluation) -> Iterator[str]:
    trial, difference = found.trial, found.trial.difference
    is_told = not difference.low <= 0 <= difference.high
    yield (
        f"NDCG@10, blend − {trial.best_single} (the best other here), user by user: {difference.mean:+.4f},"
        f" 95 % interval {difference.low:+.4f} to {difference.high:+.4f}"
        f"{'' if is_told else ': not told from chance'}."
    )
    if trial.validation_users:
        yield f"Parameters and blend were chosen on {trial.validation_users:,} users of what was left."
    else:
        yield "Too little was left to choose parameters and blend on: all voices count alike."
    if trial.cold is not None:
        cold = trial.cold
        yield (
            f"{cold.items:,} items were made cold and ranked among themselves; the model knows features of"
            f" {cold.with_features:,} of them."
        )
        yield f"In the blend's lists of all items, {cold.share_of_lists:.1%} are cold ones."
        if cold.silent:
            yield f"Nothing is said of cold items by {', '.join(cold.silent)}."
    if found.tuned:
        yield "What tuning found is in force. Tuning saw what is held out here: the figures flatter a little."
