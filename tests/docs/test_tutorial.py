"""The tutorial, followed to the letter in a fresh clone, by a shell.

Installing takes most of the time, and whoever runs the tests has just done it. So a hook of git lends the
clone the packages of this test run, and its `make setup` finds nothing left to do. With
TUTORIAL_FROM_SCRATCH=1 in the environment everything is installed anew.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from recsvc.config import Config

ROOT = Path(__file__).parents[2]
ADDRESS = "https://git.example.org/recsvc.git"
END = "--- end of block ---"


LEND = """#!{python}
import pathlib, subprocess, sys
mine, theirs = pathlib.Path.cwd() / ".venv", pathlib.Path("{venv}")
subprocess.run([sys.executable, "-m", "venv", "--without-pip", mine], check=True)
packages = pathlib.Path("lib", "python3.{{}}".format(sys.version_info.minor), "site-packages")
(mine / packages / "lent.pth").write_text(str(mine.parent) + "\\n" + str(theirs / packages))
for script in (theirs / "bin").iterdir():
    if script.is_file() and not script.is_symlink() and script.read_bytes().startswith(b"#!" + bytes(theirs)):
        lent = mine / "bin" / script.name
        lent.write_text(script.read_text().replace(str(theirs), str(mine), 1))
        lent.chmod(0o755)
(mine / ".installed").touch()
"""


@dataclass(frozen=True)
class Block:
    """What is to be typed, and in which terminal."""

    commands: str
    second_terminal: bool


def blocks(page: str) -> list[Block]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.findall(r"^```sh( title=\"second terminal\")?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(commands, bool(second)) for second, commands in found]


class Terminal:
    """A shell that is typed into."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.shown = ""

    def type(self, commands: str) -> None:
        assert self.shell.stdin is not None
        self.shell.stdin.write(commands)
        self.shell.stdin.flush()

    def read_until(self, words: str) -> str:
        assert self.shell.stdout is not None
        seen = ""
        for line in self.shell.stdout:
            seen += line
            self.shown += line
            if words in line:
                return seen
        raise AssertionError(f"{words!r} was never shown:\n{self.shown}")

    def run(self, commands: str) -> str:
        """Types a block that ends by itself; each of its commands must succeed."""
        self.type(f"set -e\n{commands}\nset +e\necho '{END}'\n")
        return self.read_until(END).removesuffix(f"{END}\n")

    def end(self) -> None:
        if self.shell.poll() is not None:
            return
        os.killpg(self.shell.pid, signal.SIGINT)  # Ctrl-C
        # Read to the end: who is stopped while nobody reads what it says of it may never get done.
        self.shell.communicate(timeout=60)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """That of a newcomer: no settings, no virtual environment; git finds the code at the address."""
    if not (ROOT / ".git").exists():
        pytest.skip("there is no git repository here to clone")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours = {entry.name.upper() for entry in fields(Config)} | {"VIRTUAL_ENV", "WEB_CONCURRENCY", "MAKEFLAGS"}
    kept = {name: text for name, text in os.environ.items() if name not in ours}
    binaries = Path(sys.executable).parent
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != binaries)
    python = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
    if "TUTORIAL_FROM_SCRATCH" not in os.environ:
        hook = tmp_path / "hooks" / "post-checkout"
        hook.parent.mkdir()
        hook.write_text(LEND.format(python=python, venv=sys.prefix))
        hook.chmod(0o755)
        kept["GIT_TEMPLATE_DIR"] = str(tmp_path)
    configuration = tmp_path / "gitconfig"
    configuration.write_text(f'[url "{ROOT}"]\ninsteadOf = {ADDRESS}\n[safe]\ndirectory = *\n')
    return kept | {
        "PATH": path,
        "PYTHON": python,
        "PORT": str(port),
        "TRAIN_THREADS": "1",
        "no_proxy": "127.0.0.1",
        "GIT_CONFIG_GLOBAL": str(configuration),
    }


@pytest.fixture
def answers(environment: dict[str, str]) -> Iterator[list[str]]:
    """What each block of the first terminal showed."""
    folder = Path(tempfile.mkdtemp(prefix="recsvc-tutorial-"))
    first, second = Terminal(folder, environment), Terminal(folder, environment)
    shown = []
    try:
        *rest, last = blocks("tutorial.md")
        for block in rest:
            if block.second_terminal:
                second.type(block.commands)
                second.read_until("Listening at")
            else:
                shown.append(first.run(block.commands))
        second.end()
        shown.append(first.run(last.commands))
        yield shown
    finally:
        second.end()
        first.end()
        _stop_valkey(folder / "recsvc", environment)
        shutil.rmtree(folder, ignore_errors=True)


def _stop_valkey(clone: Path, environment: dict[str, str]) -> None:
    """Ends the bundled Redis where the last block was not reached: it outlives who started it."""
    if (clone / "instance" / "valkey.sock").exists():
        command = clone / ".venv" / "bin" / "recsvc"
        subprocess.run([command, "valkey", "stop"], cwd=clone, env=environment, check=False)


def lists(shown: str) -> list[list[str]]:
    """The item ids of each list among what was shown."""
    decoder, found, place = json.JSONDecoder(), [], 0
    while (place := shown.find("{", place)) >= 0:
        answer, length = decoder.raw_decode(shown[place:])
        place += length
        if "items" in answer:
            found.append([item["item_id"] for item in answer["items"]])
    return found


@pytest.mark.processes
def test_it_leads_from_two_files_to_lists_that_change_with_a_click(answers):
    # One test, so that it is gone through once, however many processes share the tests.
    cloned, _, _, imported, trained, asked, clicked, visited, stopped = answers
    assert "Cloning into 'recsvc'" in cloned
    assert re.findall(r"^stored +(\d+)$", imported, re.MULTILINE) == ["12", "40"]
    assert re.findall(r"^rejected +(\d+)$", imported, re.MULTILINE) == ["0", "0"]
    assert re.search(r"Version \S+ is active\.\n$", trained)

    assert stopped == "Stopped.\n"

    (before,), (after,), (visitors,) = lists(asked), lists(clicked), lists(visited)
    assert len(before) == len(after) == len(visitors) == 3
    assert not {"dune", "foundation"} & {*before, *after}  # seen
    assert len({"neuromancer", "left-hand", "dune-messiah"} & set(before)) >= 2  # her taste
    assert "neuromancer" in before
    assert "neuromancer" not in after
    assert {"big-sleep", "tattoo", "name-of-the-rose"} & set(visitors)


def test_the_tutorial_in_portuguese_has_the_same_commands():
    assert blocks("tutorial.pt-BR.md") == blocks("tutorial.md")
    assert len(blocks("tutorial.md")) == 10
