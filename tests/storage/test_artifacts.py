"""A version on disk is there whole or not at all, and a damaged one is never served."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsvc.errors import DamagedVersionError
from recsvc.storage import artifacts
from recsvc.storage.artifacts import MANIFEST, read_file, temporary_folder, write_files
from recsvc.storage.model_stores.directory import DirectoryStore
from recsvc.storage.signing import Signer

SIGNER = Signer(["a secret of these tests"])

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
        store = DirectoryStore(tmp_path / "models")
        given = {"arrays": ARRAYS, "files": {"notes.txt": b"hello"}, "manifest": {"version": version}}
        with temporary_folder(store.folder(version)) as folder:
            write_files(folder, **({"signer": SIGNER} | given | changes))
            store.publish(version, folder)
        return store.folder(version)

    return write


def open_version(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    return artifacts.open_version(folder, SIGNER)


def signed(content: dict[str, Any]) -> str:
    """A manifest of that content, signed as one ought to be."""
    unsigned = json.dumps(content, indent=2, sort_keys=True).encode()
    return json.dumps(content | {"signature": SIGNER.sign(unsigned)}, indent=2, sort_keys=True)


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
        "[" * 100_000,
        '{"format": 4, "version": "v1", "files": {}}',
        '{"format": 4, "version": "v1", "files": {}, "signature": 7}',
        signed({"format": 1, "version": "v1", "files": {}}),
        signed({"format": 4, "version": "other", "files": {}}),
        signed({"format": 4, "version": "v1"}),
        signed({"format": 4, "version": "v1", "files": {"a.npy": {}}}),
        signed({"format": 4, "version": "v1", "files": ["a.npy"]}),
        signed({"format": 4, "version": "v1", "files": {"../a.npy": {"bytes": 1, "sha256": ""}}}),
        signed({"format": 4, "version": "v1", "files": {}}) + " ",
        signed({"format": 4, "version": "v1", "files": {}}).replace("\n", "\r", 1),
    ],
    ids=range(14),
)
def test_a_manifest_that_cannot_be_trusted_is_refused(publish, content):
    folder = publish()
    (folder / MANIFEST).write_text(content)

    with pytest.raises(DamagedVersionError, match=r"^v1: manifest\.json"):
        open_version(folder)


def test_a_version_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(DamagedVersionError, match=r"manifest\.json cannot be read"):
        open_version(tmp_path)


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
    del manifest["signature"]
    (folder / MANIFEST).write_text(signed(manifest))

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


def test_a_manifest_that_is_signed_with_another_secret_is_refused_and_says_what_to_do(publish):
    folder = publish(signer=Signer(["another secret"]))

    with pytest.raises(DamagedVersionError, match=r"^v1: manifest\.json .* another SECRET_KEY\. Train again"):
        open_version(folder)


def test_an_earlier_secret_is_still_good_but_signs_no_more(publish):
    folder = publish()
    both = Signer(["a newer secret of these tests", "a secret of these tests"])

    assert artifacts.open_version(folder, both)[0]["version"] == "v1"
    with pytest.raises(DamagedVersionError):
        open_version(publish("v2", signer=both))


def test_a_manifest_of_another_version_is_refused_though_it_is_signed(publish):
    folder, other = publish("v1"), publish("v2")
    (folder / MANIFEST).write_bytes((other / MANIFEST).read_bytes())

    with pytest.raises(DamagedVersionError, match=r"^v1: manifest\.json is that of v2"):
        open_version(folder)


def test_every_single_bit_of_a_manifest_counts(publish):
    folder = publish(arrays={}, files={})
    content = (folder / MANIFEST).read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            altered = bytearray(content)
            altered[place] ^= 1 << bit
            (folder / MANIFEST).write_bytes(bytes(altered))
            with pytest.raises(DamagedVersionError):
                open_version(folder)


def test_a_file_is_read_only_where_all_of_them_are_what_was_published(publish):
    folder = publish()
    assert read_file(folder, "notes.txt", SIGNER) == b"hello"
    assert read_file(folder, "other.txt", SIGNER) is None

    flip(folder / "item_keys.npy")
    with pytest.raises(DamagedVersionError, match=r"item_keys\.npy"):
        read_file(folder, "notes.txt", SIGNER)


def test_what_a_killed_worker_left_unfinished_is_gone_after_the_next_version(publish, tmp_path):
    abandoned = tmp_path / "models" / ".20261123T000000Z-dead.4711.tmp"
    abandoned.mkdir(parents=True)
    (abandoned / "half.npy").write_bytes(b"half")

    publish("v2")

    assert [path.name for path in abandoned.parent.iterdir()] == ["v2"]


def test_what_another_process_is_at_is_left_alone(publish, tmp_path):
    with temporary_folder(tmp_path / "models" / "v1") as busy:
        publish("v2")
        assert busy.is_dir()

    assert [path.name for path in (tmp_path / "models").iterdir()] == ["v2"]


def test_folders_made_and_swept_side_by_side_are_not_lost(tmp_path):
    # Each looks for what was abandoned before it makes its own: none may take another's that is just made.
    import threading

    problems = []

    def make() -> None:
        try:
            for _ in range(100):
                with temporary_folder(tmp_path / "v1") as folder:
                    (folder / "file").write_bytes(b"")
        except OSError as error:
            problems.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    assert list(tmp_path.iterdir()) == []
