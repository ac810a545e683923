"""Draws charts as SVG.

What belongs here: what bars, lines and pies look like. What does not: what they show (chart_data.py), what stands above and below
them on a page, which is real text there.
"""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reportgen_dagster.engine.pages import plotting
from reportgen_dagster.engine.pages.chart_data import OTHER, ChartData, Series
from reportgen_dagster.engine.pages.texts import SOFT_BREAK, shown
from reportgen_dagster.engine.pages.values import Writer
from reportgen_dagster.engine.pages.widths import cut_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 6.8, 2.9  # inches
_LONGEST_TEXT = 200
_WIDEST_LABEL = 15.0  # in the font's size
_WIDEST_SLICE = 13.0
_WIDE_LABEL = 9  # labels of more characters do not stand side by side
_MOST_UPRIGHT = 12
_MOST_LABELLED = 15
_MOST_GROUPED = 4
_MOST_MARKED, _MOST_THICK = 40, 300  # points of a line
_FARTHEST = 1e100  # where an axis can still be drawn
_DASHES = ("-", "--", "-.", ":")
_EMPTY, _REST = "(empty)", "Other"


@dataclass(frozen=True, slots=True)
class Labels:
    """How the values of a chart are written.

    Attributes:
        x: Its categories.
        by: What its series stand for.
        y: Its sums, at bars and slices.
        axis: Sums at ticks, given how many decimals tell them apart.
        share: What a slice is of the whole.
        x_title: The name of `x`.
        y_title: The name of `y`.
    """

    x: Writer
    by: Writer
    y: Writer
    axis: Callable[[int], Writer]
    share: Writer
    x_title: str
    y_title: str


def drawn(data: ChartData, labels: Labels) -> str:
    """Return a chart as SVG, without any date in it."""
    with plotting.settings():
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        names = [_label(value, labels.x) for value in data.categories]
        is_upright = len(names) <= _MOST_UPRIGHT and max(map(len, names)) <= _WIDE_LABEL
        height = HEIGHT if data.kind != "bar" or is_upright else max(HEIGHT, 0.7 + 0.2 * len(names))
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        if data.kind == "pie":
            _pie(figure, data, names, labels)
        elif data.kind == "line":
            _lines(axes, data, names, labels)
        else:
            _bars(axes, data, names, labels, is_upright=is_upright)
        return _svg(figure)


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _label(value: Any, write: Writer) -> str:
    if value is OTHER:
        return _REST
    text = cut_to(shown(write(value), _LONGEST_TEXT), _WIDEST_LABEL).strip() or _EMPTY
    return (
        f"{SOFT_BREAK}{text}" if text.startswith("_") else text
    )  # which matplotlib would leave out of a legend


# bars


def _bars(axes: Axes, data: ChartData, names: Sequence[str], labels: Labels, *, is_upright: bool) -> None:
    places = [float(place) for place in range(len(names))]
    draw = axes.bar if is_upright else axes.barh
    is_grouped = 1 < len(data.series) <= _MOST_GROUPED and len(names) * len(data.series) <= 40
    if len(data.series) == 1:
        bars = draw(places, _zeros(data.series[0]), 0.66, color=_colours(data.categories))
        if len(names) <= _MOST_LABELLED:
            told = [labels.y(value) if value is not None else "" for value in data.series[0].values]
            axes.bar_label(bars, told, padding=3, fontsize=7)
            room = 0.12
            axes.margins(y=room) if is_upright else axes.margins(x=room)
    elif is_grouped:
        width = 0.8 / len(data.series)
        for number, series in enumerate(data.series):
            shifted = [place - 0.4 + width * (number + 0.5) for place in places]
            draw(
                shifted,
                _zeros(series),
                width * 0.94,
                color=_colour(number, series),
                label=_label(series.name, labels.by),
            )
    else:
        _stacked(draw, places, data, labels, is_upright=is_upright)
    if is_upright:
        axes.set_xticks(places, names)
        axes.set_xlabel(labels.x_title)
        axes.set_ylabel(labels.y_title)
    else:
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.set_xlabel(labels.y_title)
        axes.set_ylabel(labels.x_title)
    _value_axis(axes, labels, is_upright=is_upright)
    _legend(axes, data)


def _stacked(
    draw: Callable[..., Any], places: Sequence[float], data: ChartData, labels: Labels, *, is_upright: bool
) -> None:
    """Stack what is above zero upwards and what is below downwards."""
    above, below = [0.0] * len(places), [0.0] * len(places)
    for number, series in enumerate(data.series):
        values = _zeros(series)
        starts = [up if value >= 0 else down for value, up, down in zip(values, above, below, strict=True)]
        base = {"bottom" if is_upright else "left": starts}
        draw(
            places, values, 0.66, color=_colour(number, series), label=_label(series.name, labels.by), **base
        )
        above = [up + max(value, 0) for up, value in zip(above, values, strict=True)]
        below = [down + min(value, 0) for down, value in zip(below, values, strict=True)]


def _zeros(series: Series) -> list[float]:
    return [0.0 if value is None else float(value) for value in series.values]


def _colours(categories: Sequence[Any]) -> list[str]:
    return [plotting.REST if value is OTHER else plotting.COLOURS[0] for value in categories]


def _colour(number: int, series: Series) -> str:
    return plotting.REST if series.name is OTHER else plotting.COLOURS[number % len(plotting.COLOURS)]


# lines


def _lines(axes: Axes, data: ChartData, names: Sequence[str], labels: Labels) -> None:
    places = _places(data.categories)
    for number, series in enumerate(data.series):
        known = [
            (at, float(value)) for at, value in zip(places, series.values, strict=True) if value is not None
        ]
        axes.plot(
            [at for at, _ in known],
            [value for _, value in known],
            color=_colour(number, series),
            linestyle=_DASHES[number // 2 % len(_DASHES)] if len(data.series) > 1 else "-",
            linewidth=1.8 if len(places) <= _MOST_THICK else 0.9,
            marker="o" if len(places) <= _MOST_MARKED else "",
            markersize=3.2,
            label=_label(series.name, labels.by),
        )
    ticks = _ticks(places, names)
    axes.set_xticks([places[place] for place in ticks], [names[place] for place in ticks])
    axes.set_xlabel(labels.x_title)
    axes.set_ylabel(labels.y_title)
    axes.margins(x=0.02)
    _value_axis(axes, labels, is_upright=True)
    _legend(axes, data)


def _places(categories: Sequence[Any]) -> list[float]:
    """Return where values stand on the axis: as far apart as they are; texts, nulls and the very far side by side."""
    if any(
        isinstance(value, (str, bool, datetime.time)) or value is None or value is OTHER
        for value in categories
    ):
        return [float(place) for place in range(len(categories))]
    places = [_position(value) for value in categories]
    are_drawable = all(abs(place) <= _FARTHEST for place in places) and places[-1] - places[0] > 1 / _FARTHEST
    return places if are_drawable else [float(place) for place in range(len(places))]


def _position(value: Any) -> float:
    if isinstance(value, datetime.datetime):
        return (value - datetime.datetime(1970, 1, 1, tzinfo=value.tzinfo)) / datetime.timedelta(days=1)
    return float(value.toordinal()) if isinstance(value, datetime.date) else float(value)


def _ticks(places: Sequence[float], names: Sequence[str]) -> list[int]:
    """Choose the points that have a label: so many that labels do not meet, evenly."""
    most = max(2, min(len(names), 84 // (max(map(len, names)) + 3)))
    span = (places[-1] - places[0]) or 1.0
    chosen: list[int] = []
    for place, at in enumerate(places):
        if not chosen or at - places[chosen[-1]] >= span / most:
            chosen.append(place)
    return chosen


# pies


def _pie(figure: Figure, data: ChartData, names: Sequence[str], labels: Labels) -> None:
    axes = figure.axes[0]
    values = [max(value, 0.0) for value in _zeros(data.series[0])]
    whole = sum(values) or 1.0
    colours = [
        plotting.REST if category is OTHER else plotting.COLOURS[place % len(plotting.COLOURS)]
        for place, category in enumerate(data.categories)
    ]
    edge = {"edgecolor": "white", "linewidth": 1.2, "width": 0.4}
    slices, *_ = axes.pie(values, colors=colours, startangle=90, counterclock=False, wedgeprops=edge)
    told = [
        f"{cut_to(name, _WIDEST_SLICE)}: {labels.y(value)} ({labels.share(share / whole)})"
        for name, value, share in zip(names, data.series[0].values, values, strict=True)
    ]
    axes.set_position((0.01, 0.03, 0.4, 0.94))
    figure.legend(slices, told, loc="center left", bbox_to_anchor=(0.42, 0.5), fontsize=8, labelspacing=0.7)


# axes


def _value_axis(axes: Axes, labels: Labels, *, is_upright: bool) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = axes.yaxis if is_upright else axes.xaxis
    axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    ticks = axis.get_major_locator().tick_values(*axis.get_view_interval())
    step = abs(float(ticks[1] - ticks[0])) if len(ticks) > 1 else 1.0
    write = labels.axis(_decimals(step))
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(float(value))))
    axes.grid(visible=True, axis="y" if is_upright else "x")
    axes.tick_params(length=0)
    axes.spines["left" if is_upright else "bottom"].set_visible(False)
    low, high = axis.get_view_interval()
    if low < 0 < high:
        (axes.axhline if is_upright else axes.axvline)(0, color=plotting.INK, linewidth=0.8)


def _decimals(step: float) -> int:
    """Return how many decimals tell steps of this size apart."""
    for decimals in range(12):
        if abs(round(step, decimals) - step) < step * 1e-6:
            return decimals
    return 12


def _legend(axes: Axes, data: ChartData) -> None:
    if len(data.series) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, borderaxespad=0)
