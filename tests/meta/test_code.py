"""Rules about the code itself."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import grimp

from jobs.schedule import periodic_jobs
from recsvc import queues
from recsvc.config import Config

ROOT = Path(__file__).parents[2]

# Imports every module in a process that is told of each connection and each file opened for writing.
IMPORT_EVERYTHING = """
import os, pkgutil, importlib, sys
touched = []
def look(event, arguments):
    if event in {"socket.connect", "sqlite3.connect", "subprocess.Popen"}:
        touched.append((event, str(arguments[1:] if event == "socket.connect" else arguments)))
    elif event == "open":
        path, mode, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if isinstance(flags, int) else 0
        if writes and "__pycache__" not in str(path) and str(path) != os.devnull:
            touched.append((event, str(path)))
sys.dont_write_bytecode = True
import recsvc, jobs
sys.addaudithook(look)
for package in (recsvc, jobs):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if ".migrations" not in module.name:
            importlib.import_module(module.name)
assert len([name for name in sys.modules if name.split(".")[0] in {"recsvc", "jobs"}]) > 40
print(touched)
"""


def job_names() -> list[str]:
    return [
        value
        for name, value in vars(queues).items()
        if name.isupper() and isinstance(value, str) and value.startswith("jobs.")
    ]


def test_every_job_that_is_enqueued_by_name_exists():
    assert len(job_names()) >= 4
    for name in job_names():
        module, _, function = name.rpartition(".")
        assert callable(getattr(importlib.import_module(module), function)), name


def test_every_queue_that_is_used_has_a_worker(tmp_path):
    named = {queues.TRAINING, queues.MAINTENANCE}
    scheduled = {job.queue for job in periodic_jobs(Config(instance_dir=tmp_path))}

    assert named | scheduled == set(queues.QUEUES)


def test_every_periodic_job_is_one_that_exists(tmp_path):
    assert {job.function for job in periodic_jobs(Config(instance_dir=tmp_path))} <= set(job_names())


def test_importing_connects_to_nothing_and_writes_nothing(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERYTHING],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []


def test_no_module_imports_itself_in_a_circle():
    graph = grimp.build_graph("recsvc", "jobs", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    done: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join([*path[path.index(module) :], module])
        if module not in done:
            for imported in sorted(imports[module]):
                walk(imported, (*path, module))
            done.add(module)

    for module in sorted(imports):
        walk(module, ())
    assert len(done) > 40


def test_the_procfile_names_web_worker_scheduler_and_release():
    lines = (ROOT / "Procfile").read_text().splitlines()

    assert [line.partition(":")[0] for line in lines] == ["web", "worker", "scheduler", "release"]


def test_what_starts_a_process_is_short():
    for name in ("wsgi.py", "worker.py", "scheduler.py"):
        assert len((ROOT / name).read_text().splitlines()) < 20, name
