from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from reportgen_dagster.errors import RulesError
from reportgen_dagster.services.check import Checker
from reportgen_dagster.services.check_child import answer
from reportgen_dagster.services.uploads import RulesText

RULES = "- {output: double, formula: field1 * 2}\n- {output: name, formula: refdata1}\n"
COLUMNS = {"input": ["key", "field1"], "reference": ["key", "refdata1"]}


def _rules(text: str, syntax: str = "yaml") -> RulesText:
    return RulesText(f"rules.{syntax}", text, "json" if syntax == "json" else "yaml")


def _children() -> set[psutil.Process]:
    return {
        child
        for child in psutil.Process().children()
        if "reportgen_dagster.services.check_child" in child.cmdline()
    }


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    made = Checker()
    made.warm()
    yield made
    made.close()


@dataclass
class Lonely:
    """A checker with one child, which a test may harm."""

    checker: Checker
    others: set[psutil.Process]

    def child(self) -> psutil.Process:
        (found,) = _children() - self.others
        return found


@pytest.fixture
def lonely() -> Iterator[Lonely]:
    made = Lonely(Checker(children=1), _children())
    made.checker.warm()
    yield made
    made.checker.close()


def test_good_rules_pass(checker: Checker) -> None:
    checker.check(_rules(RULES), None)
    checker.check(_rules(RULES), COLUMNS)


def test_every_problem_comes_back_with_its_place(checker: Checker) -> None:
    with pytest.raises(RulesError) as caught:
        checker.check(_rules("- {output: a, formula: nosuch(1)}\n- {output: a, formula: b}\n"), None)
    assert {problem.line for problem in caught.value.problems} == {1, 2}
    assert all(problem.source == "rules.yaml" for problem in caught.value.problems)


def test_unknown_columns_are_found_only_with_the_files_at_hand(checker: Checker) -> None:
    rules = _rules("- {output: a, formula: feild1}\n- {output: b, formula: nowhere}\n")
    checker.check(rules, None)
    with pytest.raises(RulesError) as caught:
        checker.check(rules, COLUMNS)
    assert len(caught.value.problems) == 2
    assert "field1" in str(caught.value.problems[0])


def test_a_file_that_the_rules_do_not_name_is_a_problem(checker: Checker) -> None:
    with pytest.raises(RulesError, match="customers"):
        checker.check(_rules(RULES), COLUMNS | {"customers": ["key"]})


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "- " * 100_000,
        "a: &a [" + "x," * 50_000 + "]\nb: [" + "*a," * 50_000 + "]\n",
        json.dumps([{"output": "a", "formula": "(" * 5_000 + "1" + ")" * 5_000}]),
        json.dumps([{"output": "a", "formula": "9" * 8000 + "**" + "9" * 100}]),
        json.dumps([{"output": f"a{i}", "formula": "+".join(["b"] * 900)} for i in range(2000)]),
        "\ud800",
    ],
    ids=["brackets", "lists", "aliases", "parentheses", "power", "many formulas", "surrogate"],
)
def test_hostile_rules_end_in_a_refusal_or_a_pass_and_harm_nobody(checker: Checker, text: str) -> None:
    for syntax in ("yaml", "json"):
        with suppress(RulesError):
            checker.check(_rules(text, syntax), None)
    checker.check(_rules(RULES), COLUMNS)


def test_a_child_that_was_killed_is_replaced_unseen(lonely: Lonely) -> None:
    child = lonely.child()
    os.kill(child.pid, signal.SIGKILL)
    child.wait(10)
    lonely.checker.check(_rules(RULES), COLUMNS)
    successor = lonely.child()
    assert successor.pid != child.pid


def test_a_child_that_hangs_is_ended_and_replaced() -> None:
    before = _children()
    impatient = Checker(children=1, seconds=1)
    impatient.warm()
    try:
        (child,) = _children() - before
        child.suspend()
        with pytest.raises(RulesError, match=r"1 seconds"):
            impatient.check(_rules(RULES), None)
        assert not child.is_running()
        impatient.warm()
        (successor,) = _children() - before
        assert successor.pid != child.pid
    finally:
        impatient.close()


def test_long_rules_with_a_contract_have_room_time_and_again(lonely: Lonely) -> None:
    names = [f"f{number}" for number in range(20)]
    windows = [{"window": {"order_by": ["f0"], "columns": {f"w{number}": "rank()"}}} for number in range(60)]
    rules = {
        "version": 1,
        "input": {"schema": {"fields": [{"name": name, "type": "number"} for name in names]}},
        "steps": [*windows, *[{"distinct": ["f0"]}] * 60],
    }
    child = lonely.child()
    for _ in range(2):
        lonely.checker.check(_rules(json.dumps(rules), "json"), {"input": names})
    assert lonely.child().pid == child.pid


def test_checks_of_many_threads_do_not_mix(checker: Checker) -> None:
    def problem_of(number: int) -> str:
        with pytest.raises(RulesError) as caught:
            checker.check(_rules(f"- {{output: a, formula: nosuch{number}(1)}}\n"), None)
        return caught.value.detail

    with ThreadPoolExecutor(8) as pool:
        details = list(pool.map(problem_of, range(40)))
    assert all(f"nosuch{number}" in detail for number, detail in enumerate(details))


def test_the_child_has_little_memory_no_files_and_no_secrets(lonely: Lonely) -> None:
    lonely.checker.check(_rules(RULES), None)
    child = lonely.child()
    assert child.rlimit(psutil.RLIMIT_AS)[1] == 1024**3
    assert child.rlimit(psutil.RLIMIT_FSIZE)[1] == 0
    assert child.environ().keys() == {"MALLOC_ARENA_MAX"}


def test_closing_leaves_no_process(lonely: Lonely) -> None:
    child = lonely.child()
    lonely.checker.close()
    assert not child.is_running()


def test_a_child_whose_parent_is_gone_ends(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    child = subprocess.Popen(
        [sys.executable, "-m", "reportgen_dagster.services.check_child"],
        stdin=theirs.fileno(),
        stdout=theirs.fileno(),
        cwd=tmp_path,
        env={},
    )
    theirs.close()
    assert ours.recv(100) == b"ready\n"
    ours.close()
    assert child.wait(10) == 0


def test_the_answer_is_plain_data() -> None:
    request = {"text": RULES, "source": "r.yaml", "syntax": "yaml", "columns": COLUMNS, "parameters": {}}
    assert json.loads(json.dumps(answer(request)))["facts"]["references"] == ["reference"]
    refused = answer(request | {"text": "- {output: a, formula: nosuch(1)}"})
    assert json.loads(json.dumps(refused))["error"]["code"] == "rules-invalid"
