"""What README.md and docs/client.md show works when it is typed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.conftest import REPORT
from tests.client.test_commands import Person
from tests.gateway.conftest import Server

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "client.md"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.fixture
def person(server: Server, tmp_path: Path) -> Person:
    """Somebody in a folder with the project's rules, so that what is written lands elsewhere."""
    person = Person(tmp_path, server.url)
    (person.folder / "rules").symlink_to(ROOT / "rules")
    return person


@pytest.mark.usefixtures("worker")
def test_the_python_examples(person: Person) -> None:
    examples = blocks(PAGE, "python")
    assert len(examples) >= 5
    script = "\n".join(examples).replace("http://127.0.0.1:8000", person.url)
    command = [sys.executable, "-c", script.replace("ann@example.com", person.email)]
    done = subprocess.run(command, cwd=person.folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (person.folder / "report.csv").read_bytes() == REPORT
    assert "margin At 06:00, Monday through Friday" in done.stdout
    assert "400 rules-invalid" in done.stdout


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("page", [PAGE, ROOT / "README.md"], ids=lambda page: page.name)
def test_the_commands(person: Person, page: Path) -> None:
    (block,) = blocks(page, "shell")
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    sign_in, *commands = [words for name, *words in lines if name == "reportgen"]
    assert (sign_in[0], len(commands) >= 3) == ("login", True)
    person.registers()
    for command in commands:
        person.told(*command)
    assert (person.folder / "report.csv").read_bytes() == REPORT
