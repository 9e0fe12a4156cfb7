"""Model versions damaged on disk: the last good one is served, and somebody is told."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import shutil

import pytest

from recsvc.storage.signing import Signer

pytestmark = pytest.mark.processes


def flip_a_byte(folder):
    file = folder / "lightfm.embeddings.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 0x01
    replace(file, bytes(content))
    return file.name


def delete_a_file(folder):
    (folder / "lightfm.biases.npy").unlink()
    return "lightfm.biases.npy"


def cut_the_manifest_short(folder):
    file = folder / "manifest.json"
    content = file.read_bytes()
    replace(file, content[: len(content) // 2])
    return file.name


def cut_an_array_short(folder):
    file = folder / "lightfm.embeddings.npy"
    replace(file, file.read_bytes()[:-64])
    return file.name


DAMAGES = [flip_a_byte, delete_a_file, cut_the_manifest_short, cut_an_array_short]


def replace(file, content):
    # A new file in the old one's place: what is mapped of the old one stays as it is.
    temporary = file.with_name("." + file.name)
    temporary.write_bytes(content)
    temporary.replace(file)


def point_to(system, version, previous):
    replace(system.models / "active.json", json.dumps({"version": version, "previous": previous}).encode())


@pytest.fixture
def trained(make_system, trained_twice, eventually):
    """Two versions, the first of them active and served by two processes; nobody trains."""
    instance, first, second = trained_twice
    system = serve_copy_of(instance, make_system())
    web = system.web
    eventually(lambda: len(web.events("model_version_served", version=first)) == 2, "both to serve it")
    return system, first, second


def serve_copy_of(instance, system):
    shutil.copytree(instance, system.instance, dirs_exist_ok=True)
    system.start_redis()
    system.start_web(workers=2)
    return system


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_last_good_version_is_served_where_the_active_one_is_damaged(trained, eventually, damage):
    system, good, damaged = trained
    name = damage(system.models / damaged)

    refused = system.call("POST", f"/model-versions/{damaged}/activate")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert name in refused.json()["detail"]
    point_to(system, damaged, good)

    web = system.web
    eventually(lambda: len(web.events("model_version_refused")) >= 2, "both processes to refuse it")
    state = system.ready()["model"]
    assert damaged in state
    assert name in state
    assert system.call("GET", "/readyz").status_code == 200
    assert {system.recommend()["model_version"] for _ in range(20)} == {good}
    assert all(name in entry["why"] for entry in web.events("model_version_refused"))

    fresh = system.start_web(workers=2)
    system.wait_until_served(good)
    assert fresh.events("model_version_refused")
    assert name in system.ready()["model"]

    system.start_worker()
    version = system.train()
    system.web = web
    system.wait_until_served(version)
    assert system.ready()["model"] == system.ready(web=fresh)["model"] == "ok"


def test_a_damaged_version_that_is_put_right_is_served(trained, eventually):
    system, good, damaged = trained
    kept = system.folder / "kept"
    shutil.copytree(system.models / damaged, kept)
    flip_a_byte(system.models / damaged)
    point_to(system, damaged, good)
    eventually(lambda: system.ready()["model"] != "ok", "the damage to be noticed")

    for file in kept.iterdir():
        replace(system.models / damaged / file.name, file.read_bytes())
    answer = system.call("POST", f"/model-versions/{damaged}/activate")

    assert answer.status_code == 200
    system.wait_until_served(damaged)
    eventually(lambda: {system.ready()["model"] for _ in range(10)} == {"ok"}, "the state to be well again")


def test_versions_deleted_while_they_are_served_stop_nothing(trained, eventually):
    system, first, second = trained
    shutil.rmtree(system.models / first)
    assert {system.recommend()["model_version"] for _ in range(20)} == {first}

    system.start_web()
    eventually(lambda: system.recommend()["strategy"] is not None, "a list")
    assert "cannot be read" in system.ready()["model"]

    system.start_worker()
    assert system.train() not in {first, second}


def test_a_damaged_pointer_leaves_the_served_version_in_place_and_a_training_mends_it(trained, eventually):
    system, first, second = trained
    web = system.web
    pointer = system.models / "active.json"
    replace(pointer, pointer.read_bytes()[:20])

    eventually(lambda: "active.json" in system.ready()["model"], "the damage to be noticed")
    assert {system.recommend()["model_version"] for _ in range(20)} == {first}
    fresh = system.start_web(workers=2)
    assert system.recommend()["items"]
    assert "active.json" in system.ready()["model"]

    system.start_worker()
    version = system.train()
    assert version not in {first, second}
    system.web = web
    system.wait_until_served(version)
    assert system.ready()["model"] == system.ready(web=fresh)["model"] == "ok"


def test_a_web_that_shall_train_on_start_mends_a_damaged_pointer(trained, eventually):
    system, first, second = trained
    replace(system.models / "active.json", b'{"version": "2026')

    system.start_worker()
    system.start_web(workers=2, AUTO_TRAIN_ON_STARTUP="true")

    eventually(lambda: [run["trigger"] for run in system.runs()].count("startup") == 1, "a run to be made")
    version = system.wait_for(system.runs()[0]["run_id"], "succeeded")["model_version"]
    assert version not in {first, second}
    system.wait_until_served(version)
    assert system.ready()["model"] == "ok"


class Poison:
    """What, unpickled, makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_version_that_somebody_without_the_secret_made_is_refused(trained, eventually):
    system, first, second = trained
    poison(system, second, Signer(["a guess at the secret"]))

    refused = system.call("POST", f"/model-versions/{second}/activate")
    assert refused.status_code == 409
    assert "another SECRET_KEY" in refused.json()["detail"]
    point_to(system, second, first)

    eventually(lambda: "another SECRET_KEY" in system.ready()["model"], "the forgery to be noticed")
    assert {system.recommend()["model_version"] for _ in range(20)} == {first}


def poison(system, version, signer):
    """Puts a pickle that does something into a version, and signs for it. Returns what proves that it ran."""
    proof = system.folder / "unpickled"
    content = pickle.dumps(Poison(proof))
    folder = system.models / version
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["signature"]
    manifest["files"]["lightfm.pickle"] = {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    replace(folder / "lightfm.pickle", content)
    manifest["signature"] = signer.sign(json.dumps(manifest, indent=2, sort_keys=True).encode())
    replace(folder / "manifest.json", json.dumps(manifest, indent=2, sort_keys=True).encode())
    return proof, content


def test_the_web_never_unpickles_what_a_version_holds(trained, eventually):
    system, first, second = trained
    proof, content = poison(system, second, Signer([(system.instance / "secret.key").read_text()]))

    assert system.call("POST", f"/model-versions/{second}/activate").status_code == 200
    system.wait_until_served(second)
    system.start_web(workers=2)
    system.wait_until_served(second)
    for path in ("/recommendations/popular", "/items/book-1/similar", f"/model-versions/{second}"):
        assert system.call("GET", path).status_code == 200
    assert system.ready()["model"] == "ok"
    system.start_worker()
    assert system.train() not in {first, second}

    assert not proof.exists()
    pickle.loads(content)
    assert proof.exists(), "the poison would have worked"


def test_a_hundred_random_corruptions_are_noticed_and_stop_no_process(make_system, trained_twice, eventually):
    instance, good, bad = trained_twice
    system = serve_copy_of(instance, make_system(RELOAD_INTERVAL=0.05))
    web = system.web

    def both(event, times=1, **values):
        eventually(lambda: len(web.events(event, **values)) == 2 * times, f"both {event} {times} times")

    both("model_version_served", version=good)
    processes = sorted(web.children())
    chance = random.Random(7)
    files = sorted(file for file in (system.models / bad).iterdir() if file.stat().st_size)
    for time in range(1, 101):
        file = chance.choice(files)
        content = file.read_bytes()
        place = chance.randrange(len(content))
        altered = bytes([content[place] ^ chance.randrange(1, 256)])
        replace(file, content[:place] + (b"" if chance.random() < 0.3 else altered + content[place + 1 :]))
        point_to(system, bad, good)

        both("model_version_refused", time)
        assert bad in system.ready()["model"]
        assert {system.recommend()["model_version"] for _ in range(4)} == {good}
        point_to(system, good, bad)
        both("model_versions_well_again", time)
        assert system.ready()["model"] == "ok"
        replace(file, content)

    assert sorted(web.children()) == processes
    point_to(system, bad, good)
    system.wait_until_served(bad)
