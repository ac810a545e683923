"""`reportgen functions`: what expressions and formulas may call.

What belongs here: listing and explaining. What does not: the table itself (rules/functions/).
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from reportgen_dagster.cli.output import console

if TYPE_CHECKING:
    from reportgen_dagster.rules.functions import Function


def functions_command(
    name: Annotated[
        str | None, typer.Argument(help="One function, with its example, or a word to look for.")
    ] = None,
) -> None:
    """List the functions that expressions and formulas may call, or explain one."""
    from reportgen_dagster.errors import NotFoundError
    from reportgen_dagster.rules.functions import FUNCTIONS

    if name is None:
        _listed(list(FUNCTIONS.values()))
    elif name.lower() in FUNCTIONS:
        console().print(_explained(FUNCTIONS[name.lower()]), markup=False, soft_wrap=True)
    else:
        found = [entry for entry in FUNCTIONS.values() if _is_about(entry, name.lower())]
        if not found:
            near = difflib.get_close_matches(name, FUNCTIONS, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else "; `reportgen functions` lists them all"
            raise NotFoundError(f"there is no function `{name}`{hint}")
        _listed(found)


def _listed(functions: Sequence[Function]) -> None:
    for topic in dict.fromkeys(function.topic for function in functions):
        lines = [topic.capitalize()]
        for function in functions:
            if function.topic == topic:
                lines += [f"  {function.signature}  ->  {function.result}", f"      {_summary(function)}"]
        console().print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
        console().print()


def _is_about(function: Function, word: str) -> bool:
    return word in function.topic or word in function.name or word in function.summary.lower()


def _summary(function: Function) -> str:
    return f"Another name of {function.alias_of}." if function.alias_of else function.summary


def _explained(function: Function) -> str:
    roles = {
        "aggregate": "in `aggregate`, `pivot` and `window`",
        "window": "in `window`",
        "scalar": "anywhere",
    }
    lines = [
        function.signature,
        f"  {function.summary}",
        f"  gives: {function.result}",
        f"  called: {roles[function.role]}",
        f"  example: {function.example}  ->  {function.example_result}",
    ]
    if function.alias_of:
        lines.append(f"  another name of: {function.alias_of}")
    if function.translates_to:
        lines.append(f"  in a formula of the short form: {function.translates_to}")
    return "\n".join(lines)
