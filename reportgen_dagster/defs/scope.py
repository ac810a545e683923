"""What the definitions of this process cover: everything, or only what one run needs; and whether that is more than one report.

The code server shows every report. A process that carries out one run must not pay for a thousand of them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dagster import AssetKey, DagsterRun


@dataclass(frozen=True, slots=True)
class Scope:
    """Which reports and datasets get definitions; `None` means all."""

    assets: frozenset[AssetKey] | None = None


_scope = Scope()


def current() -> Scope:
    """Return what definitions built in this process cover."""
    return _scope


def narrow_to(assets: Collection[AssetKey]) -> None:
    """Build only the reports and datasets with these asset keys, and the fixed jobs. For a process that makes one run."""
    global _scope
    _scope = Scope(frozenset(assets))


def makes_several(run: DagsterRun) -> bool:
    """Tell whether a Dagster run makes several reports, perhaps of several owners: Materialize on more than one."""
    return len(run.asset_selection or ()) > 1
