"""How long a version takes into each model store and out of it again, and how much memory that takes.

    python -m benchmarks.stores --size MB --store URL [--json]

URL: a folder, `sqlite:///FILE`, `postgresql://…` or `s3://BUCKET/PREFIX` (with AWS_… in the environment). A
database is migrated first. The version holds random numbers. Into a store: as `publish` does. Out of it: as a
web process copies it, every byte checked. Beside that, in the same run, what copying its files takes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from flask_migrate import upgrade

from benchmarks.measuring import Stages
from recsvc.config import DATABASE_URL, Config
from recsvc.extensions import db
from recsvc.factory import create_app
from recsvc.storage.artifacts import write_files
from recsvc.storage.mirror import copy_version
from recsvc.storage.model_stores import ModelStore
from recsvc.storage.model_stores.database import DatabaseStore
from recsvc.storage.model_stores.directory import DirectoryStore
from recsvc.storage.model_stores.s3 import S3Store
from recsvc.storage.signing import Signer

_VERSION = "benchmark"
_FILES = 5


@contextmanager
def opened(url: str, scratch: Path) -> Iterator[ModelStore]:
    """The model store of a URL."""
    if url.startswith("s3://"):
        yield S3Store(url)
    elif "://" not in url:
        Path(url).mkdir(parents=True, exist_ok=True)
        yield DirectoryStore(Path(url))
    else:
        app = create_app(replace(Config(instance_dir=scratch), database_url=DATABASE_URL.parse(url)))
        with app.app_context():
            upgrade()
            yield DatabaseStore(db.engine)
            db.session.remove()
            db.engine.dispose()


def measure(store: ModelStore, megabytes: float, scratch: Path) -> dict[str, Any]:
    """Publishes a version, copies it out, and deletes it.

    Args:
        store: Where to.
        megabytes: How large.
        scratch: A folder on a disk with room for three of them.
    """
    signer, made = Signer(["a secret of this benchmark"]), scratch / "made"
    made.mkdir()
    numbers = np.random.default_rng(0).random(int(megabytes * 1e6 / 8 / _FILES))
    arrays = {f"array-{number}": numbers for number in range(_FILES)}
    write_files(made, arrays=arrays, files={}, manifest={"version": _VERSION}, signer=signer)
    del arrays, numbers
    shutil.copytree(made, scratch / "given")
    copied = scratch / "copied"
    copied.mkdir()
    stages = Stages()

    def timed(name: str, call: Callable[[], Any]) -> None:
        with stages.stage(name):
            call()

    timed("copy files", lambda: shutil.copytree(made, scratch / "plain"))
    timed("publish", lambda: store.publish(_VERSION, scratch / "given"))
    try:
        timed("copy out", lambda: copy_version(store, _VERSION, signer, copied))
    finally:
        began = perf_counter()
        store.delete(_VERSION)
        stages.seconds["delete"] = perf_counter() - began
    return {
        "megabytes": megabytes,
        "seconds": {name: round(seconds, 2) for name, seconds in stages.seconds.items() if name[0] != "("},
        "extra_memory_mb": {
            name: round(peak - stages.start_mb, 1) for name, peak in stages.peak_mb.items() if name[0] != "("
        },
    }


def main() -> None:
    """Reads the arguments and prints what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=float, default=250, help="megabytes")
    parser.add_argument("--store", required=True, help="a URL, as above")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recsvc-") as folder:
        scratch = Path(folder)
        with opened(arguments.store, scratch) as store:
            found = measure(store, arguments.size, scratch)
    if arguments.json:
        print(json.dumps(found))
        return
    for name, seconds in found["seconds"].items():
        memory = found["extra_memory_mb"].get(name)
        beside = "" if memory is None else f"  {memory:6.0f} MB of memory"
        print(f"{name:12}{seconds:7.2f} s{beside}")


if __name__ == "__main__":
    main()
