"""What web processes do when they start."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.processes


def test_four_web_processes_that_start_without_a_model_ask_for_one_training(system, eventually):
    web = system.start_web()
    system.fill()
    assert web.terminate() == 0

    web = system.start_web(workers=4, AUTO_TRAIN_ON_STARTUP="true")
    eventually(system.runs, "a training to be asked for")
    worker = system.start_worker()
    run = eventually(system.runs, "the run")[0]
    version = system.wait_for(run["run_id"], "succeeded")["model_version"]
    system.wait_until_served(version)
    assert web.terminate() == 0
    web = system.start_web(workers=4, AUTO_TRAIN_ON_STARTUP="true")
    eventually(lambda: len(web.events("model_version_served")) == 4, "all to serve the model")
    eventually(system.queue_is_idle, "the worker to be free")

    assert [entry["trigger"] for entry in system.runs()] == ["startup"]
    assert worker.is_alive


def test_web_processes_that_start_beside_a_free_worker_ask_for_one_training(system, eventually):
    worker = system.start_worker()
    worker.says("Listening on")

    web = system.start_web(workers=4, AUTO_TRAIN_ON_STARTUP="true")
    eventually(system.runs, "a training to be asked for")
    eventually(lambda: web.open_files("recsvc.db") == 4, "all web processes to look at the database")
    assert web.terminate() == 0
    system.start_web()
    eventually(system.queue_is_idle, "the worker to be free")

    assert [(entry["trigger"], entry["status"]) for entry in system.runs()] == [("startup", "failed")]


def test_a_web_that_shall_not_train_on_start_does_not(system, eventually):
    web = system.start_web(workers=2)
    system.fill()
    web.terminate()
    system.start_web(workers=2)

    assert system.recommend()["strategy"] == "popular"
    assert system.runs() == []


def test_a_web_that_shall_train_on_start_serves_although_redis_is_away(make_system):
    system = make_system(AUTO_TRAIN_ON_STARTUP="true")
    system.migrate()

    web = system.start_web(workers=2)

    assert system.recommend()["strategy"] == "popular"
    web.says("refresh_waits")
    assert system.runs() == []


def test_a_worker_that_starts_before_the_database_is_migrated_waits_for_it(make_system):
    system = make_system()
    system.start_redis()
    worker = system.start_worker()
    worker.says("waiting_for_redis_or_database")

    system.migrate()
    system.start_web()
    system.fill()

    system.train()
    assert worker.is_alive


def test_a_start_up_training_is_asked_for_once_redis_and_the_database_are_there(make_system, eventually):
    system = make_system(AUTO_TRAIN_ON_STARTUP="true")
    system.start_web(workers=2)
    system.migrate()
    system.start_redis()

    run = eventually(system.runs, "a training to be asked for")[0]

    assert run["trigger"] == "startup"


def test_a_wrong_setting_ends_every_process_with_its_name_and_no_traceback(make_system, eventually):
    system = make_system(MODEL_EPOCHS=0)
    for process in (system.start_worker(), system.start_scheduler()):
        eventually(lambda process=process: not process.is_alive, "the process to end")
        assert process.exit_code == 1
        assert process.log.strip() == "recsvc: MODEL_EPOCHS got '0'; it takes a whole number from 1 to 1000"
