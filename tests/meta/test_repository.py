"""The repository keeps its own promises: nothing evaluates text, locks are hashed, CI is `make test`."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("reportgen_dagster", "api_gateway", "reportgen_client")
SOURCES = sorted(path for package in PACKAGES for path in ROOT.glob(f"{package}/**/*.py"))
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_ATTRIBUTES = {
    *(
        "builtins.eval",
        "builtins.exec",
        "df.eval",
        "df.query",
        "frame.eval",
        "frame.query",
        "os.popen",
        "os.system",
    ),
    *("pandas.eval", "pd.eval", "pandas.read_pickle", "pd.read_pickle", "pandas.read_hdf", "pd.read_hdf"),
    *("yaml.full_load", "yaml.load", "yaml.unsafe_load"),
}
FORBIDDEN_MODULES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve", "tables"}


def _evaluations(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            found.append(f"line {node.lineno}: {node.func.id}()")
        if isinstance(node, ast.Call) and ast.unparse(node.func) in FORBIDDEN_ATTRIBUTES:
            found.append(f"line {node.lineno}: {ast.unparse(node.func)}()")
        if isinstance(node, ast.Call) and any(
            keyword.arg == "shell" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True
            for keyword in node.keywords
        ):
            found.append(f"line {node.lineno}: shell=True")
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
            )
            found.extend(
                f"line {node.lineno}: {name}" for name in names if name.split(".")[0] in FORBIDDEN_MODULES
            )
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_evaluates_text_or_unpickles(path: Path) -> None:
    assert _evaluations(ast.parse(path.read_text())) == []


def test_the_check_for_evaluation_can_fail() -> None:
    assert (
        len(
            _evaluations(
                ast.parse(
                    "eval('1')\nimport pickle\nrun('x', shell=True)\nyaml.load(text)\nframe.query(text)"
                )
            )
        )
        == 5
    )


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT)) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_only_settings_reads_the_environment() -> None:
    # environment.py sets variables for libraries while these are loaded, and reads the two of the client's commands.
    readers = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if re.search(r"os\.environ|os\.getenv", path.read_text())
    }
    assert readers == {"reportgen_dagster/settings.py", "reportgen_dagster/environment.py"}


def test_ci_runs_what_the_readme_tells() -> None:
    assert "make test" in (ROOT / "README.md").read_text()
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("exec make test")


@pytest.mark.parametrize("name", ["users.txt", "developers.txt", "install.txt"])
def test_locks_have_hashes_and_no_host(name: str) -> None:
    lock = (ROOT / "requirements" / name).read_text()
    pinned = re.findall(r"^[A-Za-z0-9_.\-]+(?:\[[^\]]+\])?==", lock, re.MULTILINE)
    assert len(pinned) >= 5
    assert lock.count("--hash=sha256:") >= len(pinned)
    assert "://" not in lock


def test_every_declared_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lock = (ROOT / "requirements" / "users.txt").read_text().lower()
    declared = [
        re.match(r"[A-Za-z0-9_.\-]+", text)[0].lower().replace(".", "-")
        for text in project["project"]["dependencies"]
    ]
    assert [
        name for name in declared if not re.search(rf"^{re.escape(name)}(\[|==)", lock, re.MULTILINE)
    ] == []


def test_no_tracked_file_names_a_secret_or_a_machine() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    texts = {name: (ROOT / name).read_text(errors="ignore") for name in tracked if (ROOT / name).is_file()}
    keys = [name for name, text in texts.items() if re.search(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n", text)]
    paths = [
        name
        for name, text in texts.items()
        if re.search(r"(?<![\w.])/(home|root|Users)/[a-z]", text) and name != "tests/meta/test_repository.py"
    ]
    assert (keys, paths) == ([], [])
