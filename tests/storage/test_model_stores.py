"""What every model store does, shown of each: in a directory, in the database, in a bucket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recsvc.errors import DamagedVersionError, NotFoundError
from recsvc.extensions import db
from recsvc.storage.artifacts import MANIFEST
from recsvc.storage.model_stores import CHUNK_BYTES, POINTER, ModelStore, Pointer
from recsvc.storage.model_stores.database import DatabaseStore
from recsvc.storage.model_stores.directory import DirectoryStore
from recsvc.storage.model_stores.s3 import S3Store

FILES = {"items.npy": b"\x00\x01\x02", "empty.npy": b"", "notes.txt": b"hello"}

Open = Callable[[], ModelStore]


@pytest.fixture(params=["directory", "sqlite", "postgresql", "s3"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens one store, each time as another process would."""
    if request.param == "directory":
        (tmp_path / "models").mkdir()
        return lambda: DirectoryStore(tmp_path / "models")
    if request.param == "s3":
        url = request.getfixturevalue("bucket")
        return lambda: S3Store(url)
    app = request.getfixturevalue("make_app")(request.getfixturevalue(f"{request.param}_url"))
    with app.app_context():
        engine = db.engine
    return lambda: DatabaseStore(engine)


@pytest.fixture
def store(open_store: Open) -> ModelStore:
    return open_store()


@pytest.fixture
def publish(store: ModelStore, tmp_path: Path) -> Callable[..., None]:
    def write(version: str, **files: bytes) -> None:
        folder = tmp_path / f"made-{version}"
        folder.mkdir()
        for name, content in (FILES | files | {MANIFEST: b"{}"}).items():
            (folder / name).write_bytes(content)
        store.publish(version, folder)

    return write


def content(store: ModelStore, version: str, name: str) -> bytes:
    return b"".join(store.read(version, name))


class TestEveryModelStore:
    def test_an_empty_one_has_nothing(self, store):
        assert store.versions() == []
        assert store.pointer() is None
        with pytest.raises(FileNotFoundError):
            content(store, "v1", MANIFEST)

    def test_what_was_published_is_read_back(self, store, publish, open_store):
        publish("v2")
        publish("v1")

        assert open_store().versions() == ["v1", "v2"]
        for name, written in (FILES | {MANIFEST: b"{}"}).items():
            assert content(open_store(), "v1", name) == written
        with pytest.raises(FileNotFoundError, match=r"other\.npy"):
            content(store, "v1", "other.npy")

    def test_a_file_of_several_chunks_is_read_back_in_pieces(self, store, publish):
        large = bytes(range(256)) * (5 * CHUNK_BYTES // 256) + b"the end"
        publish("v1", **{"large.npy": large})

        assert content(store, "v1", "large.npy") == large
        tracemalloc.start()
        sizes = [len(chunk) for chunk in store.read("v1", "large.npy")]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert sum(sizes) == len(large)
        assert len(sizes) > 1
        assert peak < 4 * CHUNK_BYTES

    def test_a_file_that_is_just_a_chunk_long_is_read_back(self, store, publish):
        publish("v1", **{"chunk.npy": bytes(CHUNK_BYTES)})

        assert content(store, "v1", "chunk.npy") == bytes(CHUNK_BYTES)

    def test_a_version_is_published_once(self, store, publish, tmp_path):
        publish("v1")
        other = tmp_path / "other"
        other.mkdir()
        (other / MANIFEST).write_bytes(b"another")

        with pytest.raises(OSError, match="v1"):
            store.publish("v1", other)
        assert content(store, "v1", MANIFEST) == b"{}"

    def test_the_pointer_names_the_version_and_the_one_before(self, store, publish, open_store):
        publish("v1")
        publish("v2")

        store.activate("v1")
        assert open_store().pointer() == Pointer("v1", None)
        store.activate("v2")
        assert open_store().pointer() == Pointer("v2", "v1")
        store.activate("v2")
        assert open_store().pointer() == Pointer("v2", "v1")  # activating again keeps the way back
        store.activate("v1")
        assert open_store().pointer() == Pointer("v1", "v2")

    def test_what_is_not_published_cannot_be_made_active(self, store, publish):
        publish("v1")
        store.activate("v1")

        with pytest.raises(NotFoundError):
            store.activate("v2")
        assert store.pointer() == Pointer("v1", None)

    def test_what_was_deleted_is_gone_and_nothing_else_is(self, store, publish):
        publish("v1")
        publish("v2")

        store.delete("v1")
        store.delete("v1")
        store.delete("never")

        assert store.versions() == ["v2"]
        for name in (MANIFEST, *FILES):
            with pytest.raises(FileNotFoundError):
                content(store, "v1", name)
            assert content(store, "v2", name) is not None

    def test_a_pointer_is_whole_and_one_of_those_written_while_three_write(self, store, publish, open_store):
        names = ["v1", "v2", "v3"]
        for name in names:
            publish(name)
        store.activate("v1")
        ended, seen, problems = threading.Event(), set(), []

        def write(first: int) -> None:
            try:
                mine = open_store()
                for number in range(15):
                    mine.activate(names[(first + number) % 3])
            except Exception as error:  # whatever it is, the test is to tell
                problems.append(error)

        def look() -> None:
            mine = open_store()
            while not ended.is_set():
                seen.add(mine.pointer())

        reader = threading.Thread(target=look)
        writers = [threading.Thread(target=write, args=(first,)) for first in range(3)]
        reader.start()
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        ended.set()
        reader.join()

        assert problems == []
        assert {pointer.version for pointer in seen} <= set(names)
        assert [pointer for pointer in seen if pointer.version == pointer.previous] == []


@pytest.mark.parametrize("open_store", ["sqlite", "postgresql", "s3"], indirect=True)
class TestAStoreElsewhere:
    def test_a_version_whose_upload_broke_off_is_none_and_is_swept_by_the_next(
        self, store, publish, tmp_path
    ):
        folder = tmp_path / "broken"
        (folder / "not-a-file.npy").mkdir(parents=True)
        for name, written in (FILES | {MANIFEST: b"{}"}).items():
            (folder / name).write_bytes(written)
        with pytest.raises(OSError, match=r"[Ii]s a directory"):
            store.publish("v1", folder)

        assert content(store, "v1", "items.npy") == FILES["items.npy"]
        assert store.versions() == []
        with pytest.raises(NotFoundError):
            store.activate("v1")
        publish("v2")
        assert store.versions() == ["v2"]
        with pytest.raises(FileNotFoundError):
            content(store, "v1", "items.npy")


@pytest.mark.parametrize("open_store", ["sqlite", "postgresql"], indirect=True)
def test_a_publication_whose_files_another_has_swept_is_refused(store, publish, tmp_path):
    # A worker that was taken for dead wakes up: amid its publication another was made. A pipe makes it wait.
    folder = tmp_path / "slow"
    folder.mkdir()
    for name, written in (FILES | {MANIFEST: b"{}"}).items():
        (folder / name).write_bytes(written)
    os.mkfifo(folder / "pipe.npy")

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(store.publish, "v1", folder)
        with (folder / "pipe.npy").open("wb"):  # it is at the pipe, and so past the first files
            publish("v2")
        with pytest.raises(OSError, match="swept"):
            slow.result()
    assert store.versions() == ["v2"]


class TestADirectory:
    @pytest.fixture
    def store(self, tmp_path):
        return DirectoryStore(tmp_path / "models")

    def test_one_that_is_absent_is_empty(self, store):
        assert store.pointer() is None
        assert store.versions() == []

    def test_what_is_not_there_whole_is_no_version(self, store):
        (store.root / "half").mkdir(parents=True)
        (store.root / ".v9.1.tmp").mkdir()
        (store.root / ".v9.1.tmp" / MANIFEST).write_text("{}")

        assert store.versions() == []
        with pytest.raises(NotFoundError):
            store.activate("half")
        assert store.pointer() is None

    def test_nothing_but_the_pointer_is_left_of_an_activation(self, store, publish):
        store.root.mkdir()
        publish("v1")
        store.activate("v1")

        assert sorted(path.name for path in store.root.iterdir()) == [POINTER, "v1"]

    def test_what_a_process_killed_at_the_pointer_left_is_gone_after_the_next_activation(
        self, store, publish
    ):
        store.root.mkdir()
        publish("v1")
        publish("v2")
        store.activate("v1")
        killed = subprocess.run([sys.executable, "-c", KILLED_AT_THE_POINTER, store.root], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert len(list(store.root.glob(".*"))) == 1, "it was killed too late"
        assert store.pointer() == Pointer("v1", None)

        store.activate("v2")

        assert sorted(path.name for path in store.root.iterdir()) == [POINTER, "v1", "v2"]


KILLED_AT_THE_POINTER = """
import os, pathlib, signal, sys
from recsvc.storage.model_stores.directory import DirectoryStore

pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
DirectoryStore(pathlib.Path(sys.argv[1])).activate("v2")
"""

DAMAGED_POINTERS = [
    b"",
    b"{",
    b"[]",
    b"{}",
    b'{"version": "v1"}',
    b"7",
    b"\xff\xfe",
    b'{"version": 7, "previous": null}',
    b'{"version": "../v1", "previous": null}',
    b'{"version": "v1", "previous": "/etc"}',
]


@pytest.mark.parametrize("damaged", DAMAGED_POINTERS)
@pytest.mark.parametrize("open_store", ["directory", "s3"], indirect=True)
def test_a_damaged_pointer_is_told_and_mended_by_the_next_activation(store, publish, damaged):
    publish("v3")
    if isinstance(store, DirectoryStore):
        (store.root / POINTER).write_bytes(damaged)
    else:
        import obstore

        obstore.put(store._patient, POINTER, damaged)

    with pytest.raises(DamagedVersionError, match=r"active\.json"):
        store.pointer()

    store.activate("v3")
    assert store.pointer() == Pointer("v3", None)
