"""Training runs and model versions, as an operator sees and starts them."""

from __future__ import annotations

from recsvc import queues
from recsvc.extensions import db
from recsvc.services import (
    registry,
    training,
)

KEY = "admin-key-of-the-settings"


def test_a_training_is_started_and_cancelled(app, operator, shop):
    answer = operator.send("training/", "training/start", reason="New shelf", force="yes")

    run_id = answer.location.rpartition("/")[2]
    with app.app_context():
        run = training.get(run_id)
        assert (run.status, run.reason, run.force) == ("queued", "New shelf", True)
        assert run.requested_by == "key RECSVC_ADMIN_KEY"
        assert queues.training_job_is_alive(run_id)
    page = operator.look(f"training/{run_id}")
    assert "<progress" in page
    assert "data-poll" in page

    operator.send(f"training/{run_id}", f"training/{run_id}/cancel")
    with app.app_context():
        assert training.get(run_id).status == "cancelled"
    assert "data-poll" not in operator.look(f"training/{run_id}")


def test_a_second_start_leads_to_the_run_that_is_under_way(operator, shop):
    first = operator.send("training/", "training/start")
    second = operator.send(f"training/{first.location.rpartition('/')[2]}", "training/start")

    assert second.location == first.location
    assert "under way already" in operator.say("training/")


def test_a_training_cannot_be_started_while_redis_is_away(make_app, sqlite_url, tmp_path, sign_in, operator):
    app = make_app(sqlite_url, recsvc_admin_key=KEY, redis_url=f"unix://{tmp_path}/nobody.sock")
    answer = sign_in(app).send("training/", "training/start")

    assert answer.status_code == 503
    assert "Redis does not answer" in operator.words(answer.get_data(as_text=True))


def test_a_run_that_ended_tells_its_stages_and_the_gate(app, operator, trained):
    with app.app_context():
        run_id = registry.get(trained).run_id

    said = operator.say(f"training/{run_id}")

    assert "succeeded" in said
    assert "Too little data to tell" in said
    for stage in ("read", "build", "evaluate", "fit", "publish", "activate"):
        assert stage in said


def test_a_failed_run_tells_why(app, operator):
    with app.app_context():
        run, _ = training.request("manual", requested_by="test")
        training.fail(run.run_id, "The disk is full.")

    assert "The disk is full." in operator.say(f"training/{run.run_id}")
    assert "The last training failed" in operator.say("overview")


def test_the_gates_decision_is_told_from_its_figures(app, operator):
    compared = {
        "users": 600,
        "ndcg_at_10": 0.12,
        "recall_at_20": 0.19,
        "candidate": {"ndcg_at_10": 0.21, "recall_at_20": 0.3},
        "difference": {
            "ndcg_at_10": {"mean": 0.09, "low": 0.064, "high": 0.116},
            "recall_at_20": {"mean": -0.01, "low": -0.02, "high": -0.001},
        },
    }
    gate = {"decision": "rejected", "reason": "…", "candidate": {}, "popularity": compared, "active": None}
    with app.app_context():
        run, _ = training.request("manual", requested_by="test")
        training.training_runs.change(run.run_id, status="rejected", gate=gate)
        db.session.commit()

    said = operator.say(f"training/{run.run_id}")

    assert "Rejected" in said
    assert "what is popular, among 600 users NDCG@10 0.2100 0.1200" in said
    assert "+0.0900 (+0.0640 … +0.1160) surely better" in said
    assert "Recall@20 0.3000 0.1900 −0.0100 (−0.0200 … −0.0010) surely worse" in said


def test_a_version_is_activated(app, operator, trained):
    with app.app_context():
        run, _ = training.request("manual", requested_by="test")
        training.run(run.run_id)
        newer = training.get(run.run_id).model_version
        assert registry.model_store().pointer().version == newer

    operator.send("versions/", f"versions/{trained}/activate")

    with app.app_context():
        assert registry.model_store().pointer().version == trained
    page = operator.look(f"versions/compare?before={trained}&after={newer}")
    assert "0 came, 0 went" in operator.words(page)


def test_the_experiment_is_told(make_app, sqlite_url, sign_in):
    from recsvc.config import Experiment

    app = make_app(sqlite_url, recsvc_admin_key=KEY, experiment=Experiment("a", "b", 0.1))

    said = sign_in(app).say("versions/")

    assert "is served to 10" in said
    assert "None is under way" not in said
