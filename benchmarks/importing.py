"""How fast `recsvc import` brings interactions into SQLite, from the start of the command to its end.

    python -m benchmarks.importing [--rows N | --data FILE] [--json]

The synthetic file has 50 items a user, drawn evenly from 50,000.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

ITEMS_A_USER = 50
ITEMS = 50_000


def main() -> None:
    """Measures, and prints what it found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="interactions to make up")
    parser.add_argument("--data", type=Path, help="a file in the format pairs, instead")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = arguments.data or _synthetic(Path(folder) / "pairs.txt", arguments.rows)
        figures = measure(file.resolve(), Path(folder))
    print(json.dumps(figures) if arguments.json else _in_words(figures))


def measure(file: Path, folder: Path) -> dict[str, Any]:
    """Imports a file into a new SQLite database.

    Args:
        file: In the format pairs.
        folder: Where the database goes.

    Returns:
        Rows, and seconds and rows a second of the whole command and of the import alone.
    """
    instance = folder / "instance"
    environment = {
        **os.environ,
        "INSTANCE_DIR": str(instance),
        "DATABASE_URL": f"sqlite:///{instance}/recsvc.db",
    }
    _run(environment, "db", "upgrade")
    started = perf_counter()
    outcome = json.loads(_run(environment, "import", "pairs", str(file), "--json"))
    seconds = perf_counter() - started
    return {
        "rows": outcome["read"],
        "stored": outcome["stored"],
        "command_seconds": round(seconds, 2),
        "command_rows_per_second": round(outcome["read"] / seconds),
        "import_seconds": outcome["seconds"],
        "import_rows_per_second": outcome["rows_per_second"],
    }


def _run(environment: dict[str, str], *arguments: str) -> str:
    command = [str(Path(sys.executable).with_name("recsvc")), *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def _synthetic(file: Path, rows: int) -> Path:
    chance = random.Random(42)
    with file.open("w") as lines:
        for user, first in enumerate(range(0, rows, ITEMS_A_USER)):
            items = chance.sample(range(ITEMS), min(ITEMS_A_USER, rows - first))
            lines.write(f"user-{user} {' '.join(f'item-{item}' for item in items)}\n")
    return file


def _in_words(figures: dict[str, Any]) -> str:
    return (
        f"{figures['rows']:,} interactions, {figures['stored']:,} stored\n"
        f"the command    {figures['command_seconds']:.2f} s {figures['command_rows_per_second']:,} rows/s\n"
        f"import alone   {figures['import_seconds']:.2f} s {figures['import_rows_per_second']:,} rows/s"
    )


if __name__ == "__main__":
    main()
