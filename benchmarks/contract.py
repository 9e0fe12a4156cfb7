"""Whether the service keeps to its own OpenAPI document, whatever it is asked: by schemathesis.

    python -m benchmarks.contract [--cases N] [--database sqlite|postgresql] [--seed N]

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
_METHODS = {"get", "put", "post", "patch", "delete"}


def measure(system: SmallSystem, cases: int, seed: int) -> dict[str, Any]:
    """Sends at least so many requests.

    Args:
        system: What is asked.
        cases: How many at the least.
        seed: Of what is random.

    Returns:
        How many requests were sent by phase and answered with which status, and what was found.
    """
    document = httpx.get(f"{system.url}/api/v1/openapi.json").json()
    operations = sum(len(_METHODS & methods.keys()) for methods in document["paths"].values())
    with tempfile.TemporaryDirectory(prefix="recsvc-") as folder:
        events = Path(folder) / "events.ndjson"
        command = [
            str(Path(sys.executable).with_name("uv")),
            "tool",
            "run",
            "--from",
            _SCHEMATHESIS,
            "st",
            "run",
        ]
        command += [f"{system.url}/api/v1/openapi.json", "--header", f"Authorization: Bearer {ADMIN_KEY}"]
        command += ["--checks", ",".join(_CHECKS), "--continue-on-failure", "--no-color"]
        command += ["--max-examples", str(-(-cases // operations)), "--seed", str(seed), "--workers", "2"]
        command += ["--phases", "examples,coverage,fuzzing,stateful", "--report-ndjson-path", str(events)]
        # Requests of thousands of interactions are slow to make up, and answered all the same.
        command += ["--suppress-health-check", "all", "--request-timeout", "60"]
        ended = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
        counted = _counted(events)
    return {"operations": operations, "exit": ended.returncode, **counted, "told": ended.stdout[-8_000:]}


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
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with running(arguments.database) as system:
        found = measure(system, arguments.cases, arguments.seed)
        unexpected = system.log.read_text(encoding="utf-8").count("unexpected_error")
    print(found.pop("told"))
    print(json.dumps(found | {"unexpected_errors_logged": unexpected}, indent=2))
    sys.exit(1 if found["exit"] or unexpected else 0)


if __name__ == "__main__":
    main()
