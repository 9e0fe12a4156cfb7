"""What the console says, in both languages, and how little script it needs."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

import jobs
from recsvc import console, errors
from recsvc.console import words
from recsvc.console.languages import TRANSLATIONS
from recsvc.sentences import Sentence

FOLDER = Path(console.__file__).parent
CATALOGUE = TRANSLATIONS / "pt_BR" / "LC_MESSAGES" / "messages.po"
ERRORS = [name for name in vars(errors) if name.endswith("Error")]
FIRST_ARGUMENT = dict.fromkeys([*ERRORS, "RowError", "Sentence"], (1,))
KEYWORDS = {**DEFAULT_KEYWORDS, "_l": None, "_setting": (3,), **FIRST_ARGUMENT}
METHODS = [("console/templates/**.html", "jinja2"), ("**.py", "python")]
PLACEHOLDER = re.compile(r"%\(\w+\)s|%%")


def said() -> set:
    """Every message of the sources."""
    folders = (FOLDER.parent, Path(jobs.__file__).parent)
    return {found[2] for folder in folders for found in extract_from_dir(folder, METHODS, keywords=KEYWORDS)}


def translated() -> dict:
    with CATALOGUE.open("rb") as file:
        return {message.id: message for message in read_po(file) if message.id}


def test_no_message_is_untranslated_and_none_is_left_over():
    kept = translated()

    assert len(kept) > 300
    assert said() - kept.keys() == set()
    assert kept.keys() - said() == set()
    assert [message.id for message in kept.values() if not message.string or message.fuzzy] == []


def test_translations_keep_their_placeholders():
    for message in translated().values():
        pairs = (
            zip(message.id, message.string, strict=True)
            if message.pluralizable
            else [(message.id, message.string)]
        )
        for english, portuguese in pairs:
            assert sorted(PLACEHOLDER.findall(english)) == sorted(PLACEHOLDER.findall(portuguese)), english


def test_what_is_compiled_is_what_is_translated():
    with CATALOGUE.with_suffix(".mo").open("rb") as file:
        compiled = {hashable(message.id): hashable(message.string) for message in read_mo(file) if message.id}

    assert compiled == {name: hashable(message.string) for name, message in translated().items()}


def hashable(text: str | list[str] | tuple[str, ...]) -> str | tuple[str, ...]:
    return text if isinstance(text, str) else tuple(text)


@pytest.fixture
def app(make_app, sqlite_url):
    return make_app(sqlite_url)


@pytest.mark.parametrize(
    ("asked", "language"),
    [
        ("", "en"),
        ("pt-BR,pt;q=0.9,en;q=0.8", "pt-BR"),
        ("pt-PT", "pt-BR"),
        ("pt", "pt-BR"),
        ("de,en;q=0.5", "en"),
        ("de", "en"),
        ("en-GB,en;q=0.9,pt;q=0.1", "en"),
    ],
)
def test_a_page_speaks_what_the_browser_asks_for(app, asked, language):
    page = app.test_client().get("/console/sign-in", headers={"Accept-Language": asked}).text

    assert f'<html lang="{language}"' in page
    assert ("Chave de administrador" in page) == (language == "pt-BR")


def test_a_language_that_was_chosen_goes_before_the_browsers(app):
    client = app.test_client()
    answer = client.get("/console/language/pt_BR?onward=/console/sign-in?onward=/console/keys/")
    assert answer.location == "/console/sign-in?onward=/console/keys/"

    assert "Chave de administrador" in client.get("/console/sign-in", headers={"Accept-Language": "en"}).text
    client.get("/console/language/tlh")
    assert "Chave de administrador" in client.get("/console/sign-in").text


@pytest.mark.parametrize(
    ("language", "told"),
    [
        (
            "en",
            "The model is 3 days old. Send cart and view as well: each tells something else. 41 % of 1,234.",
        ),
        (
            "pt-BR",
            "O modelo tem 3 dias. Envie também cart e view: cada um diz algo diferente. 41 % of 1.234.",
        ),
    ],
)
def test_sentences_of_the_service_are_told_in_the_visitors_language(app, language, told):
    sentences = [
        Sentence("The model is %(span)s old.", span=timedelta(days=3)),
        Sentence("Send %(others)s as well: each tells something else.", others=("cart", "view")),
        Sentence("%(share)s of %(number)s.", share=0.408, number=1_234),
    ]
    with app.test_request_context(headers={"Accept-Language": language}):
        assert " ".join(map(words.sentence, sentences)) == told


def test_the_api_speaks_english_whatever_the_browser_asks_for(app):
    answer = app.test_client().get("/api/v1/status", headers={"Accept-Language": "pt-BR"})

    assert answer.status_code == 401
    assert "Send a valid API key" in answer.json["detail"]


def test_script_written_by_hand_is_short():
    lines = [
        line for file in sorted((FOLDER / "assets").glob("*.js")) for line in file.read_text().splitlines()
    ]

    assert 50 < len(lines) < 200
