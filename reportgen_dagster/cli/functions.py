"""`reportgen functions`: what formulas may call."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from reportgen_dagster.cli.output import console


def functions_command(
    name: Annotated[str | None, typer.Argument(help="One function, with its example.")] = None,
) -> None:
    """List the functions that formulas may call, or explain one."""
    from rich.table import Table

    from reportgen_dagster.errors import NotFoundError
    from reportgen_dagster.rules.functions import FUNCTIONS

    if name is None:
        table = Table("function", "gives", "what it does", box=None, pad_edge=False)
        for function in FUNCTIONS.values():
            table.add_row(function.signature.replace("[", "\\["), function.result, function.summary)
        console().print(table)
        return
    if name not in FUNCTIONS:
        near = difflib.get_close_matches(name, FUNCTIONS, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else "; `reportgen functions` lists them all"
        raise NotFoundError(f"there is no function `{name}`{hint}")
    function = FUNCTIONS[name]
    lines = (
        function.signature,
        f"  {function.summary}",
        f"  gives: {function.result}",
        f"  example: {function.example}  ->  {function.example_result}",
    )
    console().print("\n".join(lines), markup=False)
