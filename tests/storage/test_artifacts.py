"""A version on disk is there whole or not at all, and a damaged one is never served."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsvc.errors import DamagedVersionError, NotFoundError
from recsvc.storage.artifacts import MANIFEST, open_version, read_manifest, write_version
from recsvc.storage.model_store import POINTER, DirectoryStore, Pointer

ARRAYS = {
    "item_keys": np.arange(5, dtype=np.int32),
    "empty": np.empty((0, 8), np.float32),
    "embeddings": np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2],
}

Publish = Callable[..., Path]


@pytest.fixture
def publish(tmp_path: Path) -> Publish:
    """Writes a version."""

    def write(version: str = "v1", **changes: Any) -> Path:
        folder = tmp_path / "models" / version
        given = {"arrays": ARRAYS, "files": {"notes.txt": b"hello"}, "manifest": {"version": version}}
        write_version(folder, **(given | changes))
        return folder

    return write


def test_a_version_reads_back_as_it_was_written(publish):
    manifest, arrays = open_version(publish())

    assert manifest["version"] == "v1"
    assert set(manifest["files"]) == {"item_keys.npy", "empty.npy", "embeddings.npy", "notes.txt"}
    for name, array in ARRAYS.items():
        assert np.array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_arrays_are_mapped_and_cannot_be_written(publish):
    _, arrays = open_version(publish())

    assert isinstance(arrays["item_keys"].base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        arrays["item_keys"][0] = 9


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [Path.unlink, cut, lengthen, flip, empty])
@pytest.mark.parametrize("name", ["item_keys.npy", "embeddings.npy", "notes.txt"])
def test_a_file_that_is_not_what_was_published_is_refused_by_name(publish, damage, name):
    folder = publish()
    damage(folder / name)

    with pytest.raises(DamagedVersionError, match=rf"^v1: {name}") as refused:
        open_version(folder)
    assert refused.value.code == "model_version_damaged"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"format": 2, "version": "v1", "files": {}}',
        '{"format": 1, "version": "other", "files": {}}',
        '{"format": 1, "version": "v1"}',
        '{"format": 1, "version": "v1", "files": {"a.npy": {}}}',
        '{"format": 1, "version": "v1", "files": ["a.npy"]}',
    ],
)
def test_a_manifest_that_cannot_be_trusted_is_refused(publish, content):
    folder = publish()
    (folder / MANIFEST).write_text(content)

    with pytest.raises(DamagedVersionError, match=r"^v1: manifest\.json"):
        open_version(folder)


def test_a_version_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(DamagedVersionError, match=r"manifest\.json cannot be read"):
        read_manifest(tmp_path)


def test_a_pickle_in_an_array_is_refused(publish):
    folder = publish()
    np.save(folder / "item_keys.npy", np.array([{}], dtype=object), allow_pickle=True)
    manifest = json.loads((folder / MANIFEST).read_text())
    import hashlib

    content = (folder / "item_keys.npy").read_bytes()
    manifest["files"]["item_keys.npy"] = {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))

    with pytest.raises(DamagedVersionError, match=r"item_keys\.npy"):
        open_version(folder)


def test_a_write_that_fails_leaves_nothing_behind(publish, tmp_path):
    with pytest.raises(OSError, match="no/such"):
        publish(files={"no/such/folder": b""})

    assert list((tmp_path / "models").iterdir()) == []


def test_a_manifest_that_cannot_be_written_leaves_nothing_behind(publish, tmp_path):
    with pytest.raises(TypeError):
        publish(manifest={"version": object()})

    assert list((tmp_path / "models").iterdir()) == []


def test_a_version_that_exists_is_not_written_over(publish):
    folder = publish()

    with pytest.raises(OSError, match="v1"):
        publish(files={"notes.txt": b"other"})

    assert (folder / "notes.txt").read_bytes() == b"hello"
    assert [path.name for path in folder.parent.iterdir()] == ["v1"]


@pytest.fixture
def store(publish, tmp_path) -> DirectoryStore:
    publish("v1")
    publish("v2")
    publish("v3")
    return DirectoryStore(tmp_path / "models")


def test_a_store_without_a_pointer_has_no_active_version(store):
    assert store.pointer() is None
    assert DirectoryStore(store.root / "absent").pointer() is None
    assert DirectoryStore(store.root / "absent").versions() == []


def test_the_pointer_names_the_version_and_the_one_before(store):
    store.activate("v1")
    assert store.pointer() == Pointer("v1", None)

    store.activate("v2")
    assert store.pointer() == Pointer("v2", "v1")


def test_activating_again_keeps_the_way_back(store):
    store.activate("v1")
    store.activate("v2")
    store.activate("v2")

    assert store.pointer() == Pointer("v2", "v1")


def test_what_is_not_published_whole_is_no_version(store):
    (store.root / "half").mkdir()
    (store.root / ".v9.1.tmp").mkdir()
    (store.root / ".v9.1.tmp" / MANIFEST).write_text("{}")

    assert store.versions() == ["v1", "v2", "v3"]
    with pytest.raises(NotFoundError):
        store.activate("half")
    assert store.pointer() is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"version": "v1"}', "7", b"\xff\xfe"])
def test_a_damaged_pointer_is_told_and_mended_by_the_next_activation(store, content):
    (store.root / POINTER).write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(DamagedVersionError, match=r"active\.json"):
        store.pointer()

    store.activate("v3")
    assert store.pointer() == Pointer("v3", None)


def test_a_pointer_is_whole_at_every_moment(store):
    # Readers look as fast as they can while two threads write: none may see a half-written pointer.
    import threading

    store.activate("v1")
    ended, seen, problems = threading.Event(), set(), []

    def write(versions: list[str]) -> None:
        try:
            for number in range(60):
                store.activate(versions[number % 2])
        except Exception as error:  # whatever it is, the test is to tell
            problems.append(error)

    def look() -> None:
        while not ended.is_set():
            seen.add(store.pointer().version)

    reader = threading.Thread(target=look)
    writers = [threading.Thread(target=write, args=(names,)) for names in (["v1", "v2"], ["v2", "v3"])]
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    ended.set()
    reader.join()

    assert problems == []
    assert seen <= {"v1", "v2", "v3"}
    assert [path.name for path in store.root.glob(f".{POINTER}*")] == []


def test_what_a_killed_worker_left_unfinished_is_gone_after_the_next_version(tmp_path):
    abandoned = tmp_path / ".20261123T000000Z-dead.4711.tmp"
    abandoned.mkdir()
    (abandoned / "half.npy").write_bytes(b"half")

    write_version(tmp_path / "v2", arrays={}, files={}, manifest={"version": "v2"})

    assert sorted(path.name for path in tmp_path.iterdir()) == ["v2"]
