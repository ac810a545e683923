"""`reportgen run --manifest`: the report of a run made again from its manifest, and whether it is the same to the byte.

What belongs here: the given files, outputs, and what is told. What does not: the manifest itself (services/manifests.py).
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from reportgen_dagster.cli.isolation import confined
from reportgen_dagster.cli.output import console, given_files, print_json
from reportgen_dagster.errors import BadRequestError, ManifestError, MissingInputError, Problem

if TYPE_CHECKING:
    from reportgen_dagster.engine.limits import Limits
    from reportgen_dagster.formats import Format
    from reportgen_dagster.services.manifests import Manifest


def replay(
    manifest_file: Path,
    input_file: Path,
    reference: Sequence[str] | None,
    outputs: Mapping[Format, Path],
    rejects: Path | None,
    *,
    limits: Limits,
    as_json: bool,
) -> None:
    """Make a report again.

    Args:
        manifest_file: The manifest.
        input_file: The input.
        reference: The references that are given.
        outputs: Where to put which format; those that are not named are made and compared all the same.
        rejects: Where to put the rejects.
        limits: What the report may use.
        as_json: Whether JSON is printed.

    Raises:
        BadRequestError: If the manifest is none, or did not make a format that is wanted.
        MissingInputError: If a file of the manifest is not given.
        ManifestError: If a given file is not the manifest's, or something that was made is not.
    """
    from reportgen_dagster.services import report_child
    from reportgen_dagster.services.manifests import differences, read_manifest, replay_request

    manifest = read_manifest(manifest_file.read_bytes())
    if unmade := [name for name in outputs if name not in manifest.formats]:
        raise BadRequestError(f"the run made {', '.join(manifest.formats)}, not {', '.join(unmade)}")
    files = _given(manifest, input_file, reference)
    with tempfile.TemporaryDirectory(prefix=".reportgen-", dir=_folder(outputs)) as folder:
        work = Path(folder)
        diverted = work / "rejects.csv"
        request = {
            **replay_request(manifest),
            "files": {name: str(path) for name, path in files.items()},
            "work": str(work),
            "rejects": str(diverted),
            "limits": asdict(limits),
        }
        with confined(
            partial(report_child.make, request), limits=limits, reads=list(files.values()), work_folder=work
        ) as messages:
            *_, told = messages
        made = {name: work / file for name, file in told["files"].items()}
        digests = {name: _digest(path) for name, path in made.items()}
        different = differences(manifest, digests, _digest(diverted) if diverted.exists() else None)
        for name, path in outputs.items():
            shutil.move(made[name], path)  # may be another file system
        if rejects is not None and diverted.exists():
            shutil.move(diverted, rejects)
    if different:
        raise ManifestError(problems=different, hint=_hint(manifest))
    _tell(manifest, digests, as_json=as_json)


def _given(manifest: Manifest, input_file: Path, reference: Sequence[str] | None) -> dict[str, Path]:
    """Return the given files, which are the manifest's.

    Raises:
        MissingInputError: Naming what is not given.
        ManifestError: Naming those that are others.
    """
    from reportgen_dagster.rules.reading.loading import load_ruleset

    rules = manifest.rules
    ruleset = load_ruleset(rules.text, source=rules.filename, syntax=rules.syntax)
    files = given_files(ruleset, input_file, reference)
    if missing := sorted(manifest.inputs.keys() - files.keys()):
        problems = [
            Problem(f"is not given; it was {manifest.inputs[name].filename}", path=name) for name in missing
        ]
        raise MissingInputError(problems=problems)
    digests = {name: _digest(files[name]) for name in manifest.inputs}
    others = [
        Problem(f"{files[name].name} is not {file.filename} of the run: its SHA-256 is another", path=name)
        for name, file in manifest.inputs.items()
        if digests[name] != file.digest
    ]
    if others:
        raise ManifestError(problems=others)
    return {name: files[name] for name in manifest.inputs}


def _folder(outputs: Mapping[Format, Path]) -> Path | None:
    """Return where to work: beside the first output, so that it needs not be copied; None: wherever there is room."""
    return next((path.absolute().parent for path in outputs.values()), None)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hint(manifest: Manifest) -> str:
    from reportgen_dagster.services.manifests import other_engines

    others = other_engines(manifest)
    return f"It was made by other versions: {others}." if others else ""


def _tell(manifest: Manifest, digests: Mapping[str, str], *, as_json: bool) -> None:
    if hint := _hint(manifest):
        sys.stderr.write(f"note: {hint} The bytes are the same.\n")
    if as_json:
        print_json({"run_id": manifest.run_id, "same": True, "outputs": digests})
    else:
        names = ", ".join(digests)
        console().print(f"{names}: the same bytes as those of run {manifest.run_id}", markup=False)
