"""Judges whether rules fit files, before any row is read.

What belongs here: the face of the compiler for those who only want problems. What does not: how a problem is found
(compile.py and what it uses), problems that need no files (loading.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reportgen_dagster.contracts.contract import Contract, contract_of
from reportgen_dagster.errors import Problem
from reportgen_dagster.rules.compile import compile_ruleset
from reportgen_dagster.rules.plan import INPUT, TableShape
from reportgen_dagster.rules.ruleset import Ruleset


def check_report(
    ruleset: Ruleset, shapes: Mapping[str, TableShape], *, parameters: Mapping[str, object] | None = None
) -> list[Problem]:
    """Return every problem that rules have with files of these shapes.

    Args:
        ruleset: The rules.
        shapes: `input` and the references; of one that is left out only its contract is known.
        parameters: The typed values of parameters, if a run is given some.
    """
    known = {
        name: shapes.get(name) or shape_of(ruleset, name, None) for name in (INPUT, *ruleset.reference_names)
    }
    table = known.pop(INPUT)
    return list(compile_ruleset(ruleset, input=table, references=known, parameters=parameters).problems)


def check_columns(
    ruleset: Ruleset, *, input_columns: Sequence[str], reference_columns: Mapping[str, Sequence[str]]
) -> list[Problem]:
    """Return every problem that the rules have with these headers.

    Args:
        ruleset: The rules.
        input_columns: The input's columns.
        reference_columns: The columns of each reference; one that is not known yet is left out, and nothing is said of them.
    """
    headers = {INPUT: input_columns, **reference_columns}
    return check_report(
        ruleset, {name: shape_of(ruleset, name, columns) for name, columns in headers.items()}
    )


def shape_of(ruleset: Ruleset, name: str, columns: Sequence[str] | None) -> TableShape:
    """Return the shape of a file of which only the header is known, or not even that."""
    return TableShape(name, None if columns is None else tuple(columns), {}, contract_for(ruleset, name))


def contract_for(ruleset: Ruleset, name: str) -> Contract | None:
    """Return the contract that rules give a file, if they give one."""
    document = ruleset.document
    described = document.input if name == INPUT else document.references.get(name)
    if described is None or described.schema_ is None:
        return None
    return contract_of(described.schema_, described.dialect)
