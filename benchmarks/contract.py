"""Whether the service keeps to its own OpenAPI document, whatever it is asked: by schemathesis.

    python -m benchmarks.contract [--cases N] [--stateful-seconds N] [--database sqlite|postgresql] [--seed N]

The examples of the document, the edges of its schemas, and random requests, right and wrong, are sent with
an admin's key to a web of two processes; then sequences of them, where one answers what another takes. Told
and counted are 5xx, statuses and content types that the document does not name, and answers that break
their schemas. schemathesis is fetched by uv, which is among the development requirements. Ends with 1 where
anything was found.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from benchmarks.small_system import ADMIN_KEY, SmallSystem, running

_SCHEMATHESIS = "schemathesis>=4.4,<5"
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
_TOLD = 8_000  # characters
_METHODS = {"get", "put", "post", "patch", "delete"}


def measure(system: SmallSystem, cases: int, stateful_seconds: int, seed: int) -> list[dict[str, Any]]:
    """Sends at least so many requests.

    Args:
        system: What is asked.
        cases: How many at the least, sequences left out.
        stateful_seconds: How long sequences are sent.
        seed: Of what is random.

    Returns:
        Of single requests, and of sequences: what was told, how many there were by phase, and by status.
    """
    document = httpx.get(f"{system.url}/api/v1/openapi.json").json()
    operations = sum(len(_METHODS & methods.keys()) for methods in document["paths"].values())
    # Some operations take so little that there are not so many different requests.
    each = -(-cases * 3 // (2 * operations))
    return [
        _run(system, "--phases", "examples,coverage,fuzzing", "--max-examples", str(each), seed=seed),
        _run(system, "--phases", "stateful", "--max-time", str(stateful_seconds), seed=seed),
    ]


def _run(system: SmallSystem, *options: str, seed: int) -> dict[str, Any]:
    uv = str(Path(sys.executable).with_name("uv"))
    with tempfile.TemporaryDirectory(prefix="recsvc-") as folder:
        events = Path(folder) / "events.ndjson"
        command = [
            uv,
            "tool",
            "run",
            "--from",
            _SCHEMATHESIS,
            "st",
            "run",
            f"{system.url}/api/v1/openapi.json",
        ]
        command += ["--header", f"Authorization: Bearer {ADMIN_KEY}", "--checks", ",".join(_CHECKS)]
        command += ["--continue-on-failure", "--no-color", "--seed", str(seed), "--workers", "2"]
        # Requests of thousands of interactions are slow to make up, and answered all the same.
        command += ["--suppress-health-check", "all", "--request-timeout", "60", *options]
        command += ["--report-ndjson-path", str(events)]
        ended = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
        return {"told": ended.stdout[-_TOLD:], "exit": ended.returncode, **_counted(events)}


def _counted(events: Path) -> dict[str, Any]:
    phases: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    with events.open(encoding="utf-8") as lines:
        for line in lines:
            (kind, event), *_ = json.loads(line).items()
            if kind != "ScenarioFinished":
                continue
            for interaction in event["recorder"].get("interactions", {}).values():
                phases[event["phase"]] += 1
                response = interaction.get("response")
                statuses[str(response["status_code"]) if response else "no answer"] += 1
    return {
        "cases": sum(phases.values()),
        "by_phase": dict(phases),
        "by_status": dict(sorted(statuses.items())),
    }


def main() -> None:
    """Reads the arguments, tries, and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--stateful-seconds", type=int, default=120)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with running(arguments.database) as system:
        runs = measure(system, arguments.cases, arguments.stateful_seconds, arguments.seed)
        unexpected = system.log.read_text(encoding="utf-8").count("unexpected_error")
    for run in runs:
        print(run.pop("told"))
    print(json.dumps({"runs": runs, "unexpected_errors_logged": unexpected}, indent=2))
    print(f"{sum(run['cases'] for run in runs):,} cases")
    sys.exit(1 if unexpected or any(run["exit"] for run in runs) else 0)


if __name__ == "__main__":
    main()
