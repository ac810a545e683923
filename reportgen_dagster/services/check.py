"""Checks, explains and rewrites users' rules in warm child processes with little memory and time: no text harms the gateway.

The child's side is services/check_child.py; what a check is, is rules/.
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
from typing import Any

from reportgen_dagster.errors import RulesError, error_from_json
from reportgen_dagster.formats import Syntax
from reportgen_dagster.services.child_processes import ChildProcesses, TooMuchError
from reportgen_dagster.services.rules_facts import RulesFacts
from reportgen_dagster.services.uploads import RulesText

CHILDREN = 2  # so that one hostile text does not hold up everybody for its seconds
CHECK_SECONDS = 10.0
CHILD_MODULE = "reportgen_dagster.services.check_child"


class Checker:
    """A few warm children that check rules; for any number of threads."""

    def __init__(self, children: int = CHILDREN, seconds: float = CHECK_SECONDS) -> None:
        """Begin without a child.

        Args:
            children: How many there are at most.
            seconds: How long a check may take.
        """
        self._seconds = seconds
        self._children = ChildProcesses(CHILD_MODULE, count=children, seconds=seconds)
        self.warm = self._children.warm
        self.close = self._children.close

    def check(
        self,
        rules: RulesText,
        columns: Mapping[str, Sequence[str]] | None,
        parameters: Mapping[str, Any] | None = None,
    ) -> RulesFacts:
        """Check rules, and with columns and parameters also that they fit these; return what the rules say of files.

        Raises:
            RulesError: With every problem; also if the check takes too much time or memory. What wrong rules say of files all
                the same is in its `facts` as `rules`.
            BadRequestError: If only the parameters are wrong.
            UnavailableError: If no child can be started.
        """
        answer = self._ask(
            rules,
            columns=None if columns is None else {name: list(names) for name, names in columns.items()},
            parameters=None if parameters is None else dict(parameters),
        )
        return RulesFacts.from_json(answer["facts"])

    def explain(self, rules: RulesText) -> dict[str, Any]:
        """Return what rules mean, as `rules/explain.py`'s `Explanation.to_json` has it.

        Raises:
            RulesError: With every problem; also if it takes too much time or memory.
            UnavailableError: If no child can be started.
        """
        explanation: dict[str, Any] = self._ask(rules, explain=True)["explanation"]
        return explanation

    def rewrite(self, rules: RulesText, wanted: Syntax) -> str:
        """Return rules in a syntax; as they were put if they have that one.

        Raises:
            RulesError: If they cannot be read, or it takes too much time or memory.
            UnavailableError: If no child can be started.
        """
        return rules.text if rules.syntax == wanted else str(self._ask(rules, wanted=wanted)["text"])

    def _ask(self, rules: RulesText, **what: Any) -> dict[str, Any]:
        """Return what a child answers that is no error.

        Raises:
            ReportgenError: The error that it answers, or that it cannot.
        """
        request = {"text": rules.text, "source": rules.filename, "syntax": rules.syntax, **what}
        try:
            answer = self._children.ask(request)
        except TooMuchError:
            raise RulesError(
                f"Checking the rules takes more than {self._seconds:g} seconds or too much memory; make them smaller or"
                " less deeply nested."
            ) from None
        if "error" in answer:
            error = error_from_json(answer["error"])
            if "facts" in answer:
                error.facts["rules"] = RulesFacts.from_json(answer["facts"])
            raise error
        return answer


_checker = Checker()
atexit.register(_checker.close)


def check_report(
    rules: RulesText,
    columns: Mapping[str, Sequence[str]] | None,
    parameters: Mapping[str, Any] | None = None,
) -> RulesFacts:
    """Check rules, and with the columns of `input` and of each reference also that they fit these files.

    Args:
        rules: The rules.
        columns: The columns of each file; None: the rules alone.
        parameters: The parameters that were given; None: they are not known yet.

    Returns:
        What the rules say of files.

    Raises:
        RulesError: With every problem, a reference that the rules do not name among them; also if the check takes too
            much time or memory.
        BadRequestError: If only the parameters are wrong.
        UnavailableError: If the checking process cannot be started.
    """
    return _checker.check(rules, columns, parameters)


def explain(rules: RulesText) -> dict[str, Any]:
    """Return what rules mean: long form, graph, columns after each step, SQL and lineage, as plain data.

    Raises:
        RulesError: With every problem; also if it takes too much time or memory.
        UnavailableError: If the checking process cannot be started.
    """
    return _checker.explain(rules)


def rewrite(rules: RulesText, wanted: Syntax) -> str:
    """Return rules in a syntax; as they were put if they have that one. Comments are lost on the way.

    Raises:
        RulesError: If they cannot be read, or it takes too much time or memory.
        UnavailableError: If the checking process cannot be started.
    """
    return _checker.rewrite(rules, wanted)


def warm() -> None:
    """Start the checking process ahead of the first check.

    Raises:
        UnavailableError: If it cannot be started.
    """
    _checker.warm()


def close() -> None:
    """End the checking processes."""
    _checker.close()
