"""`recsvc completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from recsvc.cli.parts import Command


@click.command(cls=Command)
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a SHELL complete commands and options at the Tab key: bash, zsh or fish.

    \b
    recsvc completion bash >> ~/.bashrc
    recsvc completion zsh >> ~/.zshrc
    recsvc completion fish > ~/.config/fish/completions/recsvc.fish

    It works from the next shell on; bash has to be 4.4 or newer.
    """  # noqa: D301 — \b has to be the character that click takes for "as it stands"
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "recsvc", "_RECSVC_COMPLETE").source())
