"""Every command teaches: what it does, by an example, and how it ends."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from recsvc.cli.commands import cli

WITHOUT_JSON = {
    "completion": "prints a program of the shell's own",
    "db downgrade": "does one thing and says so; db current has --json",
    "db migrate": "writes a file for those who work on recsvc",
    "db upgrade": "does one thing; db current has --json",
    "demo": "is for people to look at",
    "keys revoke": "does one thing and says so; keys list has --json",
    "keys rotate-tokens": "does one thing and says so",
    "valkey stop": "does one thing and says so",
}


def walk(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield " ".join([*path, name]), command
        if isinstance(command, click.Group):
            yield from walk(command, (*path, name))


COMMANDS = dict(walk())
LEAVES = {name: command for name, command in COMMANDS.items() if not isinstance(command, click.Group)}


def help_of(name: str) -> str:
    context = click.Context(COMMANDS[name], info_name=f"recsvc {name}")
    return COMMANDS[name].get_help(context)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_shows_an_example_and_tells_its_exit_codes(name):
    said = help_of(name)
    options = said.split("\nOptions:")[0]

    assert re.search(rf"^ +(\w+=(\S+ |\$\())?recsvc {name}\b", options, re.MULTILINE), said
    assert len(COMMANDS[name].get_short_help_str(limit=300)) > 15
    assert "Exit codes: 0 " in said


@pytest.mark.parametrize("name", LEAVES)
def test_every_option_and_argument_is_explained(name):
    command, said = LEAVES[name], help_of(name)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"
            assert parameter.help.endswith("."), f"{name} {parameter.opts}: {parameter.help}"
        else:
            text = said.split("\n", 2)[2]
            assert parameter.make_metavar(click.Context(command)).strip("[].") in text, (
                f"{name} {parameter.name}"
            )


def test_every_command_that_prints_data_can_print_it_as_json():
    with_json = {
        name
        for name, command in LEAVES.items()
        if any("--json" in parameter.opts for parameter in command.params)
    }

    assert with_json | WITHOUT_JSON.keys() == LEAVES.keys()
    assert with_json & WITHOUT_JSON.keys() == set()


def test_no_command_is_there_that_is_not_ours():
    # Flask's run would serve without watching for new models, and its plugins' commands are for their makers.
    assert cli.list_commands(click.Context(cli)) == sorted(cli.commands)
    assert {"run", "shell", "routes", "limiter", "openapi"} & cli.commands.keys() == set()


def test_the_first_help_names_what_comes_first():
    said = cli.get_help(click.Context(cli, info_name="recsvc"))

    for name in ("demo", "db upgrade", "import", "keys create", "train --wait", "status", "completion"):
        assert f"recsvc {name}" in " ".join(said.split())
