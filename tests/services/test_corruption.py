"""Random damage to what is published: none of it is served, none stops a web process, and each is told."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, insert, select

from recsvc.extensions import db
from recsvc.services import readiness, registry
from recsvc.services.serving import Serving
from recsvc.storage.artifacts import MANIFEST
from recsvc.storage.database import write_transaction
from recsvc.storage.mirror import Mirror
from recsvc.storage.model_stores.directory import DirectoryStore
from recsvc.storage.models import ModelFileChunk
from recsvc.storage.signing import Signer

Files = dict[str, bytes]


def flip_a_bit(chance: random.Random, files: Files, _other: Files) -> None:
    name = chance.choice(sorted(name for name, content in files.items() if content))
    content = bytearray(files[name])
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    files[name] = bytes(content)


def write_over_bytes(chance: random.Random, files: Files, _other: Files) -> None:
    name = chance.choice(sorted(name for name, content in files.items() if content))
    place = chance.randrange(len(files[name]))
    noise = chance.randbytes(chance.randint(1, 64))
    files[name] = files[name][:place] + noise + files[name][place + len(noise) :]


def cut_short(chance: random.Random, files: Files, _other: Files) -> None:
    name = chance.choice(sorted(name for name, content in files.items() if content))
    files[name] = files[name][: chance.randrange(len(files[name]))]


def lengthen(chance: random.Random, files: Files, _other: Files) -> None:
    name = chance.choice(sorted(files))
    files[name] += chance.randbytes(chance.randint(1, 1000))


def take_away(chance: random.Random, files: Files, _other: Files) -> None:
    del files[chance.choice(sorted(files))]


def swap_two(chance: random.Random, files: Files, _other: Files) -> None:
    one, other = chance.sample(sorted(files), 2)
    files[one], files[other] = files[other], files[one]


def take_another_versions(chance: random.Random, files: Files, other: Files) -> None:
    name = chance.choice(sorted(other))
    files[name] = other[name]


def take_another_versions_manifest(_chance: random.Random, files: Files, other: Files) -> None:
    files[MANIFEST] = other[MANIFEST]


DAMAGES = [
    flip_a_bit,
    write_over_bytes,
    cut_short,
    lengthen,
    take_away,
    swap_two,
    take_another_versions,
    take_another_versions_manifest,
]


def damages(seed: int, times: int, files: Files, other: Files) -> Iterator[Files]:
    """As many different states of a version as are asked for, none of them what was published."""
    chance = random.Random(seed)
    made = 0
    while made < times:
        damaged = dict(files)
        chance.choice(DAMAGES)(chance, damaged, other)
        if damaged != files:
            made += 1
            yield damaged


def read_folder(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_folder(folder: Path, files: Files, present: Files) -> None:
    for name in present.keys() - files.keys():
        (folder / name).unlink()
    for name, content in files.items():
        if present.get(name) != content:
            (folder / name).unlink(missing_ok=True)
            (folder / name).write_bytes(content)


@pytest.fixture
def app(sqlite_app: Flask) -> Flask:
    """What is damaged are files; the kind of database makes no difference."""
    return sqlite_app


@pytest.fixture
def two(shop, train) -> tuple[str, str]:
    return train().model_version, train().model_version


@pytest.mark.parametrize("seed", range(5))
def test_of_damaged_versions_in_the_directory_none_is_served(two, seed):
    good, bad = two
    store = registry.versioned_directory()
    files, other = read_folder(store.folder(bad)), read_folder(store.folder(good))
    present = files
    for damaged in damages(seed, 100, files, other):
        write_folder(store.folder(bad), damaged, present)
        present = damaged
        process = Serving()  # as one that has just started

        assert process.refresh().version == good
        assert process.problem.startswith(f"{bad}: ")

    write_folder(store.folder(bad), files, present)
    assert Serving().refresh().version == bad


class TestInTheDatabase:
    @pytest.fixture
    def app(self, make_app: Callable[..., object], request: pytest.FixtureRequest):
        url = request.getfixturevalue("sqlite_url")
        return make_app(url, model_store="database", secret_key="a secret of this test")

    def write(self, version: str, files: Files) -> None:
        with write_transaction():
            db.session.execute(delete(ModelFileChunk).where(ModelFileChunk.version == version))
            rows = [
                {"version": version, "name": name, "number": 0, "content": content}
                for name, content in files.items()
            ]
            db.session.execute(insert(ModelFileChunk), rows)

    @pytest.mark.parametrize("seed", range(5, 10))
    def test_of_damaged_versions_in_the_database_none_is_served(self, two, seed, tmp_path):
        good, bad = two
        store, signer = registry.model_store(), registry.signer()
        read = {
            version: {
                name: b"".join(store.read(version, name))
                for name in db.session.scalars(
                    select(ModelFileChunk.name).where(ModelFileChunk.version == version)
                )
            }
            for version in two
        }
        store.activate(good)
        serving = DirectoryStore(tmp_path / "serving")
        Mirror(store, serving, signer).update()
        store.activate(bad)
        for number, damaged in enumerate(damages(seed, 100, read[bad], read[good])):
            self.write(bad, damaged)
            # A machine that serves the good one, and one that has nothing yet.
            for machine in (serving, DirectoryStore(tmp_path / f"new-{number}")):
                mirror = Mirror(store, machine, signer, try_again_after=0)
                mirror.update()

                assert mirror.problem.startswith(f"{bad}: ")
                assert machine.pointer().version == good
                assert machine.versions() == [good]
        self.write(bad, read[bad])
        mirror.update()
        assert (mirror.problem, machine.pointer().version) == (None, bad)


def test_a_version_of_another_secret_is_told_by_the_process_that_refuses_it(two, make_app, context):
    app = make_app(context.config["SQLALCHEMY_DATABASE_URI"], secret_key="another secret of this shop")

    with app.app_context():
        state = app.extensions["recsvc.serving"]
        assert state.refresh().version is None
        assert "another SECRET_KEY" in readiness.check()[1]["model"]
        assert readiness.check()[0]
        assert registry.signer().has_signed(b"x", Signer(["another secret of this shop"]).sign(b"x"))
