"""A model version that cannot be written: the run says why, and nothing is half published."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="makes a disk full in Linux's ways"),
]


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != "ballast")


@pytest.fixture
def small_disk(make_system):
    """A system whose model versions are on a disk of sixteen megabytes."""
    system = make_system()
    system.models.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(system.models)]
    if mount is None or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("no disk may be mounted here")
    yield system
    system.stop()
    subprocess.run(["umount", "--lazy", str(system.models)], check=True)


def fill_disk(file, *, room=0):
    def write_on():
        with file.open("wb", buffering=0) as ballast:
            while ballast.write(bytes(4096)):
                pass

    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        write_on()
    os.truncate(file, file.stat().st_size - room)


def test_a_disk_full_while_publishing_fails_the_run_and_publishes_nothing(small_disk):
    system = small_disk
    system.migrate()
    system.start_redis()
    system.start_web()
    worker = system.start_worker()
    system.fill(users=200, items=400)
    old = system.train()
    before = everything_in(system.models)

    for pages in range(0, 18, 3):  # each fills the disk at another file
        fill_disk(system.models / "ballast", room=4096 * pages)
        run = system.wait_for(system.request_training(), "failed")

        assert os.strerror(errno.ENOSPC) in run["error"]
        assert (run["stage"], run["model_version"]) == ("publish", None)
        assert everything_in(system.models) == before
    assert system.recommend()["model_version"] == old
    versions = system.call("GET", "/model-versions").json()["model_versions"]
    assert [entry["version"] for entry in versions] == [old]
    assert system.ready()["model"] == "ok"
    assert worker.is_alive
    (system.models / "ballast").unlink()
    assert system.train() != old


def test_a_file_that_may_not_grow_fails_the_run_and_publishes_nothing(
    make_system, postgresql_url, eventually
):
    system = make_system(DATABASE_URL=postgresql_url)  # SQLite's own files would be in the way
    system.start_redis()
    system.start_web()
    worker = system.start_worker()
    system.fill(users=400)
    worker.says("Listening on")
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))

    run = system.wait_for(system.request_training(), "failed")

    assert os.strerror(errno.EFBIG) in run["error"]
    assert everything_in(system.models) == []
    assert system.recommend()["model_version"] is None
    assert system.ready()["model"].startswith("There is no model yet")
    eventually(system.queue_is_idle, "the worker to be free again")
    assert worker.terminate() == 0
    system.start_worker()
    system.train()


def test_a_full_disk_while_activating_leaves_the_old_version_active(small_disk, eventually):
    system = small_disk
    system.migrate()
    system.start_redis()
    system.start_web()
    system.start_worker()
    system.fill()
    first, second = system.train(), system.train()
    before = everything_in(system.models)
    pointer = (system.models / "active.json").read_bytes()

    fill_disk(system.models / "ballast")
    answer = system.call("POST", f"/model-versions/{first}/activate")

    assert answer.status_code >= 500
    assert (system.models / "active.json").read_bytes() == pointer
    assert everything_in(system.models) == before
    assert system.recommend()["model_version"] == second
    (system.models / "ballast").unlink()
    assert system.call("POST", f"/model-versions/{first}/activate").status_code == 200
    system.wait_until_served(first)
