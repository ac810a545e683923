"""Writes the pages of docs/ that are made from code. `make docs` runs it; a test fails when a page is stale.

A page made by hand does not belong here, nor does text that the code already carries.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticUndefined

from reportgen_dagster.errors import ReportgenError, error_classes
from reportgen_dagster.settings import Settings

if TYPE_CHECKING:
    from reportgen_dagster.rules.functions import Function

DOCS = Path(__file__).parent
COOKBOOK = DOCS.parent / "rules" / "cookbook"
SHOWN_ROWS = 6
REJECT_COLUMNS = ("_line", "_column", "_rule", "_value", "_reason")
NOTICE = "<!-- Made by `make docs`; edit the code it is made from. -->"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
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
        (f"`{cls.code}`", cls.fault, str(cls.exit_code), cls.title, _first_sentence(cls), cls.hint)
        for cls in error_classes()
        if cls is not ReportgenError
    ]
    table = _table(("code", "fault", "exit code", "title", "meaning", "how to mend it"), rows)
    return (
        f"# Errors\n\n{NOTICE}\n\nThe same error meets a person at the command line, a program in"
        " problem+json (`code`), and an operator in Dagster."
        "\n`fault` keeps a bad request, bad data and our own fault apart;"
        " so does what the command line exits with: 2, 3 and 1.\n\n"
        f"{table}\n"
    )


def _first_sentence(cls: type[ReportgenError]) -> str:
    return (cls.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")


_FUNCTIONS_HEAD = """Nothing else can be called: no other function of a database, none that reads a file, the
clock or the network. Names may be written in capitals too.

- `[argument]` may be left out, `...` takes any number more. A pattern, format, unit, zone or count of digits is written out.
- A null argument makes null, unless the line says otherwise. An error makes the row a reject, or fails the run once rows no
  longer stand for rows of the input.
- Where a text is wanted any value will do, as it is written. Where a date is wanted a date, a date with a time, or a text such as
  `2024-01-31` will do; where a moment is wanted also `2024-01-31T10:00:00`. Dates have no zone, years run from 1 to 9999.
- A number may be whole (64 bits), a decimal, or a floating-point number. What is exact of decimals says so; other functions
  take them as floating-point numbers. A result that is no finite number is an error.
- A text that is made has at most 100,000 characters.
- `max`, `min`, `round` and `nullif` mean in a formula of the short form what `cell_max`, `cell_min`,
  `round_half_even` and `cell_nullif` say."""
_FUNCTIONS_TABLE = """The examples of aggregates and windows are over these rows, in this order;
windows have `order_by: [x]`, and their result is told row by row. Every aggregate is also a window function, over the
whole partition. `distinct` before the argument makes equal values count once.

| name | x |
| --- | --- |
| a | 1 |
| b | 2 |
| c | 2 |
| d | |"""


def functions_page() -> str:
    """Return the reference of all functions by topic, each with its worked example."""
    from reportgen_dagster.rules.functions import FUNCTIONS

    topics = list(dict.fromkeys(entry.topic for entry in FUNCTIONS.values()))
    sections = [f"# Functions\n\n{NOTICE}\n\n{_FUNCTIONS_HEAD}"]
    for topic in topics:
        rows = [_function_row(entry) for entry in FUNCTIONS.values() if entry.topic == topic]
        table = _table(("function", "result", "meaning", "example"), rows)
        note = f"{_FUNCTIONS_TABLE}\n\n" if topic == "aggregates" else ""
        sections.append(f"## {topic.capitalize()}\n\n{note}{table}")
    return "\n\n".join(sections) + "\n"


def _function_row(entry: Function) -> tuple[str, ...]:
    summary = f"Another name of `{entry.alias_of}`." if entry.alias_of else entry.summary
    return f"`{entry.signature}`", entry.result, summary, f"`{entry.example}` is `{entry.example_result}`"


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


def metrics_page() -> str:
    """Return the table of all metrics."""
    from api_gateway.metrics.described import METRICS

    rows = [
        (
            f"`{metric.name}`",
            metric.kind,
            ", ".join(f"`{label}`" for label in metric.labels),
            "each gateway" if metric.is_of_gateway else "the installation",
            metric.meaning,
        )
        for metric in METRICS
    ]
    table = _table(("metric", "kind", "labels", "of", "meaning"), rows)
    return (
        f"# Metrics\n\n{NOTICE}\n\n`GET /metrics` tells these, for admins; [operating.md](operating.md#metrics) shows how"
        " Prometheus asks, and some alerts.\nThose of each gateway are added up over gateways (`sum`)."
        " Those of the installation come from the catalog and are the same\nwhichever gateway is asked, so of several take"
        f" one (`max`). `process_...` are the usual ones of the gateway's process.\n\n{table}\n"
    )


def commands_page() -> str:
    """Return every command with its arguments and options, as `--help` tells them."""
    from typer.main import get_command

    from reportgen_dagster.cli.main import app

    sections = [
        f"# Commands\n\n{NOTICE}\n\n`reportgen COMMAND --help` tells the same. `datasets`, `rulesets`, `reports`, `schedules`,"
        " `deliveries`, `secrets` and `fsck` work on the servers that\n`REPORTGEN_DATABASE_URL` names,"
        " else on those of the running `reportgen up`;"
        " run them as the account that runs the service,\nfor they write into its storage."
        " `storage` and `fsck` work\non the servers that `REPORTGEN_DATABASE_URL` names, else on those of the running"
        " `reportgen up`; run them as the account that runs the service,\nfor they write into its storage."
        "\n\n`login`, `logout`, `upload`, `generate`, `download` and `runs` ask a service over its API, wherever it is;"
        " `schedules --server` does, too.\n[client.md](client.md) tells how they know which, and as whom."
    ]
    sections.extend(
        _command(words, command) for words, command in _commands(get_command(app), ("reportgen",))
    )
    return "\n\n".join(sections) + "\n"


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each command that is no group, with the words that call it."""
    if not hasattr(command, "list_commands"):
        yield words, command
        return
    for name in command.list_commands(None):
        yield from _commands(command.get_command(None, name), (*words, name))


def _command(words: tuple[str, ...], command: Any) -> str:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option"]
    called = " ".join([*words, *(param.metavar or param.name.upper() for param in arguments)])
    parts = [f"## `{called}`", re.sub(r"[ \n]*\n *(?=\S)", "\n", (command.help or "").strip())]
    if options:
        parts.append(_table(("option", "meaning"), [_option(param) for param in options]))
    return "\n\n".join(parts)


def _option(param: Any) -> tuple[str, str]:
    names = ", ".join(f"`{name}`" for name in [*param.opts, *param.secondary_opts])
    value = "" if param.is_flag else f" `{param.metavar or 'VALUE'}`"
    told = [param.help or ""]
    told += ["Needed."] if param.required else []
    told += [f"Default: {param.default}."] if param.default not in (None, "", False, True) else []
    return f"{names}{value}", " ".join(told)


def rules_schema() -> str:
    """Return the JSON Schema of rules files."""
    from reportgen_dagster.rules.reading.document import rules_schema as schema

    return json.dumps(schema(), indent=2) + "\n"


def cookbook_page() -> str:
    """Return the recipes: rules, the beginning of their files, and of what they make."""
    from reportgen_dagster.rules.reading.loading import load_ruleset

    folders = sorted(path.parent for path in COOKBOOK.glob("*/rules.yaml"))
    recipes = [(folder, load_ruleset((folder / "rules.yaml").read_text()).document) for folder in folders]
    titles = [document.title or "" for _, document in recipes]
    listed = "\n".join(f"- [{title}](#{_anchor(title)})" for title in titles)
    one = "rules/cookbook/02_lookup_with_defaults"
    intro = (
        f"# Cookbook\n\n{NOTICE}\n\n"
        "Each recipe is a folder of [rules/cookbook](../../rules/cookbook) with rules, small files and the report that"
        " must come out;\nthe tests make each of them. A recipe is run with its files, references by their names:\n\n"
        f"```console\nreportgen run {one}/rules.yaml --input {one}/input.csv \\\n"
        f"    --reference products={one}/products.csv --output report.csv\n```"
    )
    return "\n\n".join([intro, listed, *(_recipe(*recipe) for recipe in recipes)]) + "\n"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _recipe(folder: Path, document: Any) -> str:
    rules = (folder / "rules.yaml").read_text()
    body = re.sub(r"\A#.*\n|^(title|description):.*\n", "", rules, flags=re.MULTILINE)
    dialect = document.input and document.input.dialect
    inputs = _beginning(folder / "input.csv", (dialect and dialect.encoding) or "utf-8")
    references = [_beginning(folder / f"{name}.csv") for name in document.reference_names]
    parts = [f"## {document.title}", document.description, f"```yaml\n{body}```", *_given(folder)]
    parts += [inputs, *references, _beginning(folder / "expected.csv", called="The report")]
    return "\n\n".join([*parts, *_rejects(folder / "expected_rejects.csv")])


def _given(folder: Path) -> list[str]:
    """Show what else the run is given."""
    if not (folder / "run.json").exists():
        return []
    run = json.loads((folder / "run.json").read_text())
    options = [f"--parameter {name}={value}" for name, value in run.get("parameters", {}).items()]
    options += [f"--date {run['date']}"] if "date" in run else []
    return [f"Run with `{' '.join(options)}`."]


def _beginning(path: Path, encoding: str = "utf-8", called: str = "") -> str:
    """Show the first rows of a file as they are."""
    head, *rows = path.read_bytes().decode(encoding).splitlines()
    what = called or f"`{path.name}`"
    more = f", the first {SHOWN_ROWS} of {len(rows)} rows" if len(rows) > SHOWN_ROWS else ""
    shown = "\n".join([head, *rows[:SHOWN_ROWS]])
    return f"{what}{more}:\n\n```text\n{shown}\n```"


def _rejects(path: Path) -> list[str]:
    """Show the rejects, without the cells of the rows."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as handle:
        rows = [tuple(row[name] for name in REJECT_COLUMNS) for row in csv.DictReader(handle)]
    return [f"The rejects:\n\n{_table(REJECT_COLUMNS, rows)}"]


def openapi_document() -> str:
    """Return the API's own description, so that a change of it is seen as a change."""
    from api_gateway.main import create_app

    return json.dumps(create_app().openapi(), indent=1, ensure_ascii=False) + "\n"


PAGES: dict[Path, Callable[[], str]] = {
    DOCS / "settings.md": settings_page,
    DOCS / "errors.md": errors_page,
    DOCS / "api.md": api_page,
    DOCS / "commands.md": commands_page,
    DOCS / "openapi.json": openapi_document,
    DOCS / "metrics.md": metrics_page,
    DOCS / "rules" / "functions.md": functions_page,
    DOCS / "rules" / "cookbook.md": cookbook_page,
    DOCS.parent / "rules" / "schema.json": rules_schema,
}


def main() -> None:
    """Write every page."""
    for path, render in PAGES.items():
        path.write_text(render())


if __name__ == "__main__":
    main()
