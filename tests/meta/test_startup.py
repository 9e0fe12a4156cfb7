"""What is imported at the start is no business of the garbage collector's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def told_by(script: str, **settings: str) -> str:
    """What a new process prints: whoever tries this must not freeze what the tests have."""
    return subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=settings, capture_output=True, text=True, check=True
    ).stdout.strip()


IMPORT = """
import gc
from recsvc.startup import imports_that_stay
with imports_that_stay():
    was_enabled = gc.isenabled()
    import json.decoder
"""


def test_the_collector_is_still_while_modules_are_imported_and_never_looks_at_them_afterwards():
    told = told_by(f"""{IMPORT}
looked_at = {{id(thing) for thing in gc.get_objects()}}
print(was_enabled, id(json.decoder.JSONDecoder) in looked_at)
""")

    assert told == "False False"


def test_what_comes_later_is_collected_as_ever():
    told = told_by(f"""{IMPORT}
import weakref
class Thing: pass
thing = Thing(); thing.itself = thing
left = weakref.ref(thing)
del thing
print(gc.isenabled(), left() is not None, gc.collect() > 0, left())
""")

    assert told == "True True True None"


def test_the_collector_works_again_where_an_import_fails():
    told = told_by("""
import gc
from recsvc.startup import imports_that_stay
try:
    with imports_that_stay():
        import nothing_of_that_name
except ImportError:
    print(gc.isenabled())
""")

    assert told == "True"


@pytest.mark.parametrize(
    "start", ["import wsgi", "import worker", "import scheduler", "from recsvc.cli import main; main()"]
)
def test_every_process_keeps_what_it_imports(start, tmp_path):
    script = f"""
import atexit, gc, sys
atexit.register(lambda: print("kept", gc.get_freeze_count() > 50_000))
sys.argv = ["recsvc", "--help"]
{start}
"""
    told = told_by(script, INSTANCE_DIR=str(tmp_path))

    assert told.splitlines()[-1] == "kept True"


def test_web_processes_are_forked_with_libraries_but_with_nothing_of_ours_and_no_threads(tmp_path):
    told = told_by(
        """
import os, runpy, sys
runpy.run_path("gunicorn.conf.py")
print(*sorted(name for name in sys.modules if name.startswith(("recsvc", "jobs"))))
print({"flask", "numpy", "sqlalchemy.orm"} <= sys.modules.keys(), len(os.listdir("/proc/self/task")))
""",
        TMPDIR=str(tmp_path),
    )

    assert told.splitlines() == ["recsvc recsvc.refusals recsvc.startup", "True 1"]
