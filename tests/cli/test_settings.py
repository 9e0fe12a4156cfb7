"""Settings: each is read, checked and shown; a wrong one is refused by name, with what it takes."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest

from recsvc.config import Config, InvalidSettingError

WRONG = {
    "DATABASE_URL": [
        "shop.db",
        "mysql://u:hunter2@h/d",
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql://u:hunter2@h:x/d",
    ],
    "DATABASE_TIMEOUT": ["0", "61", "nan", "soon"],
    "DATABASE_CONNECTIONS": ["1", "101", "1.5"],
    "DATABASE_STATEMENT_TIMEOUT": ["0", "601", "nan"],
    "JWT_JWKS_URL": ["shop.example/jwks", "file:///etc/passwd", "https://"],
    "JWT_SECRET": ["hunter2", "hunter2hunter2hunter2hunter2"],
    "RATE_LIMITS": ["5/minute", "user", "user=often", "boss=5/minute", "user=5/minute,"],
    "INTERACTION_RETENTION_DAYS": ["-1", "36501", "1.5", "never"],
    "ATTRIBUTION_SAMPLE": ["-0.1", "1.1", "nan", "all"],
    "ATTRIBUTION_DAYS": ["0", "366", "x"],
    "EXPERIMENT": ["a", "a,a", "a,b,2", "a,b,c", "a,b,0.1,c", "a,b c", ",b"],
    "REDIS_URL": ["localhost:6379", "http://:hunter2@h", "redis://:hunter2@h:x/0"],
    "REDIS_TLS_VERIFY": ["none"],
    "SECRET_KEY": ["hunter2", "hunter2hunter2hunter2é"],
    "SECRET_KEY_FALLBACKS": ["hunter2", "long-enough-a-secret,hunter2"],
    "MODEL_STORE": ["models", "s3", "s3://", "s3:///models", "gs://bucket", "s3://bucket?versioned"],
    "MODEL_KEEP": ["1", "1001"],
    "RECSVC_ADMIN_KEY": ["hunter2", "hunter2hunter2hunter2é"],
    "METRICS_TOKEN": ["hunter2", "hunter2hunter2hunter2é"],
    "AUTO_TRAIN_ON_STARTUP": ["perhaps", "2"],
    "TRAIN_SCHEDULE": ["daily", "0 0 * *", "60 0 * * *", "0 0 30 2 *", "0 0 * * * *", "a b c d e"],
    "TUNE_SCHEDULE": ["weekly", "0 3 * *", "0 0 30 2 *"],
    "TUNE_MINUTES": ["0", "1441", "0.5"],
    "TRAIN_TIMEOUT": ["0", "86401", "1.5"],
    "GATE_TOLERANCE": ["-0.01", "1.1", "nan", "5%"],
    "TRAIN_THREADS": ["0", "257"],
    "TRAIN_SEED": ["-1", "2147483648", "x"],
    "EVENT_WEIGHTS": ["view", "view=", "=1", "view=much", "view=-1", "a b=1", "view=1001", f"{'x' * 33}=1"],
    "RATING_NEUTRAL": ["x", "1001", "nan"],
    "RATING_BEST": ["x", "-1001"],
    "UNKNOWN_ITEMS": ["ignore", "CREATE"],
    "HALF_LIFE_DAYS": ["-1", "1e-50", "0.04", "100001", "nan", "never"],
    "VOICES": [",", "lightfm,choir"],
    "MODEL_NEIGHBOURS": ["0", "10001"],
    "MODEL_FACTORS": ["0", "4097"],
    "MODEL_COMPONENTS": ["0", "1025"],
    "MODEL_EPOCHS": ["0", "1001"],
    "MODEL_LEARNING_RATE": ["0", "11"],
    "MODEL_ALPHA": ["-0.1", "2"],
    "MODEL_MAX_SAMPLED": ["0", "1001"],
    "RELOAD_INTERVAL": ["0", "5"],
    "MAINTENANCE_INTERVAL": ["0", "3601"],
    "SCHEDULER_INTERVAL": ["0", "301"],
    "MAX_BODY_BYTES": ["999", "1e6"],
    "LOG_LEVEL": ["loud", "debug"],
    "LOG_FORMAT": ["xml"],
}
ANYTHING_GOES = {
    "INSTANCE_DIR",  # checked against the file system
    "SEEN_EVENTS",  # checked against EVENT_WEIGHTS
    "JWT_ISSUER",
    "JWT_AUDIENCE",
}
SECRET = {
    "DATABASE_URL",
    "REDIS_URL",
    "RECSVC_ADMIN_KEY",
    "JWT_SECRET",
    "METRICS_TOKEN",
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
}


def read(**environment: str) -> Config:
    return Config.from_environment(environment)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_a_wrong_value_is_refused_by_name_with_what_it_got_and_takes(name, text):
    with pytest.raises(InvalidSettingError) as refused:
        read(**{name: text})

    (entry,) = [entry for entry in fields(Config) if entry.name.upper() == name]
    message = str(refused.value)
    assert message.startswith(f"{name} got ")
    assert message.endswith(f"it takes {entry.metadata['takes'].takes}")
    assert (repr(text) in message) == (name not in SECRET)
    assert "hunter2" not in message


def test_every_setting_that_can_be_wrong_has_been_tried():
    known = {entry.name.upper() for entry in fields(Config)}

    assert (WRONG.keys() | ANYTHING_GOES) - known == set()
    untried = known - WRONG.keys() - ANYTHING_GOES
    assert {name for name in untried if _refuses_something(name)} == set()


def _refuses_something(name: str) -> bool:
    (entry,) = [entry for entry in fields(Config) if entry.name.upper() == name]
    try:
        entry.metadata["takes"].parse("\x00 neither this nor that")
    except (ValueError, KeyError):
        return True
    return False


def test_all_wrong_settings_are_told_at_once():
    with pytest.raises(InvalidSettingError) as refused:
        read(TRAIN_SEED="x", LOG_LEVEL="loud")

    assert [line.split()[0] for line in str(refused.value).splitlines()] == ["TRAIN_SEED", "LOG_LEVEL"]


def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(InvalidSettingError, match="SEEN_EVENTS names stare"):
        read(SEEN_EVENTS="view,stare")
    with pytest.raises(InvalidSettingError, match="RATING_BEST=2 must be above RATING_NEUTRAL=3"):
        read(RATING_BEST="2", RATING_NEUTRAL="3")


@pytest.mark.parametrize("store", ["database", "s3://bucket/shop"])
def test_a_store_that_hosts_share_needs_a_secret_that_they_share(store):
    with pytest.raises(InvalidSettingError, match=rf"^SECRET_KEY got nothing.*MODEL_STORE={store}"):
        read(MODEL_STORE=store)

    assert read(MODEL_STORE=store, SECRET_KEY="s" * 16).model_store == store


def test_what_a_file_says_of_a_bucket_reaches_the_client_that_reads_the_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_REGION", "AWS_ACCESS_KEY_ID"):
        monkeypatch.setenv(name, "of the environment")
    monkeypatch.delenv("AWS_REGION")
    (tmp_path / ".env").write_text("AWS_REGION=of the file\nAWS_ACCESS_KEY_ID=of the file\n")

    Config.from_environment()

    assert os.environ["AWS_REGION"] == "of the file"
    assert os.environ["AWS_ACCESS_KEY_ID"] == "of the environment"


def test_several_earlier_secrets_are_taken():
    assert read(SECRET_KEY_FALLBACKS=f"{'a' * 16}, {'b' * 16}").secret_key_fallbacks == ("a" * 16, "b" * 16)


@pytest.mark.parametrize(("dyno", "verified"), [(None, True), ("web.1", False)])
def test_a_redis_that_signs_its_own_certificate_is_trusted_on_heroku_alone(monkeypatch, dyno, verified):
    monkeypatch.delenv("DYNO", raising=False)
    if dyno:
        monkeypatch.setenv("DYNO", dyno)

    assert read().redis_tls_verify is verified
    assert read(REDIS_TLS_VERIFY="true").redis_tls_verify is True


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_url_that_heroku_hands_out_is_rewritten(scheme):
    assert read(DATABASE_URL=f"{scheme}://u:p@h:5432/d").database_url == "postgresql+psycopg://u:p@h:5432/d"


def test_an_empty_setting_is_its_default():
    assert read(TRAIN_SEED="", TRAIN_SCHEDULE="  ").train_seed == 42
    assert read(TRAIN_SCHEDULE="  ").train_schedule == "0 0 * * *"


def test_settings_are_read_as_what_they_are():
    config = read(
        AUTO_TRAIN_ON_STARTUP="Yes",
        EVENT_WEIGHTS="view=1, skip=-0.5",
        SEEN_EVENTS="skip, view",
        TRAIN_THREADS="3",
    )

    assert config.auto_train_on_startup is True
    assert config.event_weights == {"view": 1.0, "skip": -0.5}
    assert config.seen_events == {"skip", "view"}
    assert config.train_threads == 3


@pytest.mark.parametrize(("text", "value"), [("0", None), ("0.0", None), ("0.05", 0.05), ("30", 30)])
def test_a_half_life_is_more_than_an_hour_or_none(text, value):
    assert read(HALF_LIFE_DAYS=text).half_life == value


def test_the_default_database_is_in_the_instance_folder(tmp_path):
    assert read(INSTANCE_DIR=str(tmp_path)).database_url == f"sqlite:///{tmp_path}/recsvc.db"


def test_a_relative_database_file_is_one_file_for_whoever_opens_it(tmp_path, make_app, redis, monkeypatch):
    # The web process, the migrations and the bulk read once had three ideas of where it is.
    from flask_migrate import upgrade

    from recsvc.services.catalogue import ItemContent, put_item
    from recsvc.storage.columns import read_items

    monkeypatch.chdir("/")
    config = read(INSTANCE_DIR=str(tmp_path), DATABASE_URL="sqlite:///shop.db")
    assert config.database_url == f"sqlite:///{tmp_path}/shop.db"
    app = make_app("sqlite:///shop.db")
    with app.app_context():
        upgrade()
        put_item("b1", ItemContent())
        assert len(read_items(app.extensions["recsvc.config"].database_url)["item_key"]) == 1


def test_dotenv_is_read_below_the_environment(environment, tmp_path):
    (tmp_path / ".env").write_text("TRAIN_SEED=7\nTRAIN_TIMEOUT=60\n# LOG_LEVEL=ERROR\nMODEL_EPOCHS\n")
    environment(TRAIN_TIMEOUT="90")

    config = Config.from_environment()

    assert (config.train_seed, config.train_timeout, config.model_epochs) == (7, 90, Config().model_epochs)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DATABASE_URL", "postgresql://shop:hunter2@db.example/shop"),
        ("DATABASE_URL", "postgresql://shop:hunter2#x@db.example/shop"),
        ("DATABASE_URL", "postgresql://shop:hun[hunter2@db.example/shop"),
        ("DATABASE_URL", "postgresql://shop@db.example/shop?password=hunter2&sslmode=require"),
        ("REDIS_URL", "redis://:hunter2@redis.example:6379/0"),
        ("REDIS_URL", "rediss://user:hunter2@redis.example:6379/0"),
        ("REDIS_URL", "redis://redis.example:6379/0?password=hunter2"),
        ("RECSVC_ADMIN_KEY", "hunter2-hunter2-hunter2"),
        ("RECSVC_ADMIN_KEY", "https://hunter2.example/"),
    ],
)
def test_secrets_are_masked_where_settings_are_shown(name, text):
    (shown,) = [setting["value"] for setting in read(**{name: text}).describe() if setting["name"] == name]

    assert "hunter2" not in shown
    assert "••••" in shown
    if "example/shop" in text or "redis.example" in text:
        assert "example" in shown


def test_what_is_shown_would_set_the_same(tmp_path):
    config = read(INSTANCE_DIR=str(tmp_path), EVENT_WEIGHTS="view=1,buy=2.5", SEEN_EVENTS="buy")
    shown = {setting["name"]: setting["value"] for setting in config.describe()}

    assert Config.from_environment(shown) == config
    assert all(setting["meaning"] and setting["takes"] for setting in config.describe())
    assert {setting["name"] for setting in config.describe()} == {e.name.upper() for e in fields(Config)}


def test_the_default_instance_folder_is_absolute():
    assert read().instance_dir.is_absolute()
    assert read().models_dir == Path("instance").resolve() / "models"
