"""Whether files and rules fit together before a run or a schedule is accepted: nothing missing, nothing unknown.

The judging itself is `services/check.py`, in a process of its own; here is what is asked and what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from reportgen_dagster.errors import MissingInputError, RulesError
from reportgen_dagster.services.uploads import RulesText

REFERENCE = "reference"

# Called with rules and the columns of each file (None: the rules alone); raises RulesError.
Check = Callable[[RulesText, Any], None]


def files_to_take(
    rules: RulesText | None, columns: dict[str, list[str]], *, sent: Collection[str], check: Check | None
) -> set[str]:
    """Return which files a run takes: all, but a last uploaded reference that the rules do not ask for.

    Args:
        rules: The rules, if there are any.
        columns: The columns of each file that there is.
        sent: The files that came with the call.
        check: Judges rules and columns; default: `services.check.check_report`.

    Raises:
        MissingInputError: Naming everything that the report needs and nobody uploaded.
        RulesError: With everything that is wrong with the rules, also in view of the columns.
    """
    check = check or _default_check()
    if rules is None or "input" not in columns:
        raise _missing([*({"input", REFERENCE} - set(columns)), *(["rules"] if rules is None else [])])
    try:
        check(rules, columns)
    except RulesError:
        if REFERENCE in sent or REFERENCE not in columns or _ask_for_reference(rules, columns, check):
            raise
        columns = {name: names for name, names in columns.items() if name != REFERENCE}
        check(rules, columns)
    else:
        if REFERENCE not in columns and _ask_for_reference(rules, columns, check):
            raise _missing([REFERENCE])
    return set(columns)


def _missing(names: list[str]) -> MissingInputError:
    told = " and ".join(sorted(names))
    return MissingInputError(f"{told}: neither sent nor uploaded before.")


def _ask_for_reference(rules: RulesText, columns: dict[str, list[str]], check: Check) -> bool:
    """Tell whether rules name a file `reference`: the check says so of a file that they do not name."""
    try:
        check(rules, {"input": columns["input"], REFERENCE: columns["input"]})
    except RulesError as error:
        return all(problem.path != REFERENCE for problem in error.problems)
    return True


def _default_check() -> Check:
    from reportgen_dagster.services.check import (
        check_report,
    )  # it starts processes, which not everybody wants

    return check_report
