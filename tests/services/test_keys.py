"""API keys: shown once, kept as a hash, revocable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from recsvc.errors import InvalidInputError, NotFoundError
from recsvc.extensions import db
from recsvc.services import keys
from recsvc.storage.database import write_transaction
from recsvc.storage.models import ApiKey


@pytest.mark.parametrize("role", ["admin", "service", "read"])
def test_a_key_stands_for_its_role(context, role):
    made, key = keys.create(role, "mine")

    assert keys.authenticate(key) == made
    assert (made.role, made.name) == (role, "mine")


def test_neither_the_key_nor_its_secret_is_in_the_database(context):
    _, key = keys.create("read", "mine")

    (row,) = keys.everything()
    kept = " ".join(str(getattr(row, column.key)) for column in ApiKey.__table__.columns)
    assert key.split("_", 2)[2] not in kept
    assert len(row.secret_hash) == 64


@pytest.mark.parametrize(
    "text",
    ["", "recsvc", "recsvc_", "recsvc__", "recsvc_{id}_", "recsvc_{id}_wrong", "x_{id}_{secret}", "é\udc80"],
)
def test_nobody_is_let_in_by_a_wrong_text(context, text):
    _, key = keys.create("admin", "mine")
    _, key_id, secret = key.split("_", 2)

    assert keys.authenticate(text.format(id=key_id, secret=secret)) is None


def test_one_keys_secret_does_not_open_another(context):
    first, second = keys.create("admin", "a")[1], keys.create("read", "b")[1]
    mixed = f"{first.rsplit('_', 1)[0]}_{second.split('_', 2)[2]}" if "_" not in first[13:] else first + "x"

    assert keys.authenticate(mixed) is None


def test_a_revoked_key_lets_nobody_in_and_stays_revoked(context):
    made, key = keys.create("admin", "mine")

    keys.revoke(made.key_id)
    since = keys.everything()[0].revoked_at
    keys.revoke(made.key_id)

    assert keys.authenticate(key) is None
    assert keys.everything()[0].revoked_at == since is not None


def test_what_does_not_exist_cannot_be_revoked(context):
    with pytest.raises(NotFoundError):
        keys.revoke("nope")


def last_used() -> datetime | None:
    db.session.expire_all()
    return keys.everything()[0].last_used_at


def test_the_last_use_is_recorded_at_most_once_a_minute(context):
    _, key = keys.create("read", "mine")
    assert last_used() is None

    keys.authenticate(key)
    first = last_used()
    assert datetime.now(UTC) - first < timedelta(seconds=30)

    keys.authenticate(key)
    assert last_used() == first

    with write_transaction():
        db.session.execute(update(ApiKey).values(last_used_at=first - timedelta(minutes=2)))
    keys.authenticate(key)
    assert last_used() > first - timedelta(minutes=1)


def test_a_wrong_secret_is_no_use(context):
    _, key = keys.create("read", "mine")

    keys.authenticate(key + "x")

    assert last_used() is None


def test_the_key_of_the_settings_is_an_admin(make_app, sqlite_url):
    with make_app(sqlite_url, recsvc_admin_key="correct horse battery").app_context():
        assert keys.authenticate("correct horse battery").role == "admin"
        assert keys.authenticate("correct horse") is None


def test_an_empty_key_in_the_settings_lets_nobody_in(context):
    assert keys.authenticate("") is None


def test_a_name_that_is_too_long_is_refused(context):
    keys.create("read", "x" * 200)
    with pytest.raises(InvalidInputError, match="200"):
        keys.create("read", "x" * 201)
