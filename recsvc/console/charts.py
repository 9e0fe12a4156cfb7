"""Charts as SVG within the page, drawn by pygal, coloured by our style sheet for light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import pygal
from markupsafe import Markup
from pygal.style import Style

from recsvc.services.experiments import Difference

_LABELS = 8  # so many of an axis' labels are written
_STYLE = Style(label_font_size=13, major_label_font_size=13, legend_font_size=13)
_LAYOUT: dict[str, Any] = {
    "js": (),
    "style": _STYLE,
    "disable_xml_declaration": True,
    "explicit_size": False,
    "legend_at_bottom": True,
    "show_minor_x_labels": False,
    "max_scale": 8,
    "truncate_legend": -1,
    "truncate_label": -1,
    "width": 820,
    "height": 300,
    "margin": 8,
    "margin_right": 40,
    "margin_bottom": 0,
    "spacing": 6,
}


def stacked(title: str, labels: Sequence[str], series: Mapping[str, Sequence[int]]) -> Markup:
    """Bars, one upon the other.

    Args:
        title: Read out in the place of the picture.
        labels: Of the bars.
        series: Names to a number for each bar.
    """
    chart = pygal.StackedBar(**_LAYOUT, value_formatter=lambda value: f"{value:,.0f}")
    return _drawn(chart, title, labels, series)


def lines(
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[Difference | float | None]],
    *,
    percent: bool = False,
) -> Markup:
    """Lines with an interval at each point that has one.

    Args:
        title: Read out in the place of the picture.
        labels: Of the points.
        series: Names to a value for each point; None where there is none.
        percent: Whether values are shares.
    """
    values = {name: [_point(value) for value in of_series] for name, of_series in series.items()}
    highest = max(
        (
            value.high if isinstance(value, Difference) else value
            for of_series in series.values()
            for value in of_series
            if value is not None
        ),
        default=1.0,
    )
    written = (lambda value: f"{value:.1%}") if percent else (lambda value: f"{value:.3f}")
    chart = pygal.Line(
        **_LAYOUT,
        value_formatter=written,
        range=(0, highest * 1.05 or 1.0),
        allow_interruptions=True,
        dots_size=4,
    )
    return _drawn(chart, title, labels, values)


def _point(value: Difference | float | None) -> Any:
    if isinstance(value, Difference):
        return {"value": value.difference, "ci": {"low": value.low, "high": value.high}}
    return value


def _drawn(chart: Any, title: str, labels: Sequence[str], series: Mapping[str, Sequence[Any]]) -> Markup:
    chart.x_labels = list(labels)
    step = max(1, -(-len(labels) // _LABELS))
    chart.x_labels_major = list(labels)[::-1][::step]
    for name, values in series.items():
        chart.add(name, list(values))
    chart.add_xml_filter(lambda root: _bare(root, title))
    # pygal escapes what it is given; the rest is its own.
    return Markup(chart.render(is_unicode=True))  # noqa: S704


def _bare(root: Element, title: str) -> Element:
    """Takes away styles and scripts, which our policy forbids, and says what the picture shows."""
    for parent in list(root.iter()):
        for child in list(parent):
            if _is_unwanted(child):
                parent.remove(child)
        _tell_values(parent)
        parent.attrib.pop("style", None)
        parent.attrib.pop("id", None)
    root.set("role", "img")
    root.set("aria-label", title)
    return root


def _is_unwanted(element: Element) -> bool:
    tag: object = element.tag
    if not isinstance(tag, str):  # a comment
        return True
    return tag in {"style", "script", "title"} or "tooltip-overlay" in element.get("class", "")


def _tell_values(element: Element) -> None:
    """Puts what pygal's script would show into a title, which the browser shows itself."""
    told = {part.get("class", "").split(" ")[0]: part for part in element if part.tag.endswith("desc")}
    for part in told.values():
        element.remove(part)
    if "value" in told:
        title = SubElement(element, "title")
        label = told["x_label"].text if "x_label" in told else ""
        title.text = f"{label}: {told['value'].text}" if label else told["value"].text
