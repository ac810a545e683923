"""Contracts of tables: which columns and types hold, rendered to pandera schemas.

From Python, `contract_from_pandera` takes a pandera schema instead of a contract in the rules.
"""

from reportgen_dagster.contracts.contract import Contract, contract_from_pandera

__all__ = ["Contract", "contract_from_pandera"]
