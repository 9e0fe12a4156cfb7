"""`recsvc models …`: what it prints and how it ends."""

from __future__ import annotations

import json

import pytest

from recsvc.services import ingestion, registry, training
from recsvc.services.ingestion import NewInteraction

COMMANDS = ["list", "show", "diff", "activate", "prune", "verify"]


@pytest.fixture
def trained(make_app, sqlite_url):
    """Two versions; the second knows one item more. The second is active."""
    app = make_app(sqlite_url, voices=frozenset({"neighbours", "popularity"}))
    made = []
    with app.app_context():
        for extra in ([], ["late"]):
            for user in range(12):
                for item_id in ["always", f"b{user % 4}", *extra]:
                    ingestion.record(NewInteraction(f"u{user}", item_id, "purchase"))
            run, _ = training.request("manual", requested_by="test")
            training.run(run.run_id)
            made.append(training.get(run.run_id).model_version)
    return made


@pytest.fixture
def damage(trained, make_app, sqlite_url):
    def harm(version):
        with make_app(sqlite_url).app_context():
            (registry.versioned_directory().folder(version) / "likes.npy").write_bytes(b"")

    return harm


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches(recsvc, command):
    code, out, _ = recsvc("models", command, "--help")

    assert code == 0
    assert "--json" in out
    assert len(out.splitlines()) > 5


def test_without_any_version_the_list_says_how_to_get_one(recsvc):
    assert recsvc("models", "list")[:2] == (0, "There is no version yet: recsvc train\n")
    assert recsvc("models", "verify")[:2] == (0, "")
    assert recsvc("models", "prune")[:2] == (0, "There is nothing to prune.\n")


def test_versions_are_listed_newest_first(recsvc, trained):
    code, out, _ = recsvc("models", "list")
    told = json.loads(recsvc("models", "list", "--json")[1])

    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()] == [
        [trained[1], "active"],
        [trained[0], "retired"],
    ]
    assert [one["version"] for one in told] == trained[::-1]
    assert [one["files_kept"] for one in told] == [True, True]


def test_a_version_is_shown(recsvc, trained):
    code, out, _ = recsvc("models", "show", trained[0])
    told = json.loads(recsvc("models", "show", trained[0], "--json")[1])

    assert code == 0
    assert f"{trained[0]}  retired" in out
    assert "interactions: 24" in out
    assert "kept for 4 more trainings" in out
    assert told["manifest"]["data"]["interactions"] == 24
    assert told["kept_until"]["trainings"] == 4


def test_what_changed_is_told(recsvc, trained):
    code, out, _ = recsvc("models", "diff", *trained)
    told = json.loads(recsvc("models", "diff", *trained, "--json")[1])
    back = json.loads(recsvc("models", "diff", *trained[::-1], "--json")[1])

    assert code == 0
    assert "interactions: 24 → 60  (+36)" in out
    assert "items added: 1 (late)" in out
    assert "items removed: 0" in out
    assert told["data"]["items"] == {"before": 5, "after": 6}
    assert (told["items_added"], told["items_removed"]) == (["late"], [])
    assert (back["items_added"], back["items_removed"]) == ([], ["late"])


def test_of_a_damaged_version_the_rest_is_compared(recsvc, trained, damage):
    damage(trained[0])

    code, out, _ = recsvc("models", "diff", *trained)

    assert code == 0
    assert "interactions: 24 → 60" in out
    assert "items added: not known" in out


def test_going_back_is_one_command(recsvc, trained):
    assert recsvc("models", "activate", trained[0])[:2] == (0, f"Version {trained[0]} is active.\n")

    assert json.loads(recsvc("models", "list", "--json")[1])[1]["status"] == "active"
    assert json.loads(recsvc("models", "activate", trained[1], "--json")[1])["status"] == "active"


def test_a_damaged_version_is_not_made_active(recsvc, trained, damage):
    damage(trained[0])

    code, out, err = recsvc("models", "activate", trained[0])

    assert (code, out) == (1, "")
    assert "likes.npy is not the file that was published" in err


def test_what_is_beyond_model_keep_goes(recsvc, trained):
    for settings in ({"MODEL_KEEP": "2"},):
        assert recsvc("models", "prune", **settings)[:2] == (0, "There is nothing to prune.\n")
    assert json.loads(recsvc("models", "prune", "--json", "--dry-run")[1]) == {"pruned": [], "dry_run": True}


def test_versions_are_verified(recsvc, trained, damage):
    code, out, _ = recsvc("models", "verify")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()] == [[version, "ok"] for version in sorted(trained)]

    damage(trained[0])
    code, out, err = recsvc("models", "verify")
    assert code == 1
    assert f"{trained[0]}  damaged: {trained[0]}: likes.npy" in out
    assert "1 of 2 versions must not be served" in err
    code, out, _ = recsvc("models", "verify", "--json")
    assert code == 1
    assert [one["version"] for one in json.loads(out) if one["problem"]] == [trained[0]]
    assert recsvc("models", "verify", trained[1])[0] == 0


def test_with_another_secret_every_version_is_refused(recsvc, trained):
    code, out, _ = recsvc("models", "verify", SECRET_KEY="another secret of this shop")

    assert code == 1
    assert out.count("another SECRET_KEY") == 2


def test_a_version_whose_files_are_missing_is_told(recsvc, trained, make_app, sqlite_url):
    with make_app(sqlite_url).app_context():
        registry.model_store().delete(trained[0])

    code, out, _ = recsvc("models", "verify")

    assert code == 1
    assert f"{trained[0]}: manifest.json cannot be read" in out


@pytest.mark.parametrize(
    "arguments", [["show", "nope"], ["activate", "nope"], ["verify", "nope"], ["diff", "nope", "no"]]
)
def test_a_version_that_is_none_is_told(recsvc, arguments):
    code, out, err = recsvc("models", *arguments)

    assert (code, out, err) == (1, "", "Error: There is no model version nope.\n")
