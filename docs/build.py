"""Writes the pages of docs/ that are made from code. `make docs` runs it; a test fails when a page is stale.

A page made by hand does not belong here, nor does text that the code already carries.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from reportgen_dagster.errors import ReportgenError, error_classes
from reportgen_dagster.settings import Settings

DOCS = Path(__file__).parent
NOTICE = "<!-- Made by `make docs`; edit the code it is made from. -->"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def settings_page() -> str:
    """Return the table of all settings."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = "" if default in (None, "", PydanticUndefined) else f"`{default!s}`"
        rows.append((f"`REPORTGEN_{name.upper()}`", shown, field.description or ""))
    table = _table(("variable", "default", "meaning"), rows)
    return f"# Settings\n\n{NOTICE}\n\nEvery process reads the same environment variables.\n\n{table}\n"


def errors_page() -> str:
    """Return the tree of errors with code, meaning and cure."""
    import api_gateway.errors  # noqa: F401 - it adds the errors that only HTTP knows

    rows = [
        (f"`{cls.code}`", cls.fault, cls.title, _first_sentence(cls), cls.hint)
        for cls in error_classes()
        if cls is not ReportgenError
    ]
    table = _table(("code", "fault", "title", "meaning", "how to mend it"), rows)
    return (
        f"# Errors\n\n{NOTICE}\n\nThe same error meets a person at the command line, a program in"
        " problem+json (`code`), and an operator in Dagster."
        "\n`fault` keeps a bad request, bad data and our own fault apart.\n\n"
        f"{table}\n"
    )


def _first_sentence(cls: type[ReportgenError]) -> str:
    return (cls.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")


def functions_page() -> str:
    """Return the reference of all functions, each with its worked example."""
    from reportgen_dagster.rules.functions import FUNCTIONS

    rows = [
        (
            f"`{entry.signature}`",
            entry.result,
            entry.summary,
            f"`{entry.example}` is `{entry.example_result}`",
        )
        for entry in FUNCTIONS.values()
    ]
    table = _table(("function", "result", "meaning", "example"), rows)
    return f"# Functions\n\n{NOTICE}\n\nNothing else can be called in a formula.\n\n{table}\n"


def api_page() -> str:
    """Return every call of the API with its statuses, from the OpenAPI document."""
    from api_gateway.main import create_app

    document = create_app().openapi()
    sections = [
        f"# HTTP API\n\n{NOTICE}\n\nA trailing slash is optional."
        " `/docs` of a running service lets you try each call."
    ]
    for path, operations in document["paths"].items():
        sections.extend(_operation(path, method, operation) for method, operation in operations.items())
    return "\n\n".join(sections) + "\n"


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    token = "needs a token" if operation.get("security") else "open"
    statuses = _table(
        ("status", "meaning"),
        [(code, answer.get("description", "")) for code, answer in operation["responses"].items()],
    )
    text = operation.get("description", operation.get("summary", "")).strip()
    return f"## `{method.upper()} {path}`\n\n{text} ({token})\n\n{statuses}"


def rules_schema() -> str:
    """Return the JSON Schema of rules files."""
    from reportgen_dagster.rules.document import rules_schema as schema

    return json.dumps(schema(), indent=2) + "\n"


PAGES: dict[Path, Callable[[], str]] = {
    DOCS / "settings.md": settings_page,
    DOCS / "errors.md": errors_page,
    DOCS / "api.md": api_page,
    DOCS / "rules" / "functions.md": functions_page,
    DOCS.parent / "rules" / "schema.json": rules_schema,
}


def main() -> None:
    """Write every page."""
    for path, render in PAGES.items():
        path.write_text(render())


if __name__ == "__main__":
    main()
