"""Contracts of tables: which columns and types hold, rendered to pandera schemas.

From Python, `contract_from_pandera` takes a pandera schema instead of a contract in the rules. Both names are imported when they
are asked for: the models of a contract (`models.py`) need no parser of expressions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reportgen_dagster.contracts.contract import Contract, contract_from_pandera

__all__ = ["Contract", "contract_from_pandera"]


def __getattr__(name: str) -> Any:
    """Import a public name of the package at its first use."""
    if name in __all__:
        return getattr(import_module("reportgen_dagster.contracts.contract"), name)
    raise AttributeError(name)
