"""Web processes that share no disk, with a model store between them and the worker, as on Heroku."""

from __future__ import annotations

import shutil

import pytest

pytestmark = pytest.mark.processes

WITHIN = 5.0  # seconds


@pytest.fixture(params=["database", "s3"])
def apart(request, make_system, postgresql_url):
    """A web and a worker that each have a disk of their own, with a model store between them."""
    store = request.getfixturevalue("bucket") if request.param == "s3" else "database"
    system = make_system(
        DATABASE_URL=postgresql_url, MODEL_STORE=store, SECRET_KEY="a secret of these hosts", MODEL_KEEP=2
    )
    system.start_redis()

    def disk(name):
        return {"INSTANCE_DIR": system.folder / name}

    system.disk = disk
    system.first = system.start_web(workers=2, **disk("web-1"))
    system.worker = system.start_worker(**disk("worker"))
    system.fill()
    return system


def versions_on(system, name):
    folder = system.folder / name / "models"
    return sorted(path.name for path in folder.iterdir() if path.name[0] != "." and path.is_dir())


def test_what_a_third_trained_both_serve_within_five_seconds_and_so_what_was_rolled_back(apart, eventually):
    system = apart
    webs = (system.first, system.start_web(workers=2, **system.disk("web-2")))

    def served_by_all(version):
        return all(
            len(web.events("model_version_served", version=version)) == times[version] * 2 for web in webs
        )

    trained, times = [], {}
    for _ in range(3):
        run = system.wait_for(system.request_training(), "succeeded")
        trained.append(run["model_version"])
        times[run["model_version"]] = 1
        eventually(lambda: served_by_all(trained[-1]), "both webs to serve it", within=WITHIN)
    for web in webs:
        assert {system.recommend(web=web)["model_version"] for _ in range(20)} == {trained[-1]}
        assert set(system.ready(web=web).values()) == {"ok"}

    back = trained[1]
    assert system.call("POST", f"/model-versions/{back}/activate", web=system.first).status_code == 200
    times[back] = 2
    eventually(lambda: served_by_all(back), "both webs to serve the earlier one", within=WITHIN)
    listed = system.call("GET", "/model-versions").json()["model_versions"]
    assert {one["version"]: (one["status"], one["files_kept"]) for one in listed} == {
        trained[0]: ("retired", False),
        trained[1]: ("active", True),
        trained[2]: ("retired", True),
    }
    assert system.call("POST", f"/model-versions/{trained[0]}/activate").status_code == 409
    for name in ("web-1", "web-2"):
        assert versions_on(system, name) == trained[1:]
    assert not (system.instance / "models").exists()


def test_a_web_that_comes_up_with_an_empty_disk_serves_at_once_and_then_the_model(apart, eventually):
    system = apart
    version = system.train()
    system.first.kill()
    shutil.rmtree(system.folder / "web-1")

    fresh = system.start_web(workers=2, **system.disk("web-1"))

    assert system.recommend()["items"]
    eventually(
        lambda: len(fresh.events("model_version_served", version=version)) == 2, "the model", within=WITHIN
    )
    assert len(fresh.events("model_version_copied")) == 1  # for both of its processes


def test_a_web_killed_while_it_copies_leaves_nothing_that_is_served(apart, eventually):
    system = apart

    def is_served(version):
        return len(system.web.events("model_version_served", version=version)) == 2

    first = system.train()
    for _ in range(3):
        run = system.wait_for(system.request_training(), "succeeded")
        system.web.kill()
        system.start_web(workers=2, **system.disk("web-1"))
        eventually(lambda run=run: is_served(run["model_version"]), "the model", within=WITHIN)
    assert run["model_version"] != first

    # What it was at when it was killed goes with the next version that it copies.
    last = system.train()
    eventually(lambda: is_served(last), "the last model", within=WITHIN)
    assert not list((system.folder / "web-1" / "models").glob(".*.tmp"))


def test_with_another_secret_the_last_good_version_is_served_and_it_is_told(apart, eventually):
    system = apart
    webs = (system.first, system.start_web(workers=2, **system.disk("web-2")))
    good = system.train()
    for web in webs:
        eventually(
            lambda web=web: len(web.events("model_version_served", version=good)) == 2, "all to serve it"
        )
    assert system.worker.terminate() == 0

    system.start_worker(**system.disk("worker"), SECRET_KEY="not the secret of these hosts")
    run = system.wait_for(system.request_training(), "succeeded")

    bad = run["model_version"]
    for web in webs:
        eventually(
            lambda web=web: len(web.events("model_version_refused")) >= 2, "both processes to notice it"
        )
        assert {system.recommend(web=web)["model_version"] for _ in range(20)} == {good}
        told = system.ready(web=web)["model"]
        assert bad in told
        assert "another SECRET_KEY" in told
        assert system.call("GET", "/readyz", web=web).status_code == 200
