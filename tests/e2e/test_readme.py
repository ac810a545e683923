"""The README's commands work when typed one by one by a newcomer."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx2

ROOT = Path(__file__).parents[2]


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def _type(commands: str, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    script = f"set -euo pipefail\n{commands}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _copy_of_the_project(tmp_path: Path) -> Path:
    """A folder with the project's rules in it, so that what the commands write lands elsewhere."""
    (tmp_path / "rules").symlink_to(ROOT / "rules")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "reportgen").symlink_to(Path(sys.executable).parent / "reportgen")
    return tmp_path


def test_one_report_without_the_service(tmp_path: Path) -> None:
    folder = _copy_of_the_project(tmp_path)
    (commands,) = _blocks("console")
    _type(commands, folder)
    assert (folder / "report.csv").read_text() == (ROOT / "rules" / "trade" / "expected.csv").read_text()


def test_the_curl_lines(stack, tmp_path: Path) -> None:
    folder = _copy_of_the_project(tmp_path)
    (commands,) = _blocks("bash")
    assert commands.count("curl ") >= 8
    printed = _type(commands.replace("http://127.0.0.1:8000", stack.url), folder)
    assert (folder / "report.csv").read_text() == (ROOT / "rules" / "trade" / "expected.csv").read_text()
    assert '"report_name":"trades"' in printed.replace(" ", "")
    assert '"error":"' not in printed.replace(" ", "")


def test_the_named_report(stack, tmp_path: Path) -> None:
    folder = _copy_of_the_project(tmp_path)
    (commands,) = _blocks("sh")
    account = {"email": "ann@example.com", "name": "Ann", "password": "pass123"}
    httpx2.post(f"{stack.url}/api/auth/register/", json=account, timeout=30)  # may be there already
    printed = _type(commands, folder, stack.environment)
    assert "daily/main: At 06:00, Monday through Friday, Europe/Berlin (0 6 * * 1-5)" in printed
    assert "succeeded: " in printed
    assert (folder / "daily.csv").read_text() == (ROOT / "rules" / "trade" / "expected.csv").read_text()


def test_the_rules_shown_are_the_example() -> None:
    (shown,) = _blocks("yaml")
    example = (ROOT / "rules" / "trade" / "rules.yaml").read_text()
    wanted = [line for line in example.splitlines() if line.startswith("- ")]
    assert [line for line in shown.splitlines() if line.startswith("- ")] == wanted
