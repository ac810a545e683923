"""What the compiler says of rules whose files are known by their headers or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reportgen_dagster.contracts.contract import Contract, contract_of
from reportgen_dagster.errors import Problem
from reportgen_dagster.rules.compiling.compile import compile_ruleset
from reportgen_dagster.rules.compiling.plan import INPUT, TableShape
from reportgen_dagster.rules.reading.ruleset import Ruleset


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
