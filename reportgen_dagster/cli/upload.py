"""`reportgen upload`: rules and files to the service that one signed in to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from reportgen_dagster.cli.asking import ContextOption, asking, byte_progress
from reportgen_dagster.cli.output import JsonOption, OptionalInputOption, print_json
from reportgen_dagster.cli.showing import say, size
from reportgen_dagster.errors import BadRequestError

OptionalRulesOption = Annotated[
    Path | None, typer.Option("--rules", help="The rules, as YAML or JSON.", exists=True, dir_okay=False)
]


def upload_command(
    file: Annotated[
        Path | None,
        typer.Argument(help="A file for --dataset.", metavar="FILE", exists=True, dir_okay=False),
    ] = None,
    rules: OptionalRulesOption = None,
    input_file: OptionalInputOption = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", "-r", help="The reference CSV.", exists=True, dir_okay=False)
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Make FILE its latest version.", metavar="NAME")
    ] = None,
    context: ContextOption = None,
    as_json: JsonOption = False,
) -> None:
    """Upload rules, an input and a reference, which `generate` takes from then on; or a new version of a dataset."""
    if (file is None) != (dataset is None):
        raise BadRequestError("A file goes with --dataset NAME, and that with a file.")
    if not (rules or input_file or reference or file):
        raise BadRequestError(
            "Nothing to upload; give --rules, --input, --reference, or --dataset NAME FILE."
        )
    kept: dict[str, Any] = {}
    with asking(context) as client:
        if rules is not None:
            kept["rules"] = client.upload_rules(rules)
        with byte_progress("upload", as_json=as_json) as progress:
            if input_file is not None or reference is not None:
                kept |= client.upload_files(input=input_file, reference=reference, on_progress=progress)
            if dataset is not None and file is not None:
                kept["dataset"] = client.datasets.add(dataset, file, on_progress=progress)
    if as_json:
        print_json(kept)
    else:
        say(*(f"{name}: {_words(facts)}" for name, facts in kept.items()))


def _words(facts: dict[str, Any]) -> str:
    told = [f"version {facts['version']}"] if "version" in facts else []
    told += [size(facts["size_bytes"])] if "size_bytes" in facts else []
    told += [f"{len(facts['columns'])} columns"] if "columns" in facts else []
    return ", ".join(told) or "stored"
