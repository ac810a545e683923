"""A command's work on people's data, in a process that reaches only the files that the command names.

What belongs here: which files these are, and how its death is told. What does not: the bounds (engine/sandbox.py).
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reportgen_dagster.errors import ServiceError

if TYPE_CHECKING:
    from reportgen_dagster.engine.confined import Message, Work
    from reportgen_dagster.engine.limits import Limits


def given_paths(rules: Path, input_file: Path | None, reference: Sequence[str] | None) -> list[Path]:
    """Return every path that may be meant by what is given; a reference is FILE or NAME=FILE."""
    texts = [part for text in reference or () for part in (text, text.partition("=")[2]) if part]
    return [rules, *([input_file] if input_file else []), *map(Path, texts)]


@contextmanager
def confined(
    work: Work, *, limits: Limits, reads: Sequence[Path], work_folder: Path
) -> Iterator[Iterator[Message]]:
    """Do work in a confined process and hand out what it tells.

    What the work imports is best imported before: the process cannot write what Python compiles.

    Args:
        work: What to do there.
        limits: What it may use.
        reads: Files that it may read.
        work_folder: The folder that it may write into.

    Raises:
        ReportgenError: As the work raised it.
        ServiceError: If the process died.
    """
    from reportgen_dagster.engine.confined import ConfinedProcess, ProcessLostError
    from reportgen_dagster.engine.sandbox import missing_bounds

    for missing in missing_bounds():
        sys.stderr.write(f"note: this kernel has no {missing}\n")
    with ConfinedProcess.forked(work, limits=limits, reads=reads, writes=[work_folder]) as process:
        try:
            yield process.messages()
        except ProcessLostError as error:
            name = signal.Signals(error.signal).name
            raise ServiceError(
                f"the process that read the files was killed by {name}",
                hint="Give it more memory or smaller files; if it stays, one of the files makes a library crash.",
            ) from None
