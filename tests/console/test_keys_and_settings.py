"""Keys and settings."""

from __future__ import annotations

import re

KEY = "admin-key-of-the-settings"


def test_a_key_is_shown_once_and_works_and_is_revoked(app, operator):
    page = operator.send("keys/", "keys/", role="read", name="newsletter").get_data(as_text=True)
    secret = re.search(r"recsvc_\w+_[\w-]+", page)[0]
    key_id = secret.split("_")[1]
    assert secret not in operator.look("keys/")

    def may_read() -> int:
        headers = {"Authorization": f"Bearer {secret}"}
        return app.test_client().get("/api/v1/items", headers=headers).status_code

    assert may_read() == 200
    assert "never" not in operator.say("keys/")
    operator.send("keys/", f"keys/{key_id}/revoke")
    assert may_read() == 401
    assert "revoked" in operator.say("keys/")


def test_a_key_needs_a_role_that_there_is(operator):
    assert operator.send("keys/", "keys/", role="boss").status_code == 422


def test_settings_tell_what_is_in_force_and_where_it_came_from(
    make_app, sqlite_url, tmp_path, monkeypatch, sign_in
):
    from recsvc import create_app
    from recsvc.config import Config

    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("MODEL_KEEP=7\nTRAIN_SEED=1\n")
    monkeypatch.setenv("TRAIN_SEED", "9")
    monkeypatch.setenv("RECSVC_ADMIN_KEY", KEY)
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    config = Config.from_environment()
    page = sign_in(create_app(config)).look("settings/")

    rows = {
        row.split()[0]: row for row in map(words_of, re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)) if row
    }
    assert " 7 .env" in rows["MODEL_KEEP"]
    assert " 9 environment" in rows["TRAIN_SEED"]
    assert rows["GATE_TOLERANCE"].endswith("default")
    assert KEY not in page


def words_of(part: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", part).split())
