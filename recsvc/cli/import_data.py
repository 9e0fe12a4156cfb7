"""`recsvc import`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from recsvc.cli.parts import Command, as_json, print_json, with_application
from recsvc.errors import RecsvcError
from recsvc.services import importing
from recsvc.services.importing import FORMATS, KINDS, BadRow, Outcome, Request

_ROW_SHOWN = 80
_EXIT_CODES = (
    "Exit codes: 0 the import ran through, whatever rows it rejected; 2 the file as a whole cannot be read,"
    " or wrong usage."
)


class _UnreadableError(click.ClickException):
    exit_code = 2


def _mapping(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    mapping = {}
    for text in given:
        name, separator, column = text.partition("=")
        if not (name and separator and column):
            raise click.BadParameter(f"{text!r} is not FIELD=COLUMN, such as user_id=customer.")
        mapping[name] = column
    return mapping


@click.command("import", cls=Command, epilog=_EXIT_CODES)
@click.argument("format_", metavar="FORMAT", type=click.Choice(list(FORMATS)))
@click.argument("path")
@click.option(
    "--kind", type=click.Choice(KINDS), default="interactions", help="What the rows are (csv, jsonl)."
)
@click.option(
    "--map",
    "mapping",
    multiple=True,
    metavar="FIELD=COLUMN",
    callback=_mapping,
    help="The column, or the key, that holds a field, where it has another name (csv, jsonl). Repeatable.",
)
@click.option(
    "--event",
    default="view",
    show_default=True,
    help="The event of interactions that name none (csv, jsonl, pairs).",
)
@click.option(
    "--errors",
    type=click.Path(dir_okay=False, writable=True),
    help="Write every rejected row to this CSV file.",
)
@as_json
@with_application
def import_data(
    *,
    format_: str,
    path: str,
    kind: str,
    mapping: dict[str, str],
    event: str,
    errors: str | None,
    as_json: bool,
) -> None:
    """Bring interactions, items and users in from files.

    FORMAT is one of the five below. PATH is a file, which may end in .gz; the folder, for movielens and
    goodbooks; or - for standard input, for csv, jsonl and pairs.

    A bad row is counted, reported and passed over. Run twice, nothing is stored twice: an interaction without
    an event_id is known again by its user, item, event, value and time; an item or a user is replaced by what
    the file says.

    Times are RFC 3339 (UTC where there is no zone) or seconds since 1970. Interactions without a time occur
    now. Files are UTF-8.

    \b
    csv        a header line, then a row a line
        user_id,item_id,event,occurred_at
        reader-7,book-42,purchase,2026-11-23T08:30:00Z
      recsvc import csv orders.csv --event purchase \\
          --map user_id=customer --map item_id=sku --map occurred_at=time
      Items and users have feature columns, labels with | between:
        item_id,title,categories,feature.author
        book-42,Dom Casmurro,Fiction|Classics,Machado de Assis
      recsvc import csv books.csv --kind items --map feature.author=writer

    \b
    jsonl      a JSON object a line, in the form of the API's bodies
        {"user_id": "reader-7", "item_id": "book-42", "event": "view"}
      recsvc import jsonl events.jsonl.gz
      recsvc import jsonl users.jsonl --kind users

    \b
    movielens  a folder with movies.csv and ratings.csv, as ml-latest has them
      recsvc import movielens ml-latest-small

    \b
    goodbooks  books.csv of goodbooks-10k, and ratings.csv where it is there
      recsvc import goodbooks goodbooks-10k

    \b
    pairs      a user a line, followed by items
        reader-7 book-42 book-43
      recsvc import pairs train.txt --event view
    """  # noqa: D301 — \b has to be the character that click takes for "as it stands"
    _refuse_unused_options(format_)
    _refuse_to_overwrite(path, errors)
    request = Request(format_, path, kind, mapping, event)
    try:
        with _error_file(errors) as write_error, _bar() as progress:
            outcome = importing.import_path(request, on_bad_row=write_error, progress=progress)
    except RecsvcError as error:
        raise _UnreadableError(error.detail) from error
    if as_json:
        print_json(_summary(outcome))
    else:
        click.echo(_in_words(outcome))


def _refuse_unused_options(format_: str) -> None:
    used = {
        "csv": {"kind", "mapping", "event"},
        "jsonl": {"kind", "mapping", "event"},
        "pairs": {"event"},
    }.get(format_, set())
    context = click.get_current_context()
    for name, option in (("kind", "--kind"), ("mapping", "--map"), ("event", "--event")):
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and name not in used:
            raise click.UsageError(f"{option} means nothing for {format_}.")


def _refuse_to_overwrite(path: str, errors: str | None) -> None:
    if errors and Path(errors).exists() and Path(path).exists() and Path(errors).samefile(path):
        raise click.UsageError("--errors would overwrite the file that is to be read.")


@contextmanager
def _error_file(path: str | None) -> Iterator[Any]:
    if path is None:
        yield None
        return
    # Bytes that are not UTF-8 are written as escapes, so that the file is UTF-8 all the same.
    with click.open_file(path, "w", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "line", "reason", "row"])

        def write(row: BadRow) -> None:
            writer.writerow([row.file, row.line, row.reason, row.row])

        yield write


@contextmanager
def _bar() -> Iterator[Any]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Importing", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def _summary(outcome: Outcome) -> dict[str, Any]:
    return {
        "read": outcome.read,
        "stored": outcome.stored,
        "replaced": outcome.replaced,
        "duplicates": outcome.duplicates,
        "rejected": outcome.rejected,
        "reasons": dict(outcome.reasons.most_common()),
        "first_rejected": [
            {"file": row.file, "line": row.line, "reason": row.reason, "row": _readable(row.row)}
            for row in outcome.first_rejected
        ],
        "seconds": round(outcome.seconds, 3),
        "rows_per_second": round(outcome.read / outcome.seconds),
    }


def _in_words(outcome: Outcome) -> str:
    counts = {
        "read": outcome.read,
        "stored": outcome.stored,
        "replaced": outcome.replaced,
        "duplicates": outcome.duplicates,
        "rejected": outcome.rejected,
    }
    lines = [f"{name:11}{count:>12,}" for name, count in counts.items()]
    lines += [f"{count:>23,}  {reason}" for reason, count in outcome.reasons.most_common()]
    lines += [f"{row.file}:{row.line}: {row.reason}: {_readable(row.row)}" for row in outcome.first_rejected]
    rate = outcome.read / outcome.seconds
    return "\n".join([*lines, f"{outcome.seconds:.1f} s, {rate:,.0f} rows/s"])


def _readable(row: str) -> str:
    text = row.encode("utf-8", "backslashreplace").decode()
    shown = "".join(character if character.isprintable() else "�" for character in text)
    return shown if len(shown) <= _ROW_SHOWN else shown[: _ROW_SHOWN - 1] + "…"
