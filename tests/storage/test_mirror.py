"""A versioned directory that follows a store elsewhere: it never has half a version, nor a damaged one."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs

from recsvc.errors import DamagedVersionError, ModelStoreUnavailableError
from recsvc.storage.artifacts import MANIFEST, open_version, temporary_folder, write_files
from recsvc.storage.mirror import Mirror
from recsvc.storage.model_stores import POINTER, Pointer
from recsvc.storage.model_stores.directory import DirectoryStore
from recsvc.storage.model_stores.s3 import S3Store
from recsvc.storage.signing import Signer

SIGNER = Signer(["a secret of these tests"])


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A store elsewhere: on another disk, as it were."""
    return DirectoryStore(tmp_path / "elsewhere")


@pytest.fixture
def local(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "here")


@pytest.fixture
def publish(store: DirectoryStore) -> Callable[..., None]:
    def write(version: str, signer: Signer = SIGNER) -> None:
        with temporary_folder(store.folder(version)) as folder:
            write_files(
                folder,
                arrays={"numbers": np.arange(1000), "empty": np.empty(0)},
                files={"lightfm.pickle": b"not to be opened"},
                manifest={"version": version},
                signer=signer,
            )
            store.publish(version, folder)
        store.activate(version)

    return write


@pytest.fixture
def make_mirror(store, local) -> Callable[..., Mirror]:
    """As many as there are web processes on a machine."""
    return lambda **options: Mirror(store, local, SIGNER, **options)


def damage(store: DirectoryStore, version: str, name: str = "numbers.npy") -> None:
    file = store.folder(version) / name
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.unlink()
    file.write_bytes(bytes(content))


def there(local: DirectoryStore) -> list[str]:
    return sorted(path.name for path in local.root.iterdir() if path.name != ".lock")


def test_what_is_active_there_is_active_here(publish, make_mirror, local):
    publish("v1")
    publish("v2")

    mirror = make_mirror()
    mirror.update()

    assert mirror.problem is None
    assert local.pointer() == Pointer("v2", "v1")
    manifest, arrays = open_version(local.folder("v2"), SIGNER)
    assert (manifest["version"], arrays["numbers"].sum()) == ("v2", 499_500)


def test_without_an_active_version_nothing_happens(store, make_mirror, local):
    mirror = make_mirror()
    mirror.update()

    assert mirror.problem is None
    assert local.pointer() is None


def test_only_the_active_version_and_the_one_before_are_kept_here(publish, make_mirror, local, store):
    mirror = make_mirror()
    for version in ("v1", "v2", "v3"):
        publish(version)
        mirror.update()
    assert there(local) == [POINTER, "v2", "v3"]

    store.activate("v1")
    mirror.update()
    assert there(local) == [POINTER, "v1", "v3"]
    assert local.pointer() == Pointer("v1", "v3")


def test_versions_of_an_experiment_are_brought_and_kept_beside_the_active_one(publish, make_mirror, local):
    for version in ("v1", "v2", "v3", "v4"):
        publish(version)
    mirror = make_mirror(beside=("v1", "v4"))

    mirror.update()
    assert there(local) == [POINTER, "v1", "v4"]
    publish("v5")
    mirror.update()

    assert there(local) == [POINTER, "v1", "v4", "v5"]
    assert mirror.problem is None


def test_a_version_of_an_experiment_that_is_not_there_is_told_and_the_rest_goes_on(
    publish, make_mirror, local
):
    publish("v1")
    mirror = make_mirror(beside=("v0",), try_again_after=0)

    mirror.update()

    assert "v0" in mirror.problem
    publish("v2")
    mirror.update()
    assert local.pointer() == Pointer("v2", "v1")


@pytest.mark.parametrize("name", ["numbers.npy", "lightfm.pickle", MANIFEST])
def test_a_version_that_is_damaged_there_never_comes_here(publish, make_mirror, local, store, name):
    publish("v1")
    mirror = make_mirror(try_again_after=0)
    mirror.update()
    publish("v2")
    damage(store, "v2", name)

    for _ in range(2):
        mirror.update()

        assert mirror.problem.startswith(f"v2: {name}")
        assert local.pointer() == Pointer("v1")
        assert there(local) == [POINTER, "v1"]


def test_a_machine_that_has_none_takes_the_one_before_a_damaged_one(publish, make_mirror, local, store):
    publish("v1")
    publish("v2")
    damage(store, "v2")

    mirror = make_mirror(try_again_after=0)
    mirror.update()

    assert mirror.problem.startswith("v2: numbers.npy")
    assert local.pointer() == Pointer("v1")
    mirror.update()
    assert mirror.problem.startswith("v2: numbers.npy")
    assert local.pointer() == Pointer("v1")


def test_a_damaged_version_that_was_put_right_comes_after_a_while(publish, make_mirror, local, store):
    publish("v1")
    publish("v2")
    damage(store, "v2")
    patient, impatient = make_mirror(try_again_after=3600), make_mirror(try_again_after=0)
    patient.update()
    impatient.update()
    damage(store, "v2")  # the same bit once more

    patient.update()
    assert patient.problem.startswith("v2: numbers.npy")  # it does not read so much every second
    impatient.update()
    assert impatient.problem is None
    assert local.pointer() == Pointer("v2", "v1")
    patient.update()
    assert patient.problem is None


@pytest.mark.parametrize("name", ["numbers.npy", MANIFEST])
@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b""), None])
def test_a_copy_that_was_damaged_here_is_brought_again(publish, make_mirror, local, name, harm):
    publish("v1")
    make_mirror().update()
    if harm:
        harm(local.folder("v1") / name)
    else:
        damage(local, "v1", name)

    mirror = make_mirror()
    mirror.update(is_suspect=True)

    assert mirror.problem is None
    assert open_version(local.folder("v1"), SIGNER)[0]["version"] == "v1"


def test_a_version_that_is_suspect_for_long_is_not_brought_every_second(publish, make_mirror, local):
    publish("v1")
    mirror = make_mirror(try_again_after=3600)
    mirror.update()
    mirror.update(is_suspect=True)
    (local.folder("v1") / "numbers.npy").unlink()

    mirror.update(is_suspect=True)

    assert not (local.folder("v1") / "numbers.npy").exists()


def test_a_version_that_is_opened_is_brought_and_stays_mapped_after_it_went(publish, make_mirror, local):
    publish("v1")
    mirror = make_mirror()

    _, arrays = mirror.open("v1")
    publish("v2")
    publish("v3")
    mirror.update()

    assert "v1" not in there(local)
    assert arrays["numbers"].sum() == 499_500


def test_a_version_that_is_nowhere_is_refused(make_mirror):
    with pytest.raises(DamagedVersionError, match=r"^v1: manifest\.json cannot be read"):
        make_mirror().open("v1")


def test_a_version_of_another_secret_never_comes(publish, make_mirror, local):
    publish("v1")
    publish("v2", Signer(["another secret"]))

    mirror = make_mirror()
    mirror.update()

    assert "another SECRET_KEY" in mirror.problem
    assert local.pointer() == Pointer("v1")


def test_a_damaged_pointer_or_none_leaves_what_is_here(publish, make_mirror, local, store):
    publish("v1")
    mirror = make_mirror()
    mirror.update()

    (store.root / POINTER).write_bytes(b"{")
    mirror.update()
    assert "active.json cannot be read" in mirror.problem
    (store.root / POINTER).unlink()
    mirror.update()
    assert "is gone" in mirror.problem
    assert local.pointer() == Pointer("v1")
    store.activate("v1")
    mirror.update()
    assert mirror.problem is None


def test_a_damaged_pointer_here_is_mended(publish, make_mirror, local):
    publish("v1")
    make_mirror().update()
    (local.root / POINTER).write_bytes(b"{")

    make_mirror().update()

    assert local.pointer() == Pointer("v1")


def test_a_store_that_does_not_answer_leaves_what_is_here_and_is_told(
    publish, local, make_mirror, monkeypatch
):
    publish("v1")
    make_mirror().update()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    away = Mirror(S3Store("s3://bucket"), local, SIGNER)

    away.update()

    assert away.problem.startswith("The model store s3://bucket does not")
    assert local.pointer() == Pointer("v1")


class Shaky(DirectoryStore):
    """A store, or a disk to copy to, that breaks off amid a version for as long as it has an error."""

    error: Exception | None = None

    def read(self, version: str, name: str) -> Iterator[bytes]:
        if self.error is not None and name == "numbers.npy":
            yield b"\x93NUMPY"
            raise self.error
        yield from super().read(version, name)


def test_a_store_that_broke_off_amid_a_version_is_asked_again_at_the_next_look(
    publish, local, store, monkeypatch
):
    # A logger keeps the chain that was configured when it was first used, perhaps by another test.
    monkeypatch.setattr("recsvc.storage.mirror.logger", structlog.get_logger())
    publish("v1")
    shaky = Shaky(store.root)
    shaky.error = ModelStoreUnavailableError("broke off")
    mirror = Mirror(shaky, local, SIGNER, try_again_after=3600)
    mirror.update()
    assert (mirror.problem, local.pointer()) == ("broke off", None)
    assert there(local) == []

    shaky.error = None
    with capture_logs() as told:
        mirror.update()
        mirror.update()
    assert (mirror.problem, local.pointer()) == (None, Pointer("v1"))
    assert [(one["event"], one.get("was")) for one in told if one["event"] != "model_version_copied"] == [
        ("model_versions_well_again", "broke off")
    ]


def test_a_full_disk_is_told_and_not_filled_every_second(publish, local, store):
    publish("v1")
    shaky = Shaky(store.root)
    patient = Mirror(shaky, local, SIGNER, try_again_after=3600)
    impatient = Mirror(shaky, local, SIGNER, try_again_after=0)
    patient.update()
    publish("v2")

    shaky.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    for mirror in (patient, impatient):
        mirror.update()
        assert os.strerror(errno.ENOSPC) in mirror.problem
        assert local.pointer() == Pointer("v1")
        assert there(local) == [POINTER, "v1"]
    shaky.error = None
    patient.update()
    assert os.strerror(errno.ENOSPC) in patient.problem
    impatient.update()
    assert (impatient.problem, local.pointer()) == (None, Pointer("v2", "v1"))


def test_processes_of_one_machine_share_the_work(publish, make_mirror, local, store):
    # Twenty look at once, ten times; meanwhile one that serves opens what the pointer names.
    publish("v0")
    mirrors = [make_mirror(try_again_after=0) for _ in range(20)]
    mirrors[0].update()
    ended, problems = threading.Event(), []

    def serve() -> None:
        while not ended.is_set():
            pointer = local.pointer()
            try:
                open_version(local.folder(pointer.version), SIGNER)
            except DamagedVersionError as error:
                if local.pointer() == pointer:  # otherwise it went in the meantime
                    problems.append(error)

    reader = threading.Thread(target=serve)
    reader.start()
    for number in range(1, 11):
        publish(f"v{number}")
        threads = [threading.Thread(target=mirror.update) for mirror in mirrors]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [mirror.problem for mirror in mirrors] == [None] * 20
        assert there(local) == sorted([POINTER, f"v{number - 1}", f"v{number}"])
    ended.set()
    reader.join()

    assert problems == []


KILLED_AMID_A_COPY = """
import os, signal, sys
from pathlib import Path
from recsvc.storage.mirror import Mirror
from recsvc.storage.model_stores.directory import DirectoryStore
from recsvc.storage.signing import Signer

class Slow(DirectoryStore):
    def read(self, version, name):
        for chunk in super().read(version, name):
            if name == "numbers.npy":
                yield chunk[:100]
                os.kill(os.getpid(), signal.SIGKILL)
            yield chunk

store, local = Slow(Path(sys.argv[1])), DirectoryStore(Path(sys.argv[2]))
Mirror(store, local, Signer(["a secret of these tests"])).update()
"""


def test_a_copy_that_a_killed_process_left_unfinished_is_swept(publish, make_mirror, local, store):
    publish("v1")
    command = [sys.executable, "-c", KILLED_AMID_A_COPY, str(store.root), str(local.root)]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], env=dict(os.environ), check=False)
    assert ended.returncode == -9
    assert local.pointer() is None
    assert len(there(local)) == 1

    make_mirror().update()

    assert there(local) == [POINTER, "v1"]
    assert local.pointer() == Pointer("v1")
