"""English and Portuguese, by the visitor's choice or else by what their browser asks for."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Flask, has_request_context, request, session
from flask_babel import Babel, get_locale

LANGUAGES = {"en": "English", "pt_BR": "Português"}
TRANSLATIONS = Path(__file__).parent / "translations"


def speak(app: Flask, console: Blueprint) -> None:
    """Lets the console's pages speak the visitor's language."""
    Babel(
        app,
        default_locale="en",
        default_translation_directories=str(TRANSLATIONS),
        locale_selector=_choose,
    )

    @console.context_processor
    def languages() -> dict[str, object]:
        return {"languages": LANGUAGES, "language": str(get_locale()), "lang_tag": _tag()}


def _choose() -> str:
    if not has_request_context():
        return "en"
    chosen = session.get("language")
    if chosen in LANGUAGES:
        return str(chosen)
    asked = request.accept_languages.best_match(["en", "pt", "pt-BR", "pt-PT"], default="en")
    return "pt_BR" if asked.startswith("pt") else "en"


def _tag() -> str:
    return str(get_locale()).replace("_", "-")
