"""The table of functions: names, arguments, results, one line and one worked example each.

The reference page, `reportgen functions`, the gate and the tests of every example are made from it. What belongs here: putting
the topics together. What does not: entries and their SQL (the modules of this package).
"""

from __future__ import annotations

from dataclasses import replace

from reportgen_dagster.rules.functions import (
    aggregates,
    conditionals,
    conversion,
    dates,
    figures,
    formats,
    short_form,
    spans,
    texts,
    windows,
)
from reportgen_dagster.rules.functions.table import Argument, Function, argument_problems
from reportgen_dagster.rules.functions.windows import window_of_aggregate

__all__ = ["FUNCTIONS", "Argument", "Function", "argument_problems", "window_of_aggregate"]

_STANDS_FOR = {"max": "cell_max", "min": "cell_min", "round": "round_half_even", "nullif": "cell_nullif"}
_TOPICS = (figures, texts, dates, spans, formats, conditionals, conversion, aggregates, windows, short_form)
FUNCTIONS: dict[str, Function] = {
    entry.name: replace(entry, translates_to=_STANDS_FOR.get(entry.name, ""))
    for topic in _TOPICS
    for entry in topic.ENTRIES
}
