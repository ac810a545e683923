"""Hostile expressions: written by hand (`escapes.txt`) and made at random from pieces that have no place in a rule.

`python -m tests.rules.hostile 200000 [seed]` judges so many random ones, runs those that pass, and tells the slowest answer.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.report import make_report
from reportgen_dagster.errors import BadDataError, RulesError
from reportgen_dagster.rules.reading.loading import load_ruleset
from reportgen_dagster.rules.reading.ruleset import Ruleset

ESCAPES = Path(__file__).with_name("escapes.txt")
PIECES = Path(__file__).with_name("pieces.txt")
SECRET = "canary-3b1f0e"
ANSWER_SECONDS = 0.1


def escapes() -> list[str]:
    """Return the escapes that were written by hand."""
    return [_unescaped(line) for line in ESCAPES.read_text(encoding="utf-8").splitlines()]


def _unescaped(text: str) -> str:
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape")


def generated(count: int, seed: int, secret: Path) -> Iterator[str]:
    """Make hostile expressions."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    words = _unescaped(PIECES.read_text(encoding="utf-8")).split()
    pieces = [word.replace("{secret}", str(secret)).replace("{folder}", str(secret.parent)) for word in words]
    known = escapes()
    for _ in range(count):
        if chance.random() < 0.2:
            text = chance.choice(known)
            for _ in range(chance.randrange(1, 4)):
                text = _mutated(text, chance, pieces)
        else:
            text = " ".join(chance.choice(pieces) for _ in range(chance.randrange(1, 12)))
        if chance.random() < 0.02:
            text = text * chance.randrange(2, 400)
        yield text


def _mutated(text: str, chance: random.Random, pieces: list[str]) -> str:
    place = chance.randrange(len(text) + 1)
    end = min(len(text), place + chance.randrange(4))
    return text[:place] + chance.choice([chance.choice(pieces), "", "(", ")", "'", '"', " "]) + text[end:]


def rules_of(expression: str, form: str) -> str:
    """Put an expression into rules: a formula, a derived column, a measure, or a window's column."""
    steps: dict[str, list[dict[str, object]]] = {
        "scalar": [{"derive": {"made": expression}}],
        "aggregate": [{"aggregate": {"by": ["b"], "measures": {"made": expression}}}],
        "window": [{"window": {"order_by": ["a"], "columns": {"made": expression}}}],
    }
    if form == "short":
        return json.dumps([{"output": "made", "formula": expression}])
    return json.dumps({"version": 1, "steps": steps[form]})


FORMS = ("short", "scalar", "aggregate", "window")


def judged(expression: str, form: str) -> tuple[Ruleset | None, float]:
    """Load rules with an expression; return them if they hold, and the seconds that took."""
    begun = time.perf_counter()
    try:
        ruleset = load_ruleset(rules_of(expression, form), syntax="json")
    except RulesError:
        return None, time.perf_counter() - begun
    return ruleset, time.perf_counter() - begun


class Range:
    """A place to run what passes: an input, a reference, and a secret beside them that nothing may read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret = folder / "secret.csv"
        self.secret.write_text(f"{SECRET}\n{SECRET}\n")
        self.input = folder / "input.csv"
        self.input.write_text("a,b,n,t,d,key\n1,x,2.5,2024-01-31,0.10,k\n,,,,,\n-7,y,1e3,text,3,k\n")
        self.reference = folder / "reference.csv"
        self.reference.write_text("key,label\nk,one\n")
        self.work = folder / "work"
        self.work.mkdir()

    def run(self, ruleset: Ruleset) -> str:
        """Run rules; return all that they wrote. A refusal is fine, a fault of ours is not.

        Raises:
            ServiceError: If the engine fails on them.
        """
        output, rejects = self.folder / "report.csv", self.folder / "rejects.csv"
        files = {"input": self.input, **dict.fromkeys(ruleset.reference_names, self.reference)}
        try:
            make_report(
                ruleset,
                files,
                outputs={"csv": output},
                rejects=rejects,
                work=self.work,
                limits=Limits(memory="100MB", seconds=10),
            )
        except (BadDataError, RulesError) as error:
            return str(error.to_json())
        texts = [path.read_text() for path in (output, rejects) if path.exists()]
        rejects.unlink(missing_ok=True)
        return "".join(texts)


def judge_many(count: int, seed: int) -> tuple[int, float, str]:
    """Judge random expressions and run those that pass; return how many passed, and the slowest answer with its expression.

    Raises:
        SystemExit: If one of them read what it may not.
    """
    slowest, culprit, passed = 0.0, "", 0
    with tempfile.TemporaryDirectory() as folder:
        place = Range(Path(folder))
        for number, expression in enumerate(generated(count, seed, place.secret)):
            ruleset, seconds = judged(expression, FORMS[number % len(FORMS)])
            if seconds > slowest:
                slowest, culprit = seconds, expression
            if ruleset is None:
                continue
            passed += 1
            if SECRET in place.run(ruleset):
                raise SystemExit(f"this expression read a file: {expression!r}")
    return passed, slowest, culprit


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    total, start = (given or [200_000])[0], given[1] if len(given) > 1 else 1
    found, longest, example = judge_many(total, start)
    print(
        f"{total:,} judged, {found:,} passed and were run; slowest answer {longest * 1000:.0f} ms: {example[:100]!r}"
    )
