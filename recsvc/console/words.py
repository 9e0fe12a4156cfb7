"""The field's own words in the visitor's language, and how moments, spans and numbers are written."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import zip_longest

from babel.lists import format_list
from babel.messages.mofile import read_mo
from flask import Flask
from flask_babel import (
    format_datetime,
    format_decimal,
    format_number,
    format_percent,
    format_timedelta,
    get_locale,
    gettext,
)
from flask_babel import lazy_gettext as _l
from markupsafe import Markup, escape

from recsvc.console.languages import TRANSLATIONS
from recsvc.sentences import Sentence, Value

WORDS = {
    # statuses of runs, versions and imports
    "queued": _l("queued"),
    "running": _l("running"),
    "succeeded": _l("succeeded"),
    "rejected": _l("rejected"),
    "failed": _l("failed"),
    "cancelled": _l("cancelled"),
    "active": _l("active"),
    "retired": _l("retired"),
    "candidate": _l("candidate"),
    "checking": _l("being checked"),
    "checked": _l("checked"),
    "storing": _l("being stored"),
    "stored": _l("stored"),
    # what asked for a run
    "schedule": _l("schedule"),
    "manual": _l("by hand"),
    "startup": _l("start-up"),
    # stages of a run
    "read": _l("read"),
    "build": _l("build"),
    "evaluate": _l("evaluate"),
    "gate": _l("gate"),
    "fit": _l("fit"),
    "publish": _l("publish"),
    "activate": _l("activate"),
    # events
    "view": _l("view"),
    "cart": _l("cart"),
    "purchase": _l("purchase"),
    "rating": _l("rating"),
    "like": _l("like"),
    "dislike": _l("dislike"),
    "wishlist": _l("wishlist"),
    "remove_from_cart": _l("removed from cart"),
    # where a list comes from
    "personal": _l("personal: trained on their history"),
    "folded_in": _l("folded in: computed from their history since the last training"),
    "features": _l("from features: nothing done yet that the model knows"),
    "popular": _l("popular: nothing is known of them"),
    "similar": _l("similar items"),
    # what is counted and measured
    "interactions": _l("interactions"),
    "users": _l("users"),
    "items": _l("items"),
    "ndcg_at_10": "NDCG@10",
    "recall_at_20": "Recall@20",
    # what requests need
    "database": _l("database"),
    "migrations": _l("migrations"),
    "redis": "Redis",
    "model": _l("model"),
    # where a setting comes from
    "environment": _l("environment"),
    ".env": ".env",
    "default": _l("default"),
    # what is wrong, and what would help
    "model_refused": _l("The active version cannot be served"),
    "no_model": _l("There is no model yet"),
    "nothing_recommendable": _l("Nothing can be recommended"),
    "redis_away": _l("Redis does not answer"),
    "no_worker": _l("No worker is running: trainings and imports wait"),
    "queue_stuck": _l("Jobs wait, and nobody takes them"),
    "scheduler_silent": _l("No scheduler is running: nothing trains by itself"),
    "last_run_failed": _l("The last training failed"),
    "model_old": _l("The model is old"),
    "nothing_comes_in": _l("No interactions come in"),
    "not_compiled": _l("Slower than need be"),
    "items_without_features": _l("Items without any feature"),
    "users_with_little": _l("Users who did little"),
    "one_event": _l("All interactions are of one event"),
    "nothing_attributed": _l("No interaction names its list"),
    # roles of keys
    "admin": _l("admin"),
    "service": _l("service"),
}

_VALUE = re.compile(r"%\((\w+)\)s")
_LONGEST_KEPT = 1_000  # characters: how long it takes to find what a text is made of grows with their cube

COLOURS = {
    "succeeded": "success",
    "active": "success",
    "stored": "success",
    "running": "primary",
    "storing": "primary",
    "checking": "primary",
    "queued": "info",
    "checked": "info",
    "rejected": "warning",
    "failed": "danger",
}


def name_things(app: Flask) -> None:
    """Gives the templates their filters."""
    app.jinja_env.filters.update(
        word=word,
        colour=lambda status: COLOURS.get(status, "secondary"),
        meaning=meaning,
        sentence=sentence,
        kept=kept,
        moment=moment,
        ago=ago,
        seconds=seconds,
        number=lambda value: format_number(value) if isinstance(value, int) else value,
        figure=figure,
        signed=lambda value: format_decimal(
            value, "+0.0000;−0.0000" if isinstance(value, float) else "+#,##0;−#,##0"
        ),
        metric=lambda value: "–" if value is None else format_decimal(value, "0.0000"),
        share=lambda value: format_percent(value, "0 %"),
        percent=lambda value: format_percent(value, "0.0 %"),
        short=short,
    )


def meaning(text: str) -> Markup:
    """A sentence of the service's own in the visitor's language; what stands in `backticks` is code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", escape(gettext(text))))  # noqa: S704


def sentence(said: Sentence) -> str:
    """A sentence, and what is in it, in the visitor's language."""
    if not said.values:
        return kept(said.words)
    return str(gettext(said.words, **{name: _told(value) for name, value in said.values.items()}))


def kept(text: str) -> str:
    """What was kept in English, such as why a run failed, in the visitor's language.

    It is told anew where it is a sentence of the catalogue, as it stands or with values in it; what stands
    for `why` may be another. Whatever else it is, or a text that is very long, stays.
    """
    told = str(gettext(text)) if text else ""
    if told != text or len(text) > _LONGEST_KEPT:
        return told
    for words, form in _forms(str(get_locale())):
        if found := form.fullmatch(text):
            values = found.groupdict()
            if "why" in values:
                values["why"] = kept(values["why"])
            return str(gettext(words, **values))
    return text


@cache
def _forms(language: str) -> list[tuple[str, re.Pattern[str]]]:
    """What the sentences of a catalogue look like with values in them; those with the most words first."""
    path = TRANSLATIONS / language / "LC_MESSAGES" / "messages.mo"
    if not path.exists():
        return []
    with path.open("rb") as file:
        found = [message.id for message in read_mo(file) if isinstance(message.id, str)]
    with_values = [words for words in found if _VALUE.search(words)]
    return [
        (words, _form(words)) for words in sorted(with_values, key=lambda words: -len(_VALUE.sub("", words)))
    ]


def _form(words: str) -> re.Pattern[str]:
    literal_and_name = _VALUE.split(words)
    form, names = "", set()
    for literal, name in zip_longest(literal_and_name[::2], literal_and_name[1::2]):
        form += re.escape(literal.replace("%%", "%"))
        if name:
            form += f"(?P={name})" if name in names else f"(?P<{name}>.*?)"
            names.add(name)
    return re.compile(form, re.DOTALL)


def word(name: str | None) -> str:
    """A word of the API's in the visitor's language; one of the shop's own as it is."""
    return str(WORDS.get(name or "", name or "–"))


def moment(at: datetime | None) -> Markup:
    """A moment in UTC, with how long ago it is beside it for whoever points at it."""
    if at is None:
        return Markup("–")
    text = format_datetime(at.astimezone(UTC), "yyyy-MM-dd HH:mm", rebase=False)
    return Markup('<time datetime="{}" title="{}" class="text-nowrap">{}</time>').format(
        at.isoformat(), ago(at), text
    )


def ago(at: datetime | None) -> str:
    """How long ago a moment is, or how far ahead."""
    if at is None:
        return "–"
    return str(format_timedelta(at - datetime.now(UTC), add_direction=True))


def seconds(value: float | None) -> str:
    """A span, in words."""
    if value is None:
        return "–"
    if value < 60:
        return f"{format_decimal(round(value, 1))} s"
    return str(format_timedelta(timedelta(seconds=value), granularity="second", threshold=1.5))


def figure(value: object) -> str:
    """A number of any kind, or what else a manifest holds."""
    if isinstance(value, float):
        return str(format_decimal(value, "#,##0.####"))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(format_number(value))
    return "–" if value is None else str(value)


def short(version: str | None) -> Markup:
    """A version by its label, whole for whoever points at it."""
    if version is None:
        return Markup("–")
    return Markup('<span class="version" title="{}">{}</span>').format(version, label(version))


def label(version: str | None) -> str:
    """A version's day, its time, and the beginning of its run's id."""
    if version is None:
        return str(gettext("no model"))
    day, _, end = version.partition("-")
    return (
        f"{day[4:6]}-{day[6:8]} {day[9:11]}:{day[11:13]} · {end[:4]}" if len(day) == 16 and end else version
    )


def _told(value: Value) -> str:
    match value:
        case float():
            return str(format_percent(value, "0 %"))
        case int():
            return str(format_number(value))
        case timedelta():
            return str(format_timedelta(value, threshold=2))
        case tuple():
            return str(format_list(value, locale=get_locale()))
        case Sentence():
            return sentence(value)
    return value
