"""Judges whether the tests of the gate of expressions notice enough of its small changes: `make mutants`.

What belongs here: the verdict on what mutmut counted. What does not: which modules are changed and which tests run
([tool.mutmut] in pyproject.toml), the tests themselves (tests/rules/test_gate.py).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

LEAST_PERCENT = 90
COUNTS = Path("mutants") / "mutmut-cicd-stats.json"  # by `mutmut export-cicd-stats`


def main() -> int:
    """Tell the share of changes that a test noticed, by failing or by never ending; 1 if it is too small."""
    counts: dict[str, int] = json.loads(COUNTS.read_text())
    noticed, total = counts["killed"] + counts["timeout"], counts["total"]
    print(f"{noticed} of {total} changes noticed; at least {LEAST_PERCENT} % are wanted. {counts}")
    return 0 if total and noticed * 100 >= LEAST_PERCENT * total else 1


if __name__ == "__main__":
    sys.exit(main())
