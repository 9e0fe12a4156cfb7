"""`recsvc status`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import click

from recsvc.api.schemas import StatusSchema
from recsvc.cli.parts import Command, as_json, moment, print_json, with_application
from recsvc.sentences import in_words
from recsvc.services import status as service
from recsvc.services.diagnosis import Finding
from recsvc.services.status import Data, Served, Status
from recsvc.services.stock import ENOUGH_OF_ITEM, ENOUGH_OF_USER
from recsvc.storage.models import TrainingRun, now

_EXIT_CODES = (
    "Exit codes: 0 done; 1 not done, and standard error says why, or with --check there is a problem; 2 wrong"
    " usage."
)


@click.command(cls=Command, epilog=_EXIT_CODES)
@click.option("--check", is_flag=True, help="End with exit code 1 where there is a problem.")
@as_json
@with_application
def status(check: bool, as_json: bool) -> None:
    """Tell what is wrong and what to do, what there is to learn from, and what is served to whom.

    The same as GET /api/v1/status, but for what a web process alone knows: whether it refuses the active
    version (see recsvc models verify). It looks at the database, Redis and the model store, and needs no
    other process to run.

    \b
    recsvc status
    recsvc status --json | jq '.problems[].what'
    recsvc status --check > /dev/null || echo "recsvc needs somebody"
    """  # noqa: D301 — \b has to be the character that click takes for "as it stands"
    found = service.status()
    if as_json:
        print_json(StatusSchema().dump(found))
    else:
        for line in _lines(found):
            click.echo(line)
    if check and found.problems:
        click.get_current_context().exit(1)


def _lines(found: Status) -> Iterator[str]:
    yield _sentence(found)
    if found.problems:
        yield from _section("Problems")
        for problem in found.problems:
            yield from _finding(problem, click.style("✗", fg="red"))
    if found.improvements:
        yield from _section("What would help most")
        for improvement in found.improvements:
            yield from _finding(improvement, click.style("•", fg="yellow"))
    yield from _section("Data")
    yield from _of_data(found.data)
    yield from _section("Served")
    yield from _of_serving(found.serving)
    yield from _section("Training")
    yield from _of_training(found)
    if found.attribution:
        yield from _section(f"What lists brought, last {found.attribution_days} days")
        yield from _of_attribution(found)


def _sentence(found: Status) -> str:
    count = len(found.problems)
    state = {0: "All is well.", 1: "One problem."}.get(count, f"{count} problems.")
    version = found.serving.model_version
    serving = f"Version {version} is served" if version else "What is popular is served"
    return (
        f"{click.style(state, fg='red' if count else 'green', bold=True)} {serving}; the next training is in"
        f" {in_words(found.next_training_at - now())}."
    )


def _section(name: str) -> Iterator[str]:
    yield ""
    yield click.style(name, bold=True)


def _finding(finding: Finding, mark: str) -> Iterator[str]:
    yield f"  {mark} {finding.what}"
    yield f"    {finding.advice}"


def _of_data(data: Data) -> Iterator[str]:
    totals = data.totals
    yield f"  {data.advice}"
    yield f"  interactions {totals.interactions:>12,}  newest {_ago(totals.newest_interaction_at)}"
    if data.counted_at is None:
        yield f"  users        {totals.users:>12,}"
        yield f"  items        {totals.items:>12,}  {totals.recommendable_items:,} recommendable"
        yield "  The rest of so large a shop is counted by a worker every few minutes; none has yet."
        return
    enough = f"{data.users_with_enough:,} with {ENOUGH_OF_USER} interactions or more"
    yield f"  users        {totals.users:>12,}  {enough}"
    enough = f"{data.items_with_enough:,} with {ENOUGH_OF_ITEM} or more, {data.items_untouched:,} with none"
    missing = (
        f"{data.items_without_feature:,} without a feature; {totals.recommendable_items:,} recommendable"
    )
    yield f"  items        {totals.items:>12,}  {enough}; {missing}"


def _of_serving(served: Served) -> Iterator[str]:
    since = f", since {moment(served.since)}" if served.since else ""
    yield f"  {served.model_version or 'no model'}{since}"
    yield f"  {served.why}"
    if served.users is None:
        return
    lists = {
        "personal": served.users.personal,
        "folded in from what they did since the training": served.users.folded_in,
        "by their features": served.users.features,
        "popular": served.users.popular,
    }
    if any(lists.values()):
        told = ", ".join(f"{users:,} {kind}" for kind, users in lists.items() if users)
        yield f"  Lists of the known users: {told}."


def _of_training(found: Status) -> Iterator[str]:
    yield f"  next         {moment(found.next_training_at)}, by the schedule"
    yield f"  last         {_run(found.last_run) if found.last_run else 'none yet'}"
    if found.processes is not None:
        queue = found.processes
        jobs = sum(waiting.jobs for waiting in queue.waiting.values())
        seen = _ago(queue.scheduler_seen_at)
        yield f"  processes    workers: {queue.workers}; scheduler seen {seen}; jobs that wait: {jobs}"


def _run(run: TrainingRun) -> str:
    took = sum(run.seconds.values())
    how = f" in {took:.0f} s" if run.finished_at and took else f", at {run.stage}" if run.stage else ""
    return f"{run.status} {_ago(run.finished_at or run.queued_at)}{how} ({run.trigger}), run {run.run_id}"


def _of_attribution(found: Status) -> Iterator[str]:
    yield f"  {'version':26}{'strategy':11}{'lists':>10}{'views':>9}{'carts':>9}{'purchases':>11}"
    for one in found.attribution:
        events = one.events
        yield (
            f"  {one.model_version or 'no model':26}{one.strategy:11}{one.recommendations:>10,}"
            f"{events['view']:>9,}{events['cart']:>9,}{events['purchase']:>11,}"
        )


def _ago(at: datetime | None) -> str:
    return "never" if at is None else f"{in_words(now() - at)} ago"
