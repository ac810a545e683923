"""What the files of a run follow from, as one digest: runs of the same recipe make the same files.

What belongs here: what is in the recipe. What does not: who takes over whose files (attempts.py).
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from reportgen_dagster.identity import digest_text

if TYPE_CHECKING:
    from reportgen_dagster.services.attempts import Claim

_ENGINES = ("reportgen", "duckdb", "polars", "pyarrow", "xlsxwriter", "typst", "matplotlib")
_DATED = re.compile(r"\btoday\b", re.IGNORECASE)


def recipe_of(claim: Claim) -> str:
    """Return the SHA-256 of rules, files, parameters, formats and engines, and of the date where rules may ask for it.

    The report's name is in it, too: pages show it.
    """
    recipe: dict[str, Any] = {
        "report": claim.report_name,
        "rules": [claim.rules.syntax, claim.rules.text],
        "files": {name: file.digest for name, file in claim.files.items()},
        "parameters": claim.parameters,
        "formats": claim.formats,
        "run_date": claim.run_date.isoformat() if _DATED.search(claim.rules.text) else None,
        "engines": [f"{name} {number}" for name, number in engine_versions().items()],
    }
    return digest_text(json.dumps(recipe, sort_keys=True))


@cache
def engine_versions() -> dict[str, str]:
    """Return the version of this software and of each library that has a part in what files are like."""
    return {name: version(name) for name in _ENGINES}
