"""The first page: the state in one sentence, problems first, and what to do next."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, render_template
from flask_babel import format_date
from flask_babel import gettext as _
from markupsafe import Markup

from recsvc.console import charts
from recsvc.console.words import label, word
from recsvc.services import overview as service
from recsvc.services.figures import DAYS, Figures
from recsvc.services.overview import Rates

blueprint = Blueprint("overview", __name__)


@blueprint.get("/overview")
def show() -> str:
    """The state of the service."""
    seen = service.overview()
    return render_template(
        "console/overview.html",
        seen=seen,
        events_chart=_events(seen.figures) if seen.figures and not seen.is_empty else None,
        rates_chart=_rates(seen.rates) if seen.rates else None,
    )


def _events(figures: Figures) -> Markup:
    until = figures.counted_at.date()
    days = [until - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    counted = {(day, event): number for day, event, number in figures.interactions_by_day}
    totals: dict[str, int] = {}
    for (_day, event), number in counted.items():
        totals[event] = totals.get(event, 0) + number
    return charts.stacked(
        _("Interactions per day by event"),
        [format_date(day, "dd MMM", rebase=False) for day in days],
        {
            word(event): [counted.get((day, event), 0) for day in days]
            for event in sorted(totals, key=lambda event: -totals[event])
        },
    )


def _rates(rates: list[Rates]) -> Markup:
    shown = sorted({day for of_version in rates for day in of_version.by_day})
    days = [shown[0] + timedelta(days=number) for number in range((shown[-1] - shown[0]).days + 1)]
    return charts.lines(
        _("Share of lists that were taken up, by version, with intervals"),
        [format_date(day, "dd MMM", rebase=False) for day in days],
        {
            label(of_version.model_version): [of_version.by_day.get(day) for day in days]
            for of_version in rates
        },
        percent=True,
    )
