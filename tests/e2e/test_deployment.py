"""What a platform hands out is taken: PORT, WEB_CONCURRENCY, and a Redis that signs its own certificate."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_web_listens_where_and_as_often_as_it_is_told(system, eventually):
    port = free_port()

    web = system.start("web", PORT=port, WEB_CONCURRENCY=3)

    web.says(f"Listening at: http://0.0.0.0:{port}")
    eventually(lambda: len(web.children()) == 3, "three web processes")
    answer = httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False, timeout=60)
    assert answer.status_code == 200


@pytest.mark.parametrize("name", ["web", "worker", "scheduler", "release"])
def test_every_process_logs_lines_of_json_to_standard_output(system, eventually, name):
    told = subprocess.Popen(
        system.command(name),
        cwd=ROOT,
        env=system.environment(PORT=free_port(), LOG_LEVEL="INFO"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert told.stdout is not None
    first = told.stdout.readline()  # the release step says nothing where all is well
    with contextlib.suppress(subprocess.TimeoutExpired):
        told.wait(5)
    told.terminate()
    rest, err = told.communicate(timeout=25)

    assert err == ""
    assert all(isinstance(json.loads(line), dict) for line in (first + rest).splitlines())
    assert bool(first) == (name != "release")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Signed by itself, as that of a Heroku Redis is, and for another host's name."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis.example.org")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "redis.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


# Speaks TLS on a port, and carries what it hears to a socket: the bundled Redis cannot do so by itself.
TLS = """
import asyncio, ssl, sys
certificate, path = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate)

async def carry(reader, writer):
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def accept(reader, writer):
    inside = await asyncio.open_unix_connection(path)
    await asyncio.gather(carry(reader, inside[1]), carry(inside[0], writer), return_exceptions=True)

async def main():
    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    print("listens on", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@pytest.fixture
def tls_port(system, certificate: Path) -> int:
    """A port where the system's Redis speaks TLS."""
    command = [sys.executable, "-c", TLS, str(certificate), str(system.folder / "redis.sock")]
    server = system.run_beside("tls", command)
    server.says("listens on ")
    return int(server.log.split("listens on ")[1].split()[0])


@pytest.mark.parametrize("trusting", [{"DYNO": "worker.1"}, {"REDIS_TLS_VERIFY": "false"}])
def test_a_redis_that_signs_its_own_certificate_is_worked_with(system, tls_port, trusting):
    settings = {"REDIS_URL": f"rediss://:@127.0.0.1:{tls_port}/0", **trusting}
    system.start_web(**settings)
    worker, scheduler = system.start_worker(**settings), system.start_scheduler(**settings)
    system.fill()

    system.train()

    assert system.ready()["redis"] == "ok"
    scheduler.says("Registering birth")
    assert [process.terminate(within=25) for process in (worker, scheduler)] == [0, 0]


def test_rates_are_limited_over_a_certificate_that_nobody_vouches_for(system, tls_port):
    system.start_web(
        REDIS_URL=f"rediss://:@127.0.0.1:{tls_port}/0", REDIS_TLS_VERIFY="false", RATE_LIMITS="user=2/minute"
    )
    token = system.call("POST", "/tokens", {"user_id": "ana", "ttl_seconds": 60}).json()["token"]

    def call() -> int:
        return system.call("GET", "/recommendations", Authorization=f"Bearer {token}").status_code

    assert [call() for _ in range(3)] == [200, 200, 429]


def test_elsewhere_a_certificate_that_nobody_vouches_for_is_refused(system, tls_port):
    settings = {"REDIS_URL": f"rediss://:@127.0.0.1:{tls_port}/0"}
    system.start_web(**settings)
    worker = system.start_worker(**settings)

    assert system.ready()["redis"].startswith("Redis does not answer")
    worker.says("CERTIFICATE_VERIFY_FAILED")
    assert system.call("POST", "/recommendations/train").status_code == 503


def commands() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: command.strip() for name, _, command in (line.partition(":") for line in lines)}


def test_compose_runs_what_the_procfile_does():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]

    assert {name: services[name]["command"] for name in commands()} == commands()
    assert services.keys() - commands().keys() == {"db", "redis"}
    for name in commands():
        settings = services[name]["environment"]
        assert settings["MODEL_STORE"] == "database"
        assert {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"} <= settings.keys()


def compose() -> list[str]:
    """Docker's own command or plugin, whichever is here."""
    for command in (["docker", "compose"], ["docker-compose"]):
        with contextlib.suppress(FileNotFoundError):
            if subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
                return command
    pytest.skip("neither docker compose nor docker-compose is here")


@pytest.mark.parametrize(("secret", "succeeds"), [({"SECRET_KEY": "s" * 32}, True), ({}, False)])
def test_docker_takes_the_compose_file_and_demands_a_secret(secret, succeeds):
    ended = subprocess.run(
        [*compose(), "config"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **secret},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode == 0) is succeeds, ended.stderr
    assert "SECRET_KEY" in ended.stdout + ended.stderr


def test_the_image_has_all_that_the_commands_name():
    copied = (ROOT / "Dockerfile").read_text()

    for command in commands().values():
        for word in command.split():
            if (ROOT / word).is_file():
                assert f" {word}" in copied
    assert "gunicorn.conf.py" in copied
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for line in copied.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            assert {f"!{name}" for name in line.split()[1:-1]} <= set(ignored)


def test_the_heroku_button_makes_what_the_recipe_makes():
    app = json.loads((ROOT / "app.json").read_text())

    assert app["formation"].keys() == commands().keys() - {"release"}
    assert app["env"]["MODEL_STORE"]["value"] == "database"
    assert app["env"]["SECRET_KEY"]["generator"] == "secret"
    assert [addon.partition(":")[0] for addon in app["addons"]] == ["heroku-postgresql", "heroku-redis"]
