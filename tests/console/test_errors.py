"""What goes wrong, told in Portuguese to whoever reads Portuguese, while the API says it in English."""

from __future__ import annotations

import io
import json

import pytest

from recsvc.console import words
from recsvc.errors import (
    ConflictError,
    ModelStoreUnavailableError,
    TrainingError,
    UnreadableFileError,
)
from recsvc.extensions import db
from recsvc.sentences import Sentence
from recsvc.services import registry, training
from recsvc.services.importing import uploads
from recsvc.services.serving import serving
from recsvc.storage.artifacts import FORMAT
from recsvc.storage.models import now

KEY = "admin-key-of-the-settings"
IN_PORTUGUESE = {"Accept-Language": "pt-BR"}


@pytest.fixture
def app(make_app, sqlite_url):
    return make_app(sqlite_url, recsvc_admin_key=KEY)


@pytest.fixture
def operator(operator):
    """An operator who reads Portuguese."""
    operator.client.get("/console/language/pt_BR")
    return operator


@pytest.fixture
def api(app):
    """Asks the API for something as a browser that prefers Portuguese would."""
    headers = {"Authorization": f"Bearer {KEY}", **IN_PORTUGUESE}
    client = app.test_client()
    return lambda path, method="GET": client.open(f"/api/v1/{path}", method=method, headers=headers)


def told(operator, answer, status):
    assert answer.status_code == status
    return operator.words(answer.get_data(as_text=True))


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("training/nowhere", "Não existe treino nowhere."),
        ("catalogue/item?item_id=100%25", "Não existe item 100%."),
        ("explorer/item?item_id=%25(name)s", "Não existe item %(name)s."),
        ("import/nowhere", "Não existe importação nowhere."),
        ("versions/compare?before=v1&after=v2", "Não existe versão do modelo v1."),
    ],
)
def test_an_operator_is_told_in_portuguese_what_does_not_exist(operator, page, says):
    assert says in operator.say(page, 404)


def test_a_key_that_does_not_exist_cannot_be_revoked(operator):
    answer = operator.send("keys/", "keys/nowhere/revoke")

    assert "Não existe chave nowhere." in told(operator, answer, 404)


def test_the_api_says_in_english_what_does_not_exist(api):
    answer = api("training-runs/nowhere")

    assert answer.status_code == 404
    assert answer.json["detail"] == "There is no training run nowhere."
    assert answer.json["code"] == "training_run_not_found"


def test_an_operator_is_told_in_portuguese_why_a_version_cannot_be_activated(app, operator, api, trained):
    with app.app_context():
        manifest = registry.versioned_directory().folder(trained) / "manifest.json"
        content = json.loads(manifest.read_text())
        manifest.write_text(json.dumps(content | {"bytes": 1}))

    page = told(operator, operator.send("versions/", f"versions/{trained}/activate"), 409)
    answer = api(f"model-versions/{trained}/activate", "POST")

    assert f"A versão {trained} não pode ser ativada. {trained}: manifest.json foi alterado" in page
    assert answer.json["detail"] == (
        f"Version {trained} cannot be activated. {trained}: manifest.json was altered, or signed with another"
        " SECRET_KEY. Train again, or add the SECRET_KEY that it was made with to SECRET_KEY_FALLBACKS."
    )


def test_an_operator_is_told_in_portuguese_when_a_versions_files_were_deleted(app, operator, trained):
    with app.app_context():
        registry.get(trained).pruned_at = now()
        db.session.commit()

    page = told(operator, operator.send("versions/", f"versions/{trained}/activate"), 409)

    assert f"A versão {trained} não pode ser ativada: seus arquivos foram apagados em 20" in page


def test_the_overview_tells_in_portuguese_why_the_active_version_cannot_be_served(app, operator, trained):
    with app.app_context():
        (registry.versioned_directory().folder(trained) / "manifest.json").write_text("{}")
        serving()._view = None
        serving().refresh()

    said = operator.say("overview")

    assert f"{trained}: manifest.json não é do formato {FORMAT}. Treine de novo." in said


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"name": "shop.xlsx"}, "O nome do arquivo deve terminar em .csv ou .jsonl, com ou sem .gz."),
        ({"content": b""}, "O arquivo está vazio."),
        ({"name": ""}, "Escolha antes um arquivo."),
        ({"kind": "100%s"}, "'100%s' não é um destes: interactions, items, users."),
        ({"event": "teleport"}, "Evento desconhecido: 'teleport'; deve ser um destes: view,"),
    ],
)
def test_an_operator_is_told_in_portuguese_why_an_upload_is_refused(operator, form, says):
    form = {"kind": "items", "event": "view", "content": b"x", "name": "a.csv", **form}
    file = (io.BytesIO(form.pop("content")), form.pop("name"))

    assert says in told(operator, operator.send("import/", "import/", file=file, **form), 422)


def test_an_operator_is_told_in_portuguese_that_redis_is_away(make_app, sqlite_url, tmp_path, sign_in):
    app = make_app(sqlite_url, recsvc_admin_key=KEY, redis_url=f"unix://{tmp_path}/nobody.sock")
    operator = sign_in(app)
    operator.client.get("/console/language/pt_BR")

    page = told(operator, operator.send("training/", "training/start"), 503)

    assert "O Redis não responde, então nenhum treino pode entrar na fila." in page


def test_an_operator_is_told_in_portuguese_that_a_run_has_ended_already(operator, trained, app):
    with app.app_context():
        run_id = registry.get(trained).run_id

    page = told(operator, operator.send("training/", f"training/{run_id}/cancel"), 409)

    assert f"O treino {run_id} já terminou: concluído." in page


def test_an_operator_is_told_in_portuguese_that_a_run_failed_without_interactions(app, operator, api):
    with app.app_context():
        run_id = training.request("manual", requested_by="test")[0].run_id
        training.run(run_id)

    why = "Não há interações com que aprender; envie algumas e treine de novo."
    assert why in operator.say(f"training/{run_id}")
    assert f"O último treino falhou: {why}" in operator.say("overview")
    assert api(f"training-runs/{run_id}").json["error"] == (
        "There are no interactions to learn from; write some, and train again."
    )


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            "The model version cannot be written: [Errno 28] No space left on device",
            "A versão do modelo não pode ser gravada: [Errno 28]",
        ),
        (
            "The active version cannot be read: The pointer in s3://a changes all the time.",
            "A versão ativa não pode ser lida: O ponteiro em s3://a muda o tempo todo.",
        ),
        (
            "The training took longer than TRAIN_TIMEOUT=3600 seconds.",
            "O treino levou mais que TRAIN_TIMEOUT=3600 segundos.",
        ),
        ("AbandonedJobError: The worker died twice.", "AbandonedJobError: O worker morreu duas vezes."),
        ("The worker died, and the queue lost its job.", "O worker morreu, e a fila perdeu sua tarefa."),
        ("ValueError: 100% of %(this)s is %s.", "ValueError: 100% of %(this)s is %s."),
    ],
)
def test_an_operator_is_told_in_portuguese_why_a_run_failed(app, operator, api, error, says):
    with app.app_context():
        run_id = training.request("manual", requested_by="test")[0].run_id
        training.fail(run_id, error)

    assert says in operator.say(f"training/{run_id}")
    assert f"O último treino falhou: {says}" in operator.say("overview")
    assert api(f"training-runs/{run_id}").json["error"] == error


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (
            b"customer,view\na,b\n",
            "100%.csv",
            "100%.csv não tem a coluna user_id, item_id; tem customer, view. Indique a coluna que"
            " contém user_id com --map user_id=COLUMN.",
        ),
        (b"user_id,user_id\na,b\n", "shop.csv", "shop.csv nomeia uma coluna duas vezes: user_id, user_id."),
        (b"\xff\xfe\x00garbage", "shop.csv", "shop.csv"),
        (b"not a gzip file", "shop.csv.gz", "shop.csv.gz não pode ser lido: Not a gzipped file"),
        (b"\n", "shop.csv", "shop.csv não tem a coluna"),
    ],
)
def test_an_operator_is_told_in_portuguese_why_an_import_failed(app, operator, content, name, says):
    data = {"file": (io.BytesIO(content), name), "kind": "interactions", "event": "view"}
    import_id = operator.send("import/", "import/", **data).location.rpartition("/")[2]
    with app.app_context():
        uploads.work_on(import_id)

    assert says in operator.say(f"import/{import_id}")


def test_an_operator_is_told_in_portuguese_which_rows_are_refused_and_why(app, operator):
    content = b"user_id,item_id,event\n,book-2,view\nbea,book-1,teleport\nbea\n" + b"x" * 300 + b",b,view\n"
    data = {"file": (io.BytesIO(content), "shop.csv"), "kind": "interactions", "event": "view"}
    import_id = operator.send("import/", "import/", **data).location.rpartition("/")[2]
    with app.app_context():
        uploads.work_on(import_id)
        reasons = uploads.get(import_id).outcome["reasons"]

    said = operator.say(f"import/{import_id}")

    assert reasons["user_id is missing"] == 1
    for why in (
        "user_id está faltando",
        "o evento não está configurado: 'teleport'",
        "menos colunas que o cabeçalho",
        "user_id não tem de 1 a 255 caracteres imprimíveis",
    ):
        assert why in said


def test_an_operator_is_told_in_portuguese_why_an_item_cannot_be_stored(operator, shop):
    form = {"item_id": "crime-1", "title": "x" * 1001}
    page = told(operator, operator.send("catalogue/item?item_id=crime-1", "catalogue/item", **form), 422)
    assert "title não tem de 1 a 1000 caracteres sem caracteres de controle" in page

    form = {"item_id": "crime-1", "features": "100%"}
    page = told(operator, operator.send("catalogue/item?item_id=crime-1", "catalogue/item", **form), 422)
    assert "Uma característica se escreve como nome: valor, uma por linha: 100%" in page


def test_a_sentence_in_a_sentence_is_told_in_the_same_language(app):
    inner = Sentence("The pointer in %(url)s changes all the time.", url="s3://100%")
    error = ConflictError("Version %(version)s cannot be activated. %(why)s", version="%(x)s", why=inner)

    with app.test_request_context(headers=IN_PORTUGUESE):
        assert words.sentence(error.words) == (
            "A versão %(x)s não pode ser ativada. O ponteiro em s3://100% muda o tempo todo."
        )
    assert error.detail == "Version %(x)s cannot be activated. The pointer in s3://100% changes all the time."


def test_what_is_no_sentence_of_ours_is_told_as_it_was_kept(app):
    with app.test_request_context(headers=IN_PORTUGUESE):
        for text in ("", "100%", "%(why)s", "Nobody wrote this.", "a: b cannot be read: " * 10_000):
            assert words.kept(text) == text


@pytest.mark.parametrize(
    "error",
    [
        ModelStoreUnavailableError("There is no bucket for %(url)s.", url="s3://a"),
        UnreadableFileError("%(file)s cannot be read: %(why)s.", file="100%.csv", why="It is a folder"),
        UnreadableFileError(
            "%(file)s has no column %(missing)s; it has %(columns)s. Name the column that holds %(field)s"
            " with --map %(field)s=COLUMN.",
            file="100%.csv",
            missing="item_id",
            columns="item, user",
            field="item_id",
        ),
        TrainingError(
            "The active version cannot be read: %(why)s",
            why=Sentence("The pointer in %(url)s changes all the time.", url="s3://a"),
        ),
    ],
)
def test_a_text_that_was_kept_is_told_as_the_error_that_it_comes_from(app, error):
    with app.test_request_context(headers=IN_PORTUGUESE):
        assert words.kept(error.detail) == words.sentence(error.words) != error.detail
