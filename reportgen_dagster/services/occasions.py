"""What pages (HTML, PDF) tell of the run that made them: its report, its id, when, by which rules, of which files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reportgen_dagster.services.names import is_named

if TYPE_CHECKING:
    from reportgen_dagster.services.attempts import Claim


def occasion_of(claim: Claim) -> dict[str, Any]:
    """Return what pages tell of a run, as data for JSON."""
    return {
        "report": claim.report_name,
        "run_id": claim.run_id,
        "made_at": claim.accepted_at.isoformat(timespec="seconds"),
        "rules": f"{claim.ruleset_name}, version {claim.ruleset_version}"
        if is_named(claim.ruleset_name)
        else claim.rules.filename,
        "file_names": {
            name: f"{file.dataset_name}, version {file.version}"
            if is_named(file.dataset_name)
            else file.filename
            for name, file in claim.files.items()
        },
    }
