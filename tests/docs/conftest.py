"""The documents, built once as `make docs` builds them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

Build = Callable[[Path, Path], subprocess.CompletedProcess[str]]


def _build(project: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    # Not --quiet: MkDocs counts only the warnings that it prints.
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=project,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def build() -> Build:
    """Builds a project's documents into a folder, as `make docs` does."""
    return _build


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built documents; a link or an anchor that leads nowhere fails the build."""
    folder = tmp_path_factory.mktemp("site")
    ended = _build(ROOT, folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


@pytest.fixture(scope="session")
def pages() -> dict[str, str]:
    """What is written for people: names below the project's folder to texts."""
    files = [ROOT / name for name in ("README.md", "README.pt-BR.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    files += sorted((ROOT / "docs").rglob("*.md"))
    return {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files}
