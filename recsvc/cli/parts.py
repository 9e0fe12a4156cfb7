"""What commands have in common: how they fail, print, and say how they end."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

import click
from flask.cli import with_appcontext

from recsvc.errors import RecsvcError

EXIT_CODES = "Exit codes: 0 done; 1 not done, and standard error says why; 2 wrong usage."

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


class Command(click.Command):
    """A command whose help ends with its exit codes."""

    def __init__(self, name: str | None, **options: Any) -> None:
        super().__init__(name, **{"epilog": EXIT_CODES} | options)


class Group(Command, click.Group):
    """A group of such commands."""

    command_class = Command


def with_application(function: Callable[..., Any]) -> Callable[..., Any]:
    """Pushes the application's context around a command, and tells in words what cannot be done."""

    @wraps(function)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except RecsvcError as error:
            raise click.ClickException(error.detail) from error

    return with_appcontext(told)


def print_json(value: Any) -> None:
    """Prints a value as JSON, its letters as they are."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))


def moment(at: datetime) -> str:
    """A moment for people."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
