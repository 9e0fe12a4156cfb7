"""`make demo` as a newcomer runs it: one command, nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
RECSVC = Path(sys.executable).with_name("recsvc")
PATIENCE = 180


@pytest.fixture
def instance() -> Iterator[Path]:
    """A short path, since a socket lies in it."""
    with tempfile.TemporaryDirectory(prefix="recsvc-demo-") as folder:
        yield Path(folder)


def start(instance: Path, *options: str, **settings: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "INSTANCE_DIR": str(instance), "PORT": "0", "TRAIN_THREADS": "1", **settings}
    return subprocess.Popen(
        [str(RECSVC), "demo", *options],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def processes_of(instance: Path) -> list[str]:
    mark = f"INSTANCE_DIR={instance}\0".encode()
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environ.read_bytes():
                found.append(environ.with_name("cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has ended, or is not ours
    return found


def test_once_ends_well_after_three_readers_got_lists_from_the_version_that_was_trained(instance):
    demo = start(instance, "--once")
    output, _ = demo.communicate(timeout=PATIENCE)

    assert demo.returncode == 0, output
    assert len(re.findall(r"^reader-\d+ did something with", output, re.MULTILINE)) == 3
    assert len(re.findall(r"^    [1-5]\. .+ — .+ \(.+\)$", output, re.MULTILINE)) == 15
    version = re.search(r"Version (\S+) is served", output)
    assert version is not None
    assert (instance / "models" / version[1] / "manifest.json").is_file()
    assert processes_of(instance) == []


def test_it_works_the_same_with_postgresql_as_database_and_model_store(instance, own_postgres):
    settings = {
        "DATABASE_URL": own_postgres.get_uri(),
        "MODEL_STORE": "database",
        "SECRET_KEY": "of this test only",
    }
    demo = start(instance, "--once", **settings)
    output, _ = demo.communicate(timeout=PATIENCE)

    assert demo.returncode == 0, output
    assert len(re.findall(r"^    [1-5]\. .+ — .+ \(.+\)$", output, re.MULTILINE)) == 15
    assert not (instance / "recsvc.db").exists()
    assert processes_of(instance) == []


def test_once_fails_when_the_training_does(instance):
    (instance / "models").write_text("where the folder of the versions should be")

    demo = start(instance, "--once")
    output, _ = demo.communicate(timeout=PATIENCE)

    assert demo.returncode != 0, output
    assert "The training failed: The model version cannot be written" in output
    assert processes_of(instance) == []


def test_it_stays_up_until_ctrl_c_which_stops_all_it_started(instance):
    demo = start(instance)
    try:
        assert demo.stdout is not None
        told = ""
        while "the processes write to" not in told:
            line = demo.stdout.readline()
            assert line, told
            told += line
        url = re.search(r"(http://\S+)/api/v1/docs", told)
        key = re.search(r"admin key  (\S+)", told)
        assert url is not None
        assert key is not None
        answer = httpx.get(
            f"{url[1]}/api/v1/recommendations",
            params={"user_id": "reader-0001"},
            headers={"Authorization": f"Bearer {key[1]}"},
            timeout=30,
        )
        assert len(answer.json()["items"]) == 10

        demo.send_signal(signal.SIGINT)
        assert demo.wait(30) == 0
        assert processes_of(instance) == []
    finally:
        demo.kill()
        demo.wait()
        if demo.stdout is not None:
            demo.stdout.close()
