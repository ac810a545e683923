"""Use case: the stored files that a preview looks at, as paths of this machine.

What belongs here: finding a caller's datasets. What does not: the preview itself (preview.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reportgen_dagster.errors import LimitError
from reportgen_dagster.services import datasets
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.reports import Pick

MAX_FETCHED_BYTES = 64 * 1000**2


def dataset_files(
    context: Context, owner_id: str, picks: Mapping[str, Pick], folder: Path
) -> dict[str, Path]:
    """Return where the bytes of datasets of the caller's lie.

    Args:
        context: The installation.
        owner_id: Who asks.
        picks: The dataset of each file that the rules name.
        folder: For copies, where the storage is elsewhere.

    Raises:
        NotFoundError: If there is no such dataset or version.
        LimitError: If a file of another storage is too large to be copied for a preview.
        StorageFullError: If this machine's disk has no room for a copy.
        ServiceError: If a file is lost or damaged in storage, or the storage is away.
    """
    return {name: _file(context, owner_id, pick, folder) for name, pick in picks.items()}


def _file(context: Context, owner_id: str, pick: Pick, folder: Path) -> Path:
    found = datasets.version_file(context, owner_id, pick.name, pick.version)
    if found.path is not None:
        return found.path
    if found.size_bytes > MAX_FETCHED_BYTES:
        raise LimitError(
            f"The dataset {pick.name} has {found.size_bytes:,} bytes; up to {MAX_FETCHED_BYTES:,} are previewed.",
            hint="Preview the beginning of the file as a sample.",
        )
    context.store.check_room(found.size_bytes)
    return context.store.fetch(found.digest, folder)
