"""What the commands share: arguments of files, reading rules and headers, and printing.

What does not belong here: how errors are shown (`main.py`), and anything heavy at import.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reportgen_dagster.errors import BadRequestError, MissingInputError, Problem, RulesError, TooLargeError

if TYPE_CHECKING:
    from rich.console import Console

    from reportgen_dagster.rules.loading import Ruleset

DEFAULT_REFERENCE = "reference"
MAX_RULES_BYTES = 2**20

RulesArgument = Annotated[
    Path, typer.Argument(help="The rules, as YAML or JSON.", exists=True, dir_okay=False, metavar="RULES")
]
ReferenceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--reference", "-r", help="A reference CSV, as NAME=FILE; just FILE for `reference`.", metavar="FILE"
    ),
]
OptionalInputOption = Annotated[
    Path | None, typer.Option("--input", "-i", help="The input CSV.", exists=True, dir_okay=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def read_rules(path: Path) -> Ruleset:
    """Load a rules file; `.json` is read as JSON, all else as YAML.

    Raises:
        RulesError: With every problem in it.
        BadRequestError: If it is too large or not UTF-8.
    """
    from reportgen_dagster.rules.loading import load_ruleset

    data = path.read_bytes()
    if len(data) > MAX_RULES_BYTES:
        raise TooLargeError(f"{path.name} has {len(data):,} bytes; rules may have {MAX_RULES_BYTES:,}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"{path.name} is not UTF-8 at byte {error.start + 1}") from None
    return load_ruleset(text, source=path.name, syntax="json" if path.suffix.lower() == ".json" else "yaml")


def reference_paths(ruleset: Ruleset, given: Sequence[str] | None) -> dict[str, Path]:
    """Return the reference files by name.

    Raises:
        MissingInputError: If a file is not there.
        BadRequestError: If two have the same name, or the rules do not know the name of one.
    """
    known = ", ".join(f"`{name}`" for name in ruleset.reference_names)
    paths: dict[str, Path] = {}
    for text in given or ():
        name, separator, file = text.partition("=")
        if not separator or not name.isidentifier() or Path(text).exists():
            name, file = DEFAULT_REFERENCE, text
        if name not in ruleset.reference_names:
            knows = f"they know {known}" if known else "they look nothing up"
            raise BadRequestError(f"the rules name no reference `{name}`; {knows}")
        if name in paths:
            raise BadRequestError(f"two files are given for the reference `{name}`; name them: NAME=FILE")
        if not Path(file).is_file():
            raise MissingInputError(problems=[Problem(f"there is no file {file}", source=name)])
        paths[name] = Path(file)
    return paths


def read_headers(files: Mapping[str, Path]) -> dict[str, tuple[str, ...]]:
    """Return the columns of each file.

    Raises:
        FileRefusedError: If a header cannot be used.
    """
    from reportgen_dagster.engine.headers import HEAD_BYTES, read_header

    columns = {}
    for name, path in files.items():
        with path.open("rb") as file:
            columns[name] = read_header(file.read(HEAD_BYTES), name=name).columns
    return columns


def fitting_columns(
    ruleset: Ruleset, input_file: Path | None, reference: Sequence[str] | None
) -> dict[str, tuple[str, ...]] | None:
    """Return the columns of `input` and each reference if the rules fit them; None if no file is given.

    Raises:
        BadRequestError: If there is a reference but no input, or a reference that the rules do not know.
        FileRefusedError: If a header cannot be used.
        RulesError: If the rules do not fit the headers.
    """
    from reportgen_dagster.rules.checks import check_columns

    references = reference_paths(ruleset, reference)
    if input_file is None:
        if references:
            message = "whether a reference fits shows only beside an input; give `--input` with `--reference`"
            raise BadRequestError(message)
        return None
    columns = read_headers({"input": input_file, **references})
    problems = check_columns(
        ruleset,
        input_columns=columns["input"],
        reference_columns={name: columns[name] for name in references},
    )
    if problems:
        raise RulesError(problems=problems)
    return columns


def console() -> Console:
    """Return the console of standard output; it colours on a terminal only."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def print_json(data: Any) -> None:
    """Print data as one JSON document on standard output."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
