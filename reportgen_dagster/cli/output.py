"""What the commands share: arguments and options, reading rules, parameters and headers, and printing.

What does not belong here: how errors are shown (`main.py`), and anything heavy at import.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reportgen_dagster.errors import BadRequestError, MissingInputError, Problem, TooLargeError

if TYPE_CHECKING:
    from rich.console import Console

    from reportgen_dagster.rules.compiling.plan import OutputColumn
    from reportgen_dagster.rules.reading.ruleset import Ruleset

INPUT = "input"
DEFAULT_REFERENCE = "reference"
MAX_RULES_BYTES = 2**20

RulesArgument = Annotated[
    Path, typer.Argument(help="The rules, as YAML or JSON.", exists=True, dir_okay=False, metavar="RULES")
]
OptionalRulesArgument = Annotated[
    Path | None,
    typer.Argument(help="The rules, as YAML or JSON.", exists=True, dir_okay=False, metavar="[RULES]"),
]
InputOption = Annotated[
    Path, typer.Option("--input", "-i", help="The input CSV.", exists=True, dir_okay=False)
]
OptionalInputOption = Annotated[
    Path | None, typer.Option("--input", "-i", help="The input CSV.", exists=True, dir_okay=False)
]
ReferenceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--reference",
        "-r",
        help="A reference CSV, as NAME=FILE; just FILE for `reference`. May be there several times.",
        metavar="FILE",
    ),
]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter",
        "-p",
        help="The value of a parameter of the rules, as NAME=VALUE. May be there several times.",
        metavar="NAME=VALUE",
    ),
]
DateOption = Annotated[
    datetime | None,
    typer.Option(
        "--date", help="What `today()` is; today if left out.", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def read_rules(path: Path) -> Ruleset:
    """Read a rules file, sound or not; `.json` is read as JSON, all else as YAML.

    Raises:
        RulesError: If it is no document of rules at all.
        BadRequestError: If it is too large or not UTF-8.
    """
    from reportgen_dagster.rules.reading.loading import read_ruleset

    data = path.read_bytes()
    if len(data) > MAX_RULES_BYTES:
        raise TooLargeError(f"{path.name} has {len(data):,} bytes; rules may have {MAX_RULES_BYTES:,}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"{path.name} is not UTF-8 at byte {error.start + 1}") from None
    return read_ruleset(text, source=path.name, syntax="json" if path.suffix.lower() == ".json" else "yaml")


def read_parameters(ruleset: Ruleset, given: Sequence[str] | None) -> dict[str, Any]:
    """Return the value of each parameter of the rules, in its type.

    Raises:
        BadRequestError: With every parameter that is unknown, missing, given twice or not of its type.
    """
    from reportgen_dagster.services.parameters import typed_parameters

    return typed_parameters(ruleset, given_parameters(given))


def given_parameters(given: Sequence[str] | None) -> dict[str, str]:
    """Return the values of parameters as they are given.

    Raises:
        BadRequestError: If one is given twice, or is no NAME=VALUE.
    """
    values: dict[str, str] = {}
    for text in given or ():
        name, separator, value = text.partition("=")
        if not separator:
            raise BadRequestError(f"`{text}` gives no parameter; write NAME=VALUE")
        if name in values:
            raise BadRequestError(f"the parameter `{name}` is given twice")
        values[name] = value
    return values


def run_date_of(given: datetime | None) -> date:
    """Return what `today()` is."""
    return date.today() if given is None else given.date()


def reference_paths(ruleset: Ruleset, given: Sequence[str] | None) -> dict[str, Path]:
    """Return the reference files by name.

    Raises:
        MissingInputError: If a file is not there.
        BadRequestError: If two have the same name, or the rules do not know the name of one.
    """
    known = ", ".join(f"`{name}`" for name in ruleset.reference_names)
    paths: dict[str, Path] = {}
    for text in given or ():
        name, file = named_file(text, ruleset.reference_names)
        if name not in ruleset.reference_names:
            if ruleset.problems:  # which may be why they do not name it
                continue
            from reportgen_dagster.rules.expressions.faults import nearest

            near = nearest(name, ruleset.reference_names)
            knows = f"they know {known}{near}" if known else "they look nothing up"
            raise BadRequestError(f"the rules name no reference `{name}`; {knows}")
        if name in paths:
            raise BadRequestError(f"two files are given for the reference `{name}`; name them: NAME=FILE")
        if not Path(file).is_file():
            raise MissingInputError(problems=[Problem(f"there is no file {file}", source=name)])
        paths[name] = Path(file)
    return paths


def named_file(text: str, known: Iterable[str] = ()) -> tuple[str, str]:
    """Split `NAME=FILE`; a file whose own name has a `=` is the default reference.

    Args:
        text: What was given.
        known: Names that are meant even where there is such a file.
    """
    name, separator, file = text.partition("=")
    if separator and (name in known or (name.isidentifier() and not Path(text).exists())):
        return name, file
    return DEFAULT_REFERENCE, text


def given_files(
    ruleset: Ruleset, input_file: Path | None, reference: Sequence[str] | None
) -> dict[str, Path]:
    """Return the files that are given, `input` first.

    Raises:
        BadRequestError: If there is a reference but no input, or a reference that the rules do not know.
        MissingInputError: If a file is not there.
    """
    references = reference_paths(ruleset, reference)
    if input_file is None:
        if references:
            message = "whether a reference fits shows only beside an input; give `--input` with `--reference`"
            raise BadRequestError(message)
        return {}
    return {INPUT: input_file, **references}


def columns_json(columns: Iterable[OutputColumn]) -> list[dict[str, str]]:
    """Return columns as JSON data: name and type."""
    return [{"name": column.name, "type": str(column.type)} for column in columns]


def console() -> Console:
    """Return the console of standard output; it colours on a terminal only."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, emoji=False)


@contextmanager
def progress_bar(label: str, *, shown: bool) -> Iterator[Callable[[float], None]]:
    """Show a bar on standard error while something is done; what is yielded takes the fraction that is done."""
    if not shown:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=1.0)
        yield lambda fraction: bar.update(task, completed=fraction)


def print_json(data: Any) -> None:
    """Print data as one JSON document on standard output; dataclasses become objects, times texts in ISO form."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return asdict(value)
