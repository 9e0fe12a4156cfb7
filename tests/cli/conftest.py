"""The command line in this process, with an environment of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from recsvc.cli import commands
from recsvc.config import Config
from recsvc.extensions import db


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Sets the environment's settings to these alone, in an empty working folder."""
    names = [name.upper() for name in Config.__dataclass_fields__]

    def settings(**values: str) -> None:
        for name in names:
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    monkeypatch.chdir(tmp_path)
    settings(INSTANCE_DIR=str(tmp_path), LOG_LEVEL="ERROR")
    return settings


Outcome = tuple[int | str | None, str, str]


@pytest.fixture
def recsvc(
    environment: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> Callable[..., Outcome]:
    """Runs `recsvc …` and gives its exit code, or message, and what it printed."""
    made = []
    create = commands.cli.create_app

    def create_and_keep() -> object:
        made.append(create())
        return made[-1]

    monkeypatch.setattr(commands.cli, "create_app", create_and_keep)

    def run(*arguments: str, **settings: str) -> Outcome:
        base: Mapping[str, str] = {
            "INSTANCE_DIR": str(tmp_path),
            "DATABASE_URL": request.getfixturevalue("sqlite_url"),
            "REDIS_URL": request.getfixturevalue("redis_url"),
            "LOG_LEVEL": "ERROR",
        }
        environment(**(dict(base) | settings))
        monkeypatch.setattr("sys.argv", ["recsvc", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            commands.run()
        for app in made:
            with app.app_context():
                db.session.remove()
                db.engine.dispose()
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run
