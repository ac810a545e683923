"""Which store a URL means. What a store does belongs to `store.py` and the files beside it."""

from __future__ import annotations

from pathlib import Path

from reportgen_dagster.settings import FOLDER
from reportgen_dagster.storage.store import ObjectStore
from reportgen_dagster.storage.store_folder import FolderStore


def open_store(url: str, folder: Path) -> ObjectStore:
    """Open a store. No server is asked yet.

    Args:
        url: As `file:///path`, `s3://bucket/prefix` or `gs://bucket/prefix`; empty: `folder`.
        folder: Where files are kept if no URL says otherwise, and where the scratch of a bucket lies.

    Raises:
        ServiceError: If the folder cannot be made, or the URL or the store's variables cannot be used.
    """
    if not url:
        return FolderStore(folder)
    if url.startswith(FOLDER):
        return FolderStore(Path(url.removeprefix(FOLDER)))
    from reportgen_dagster.storage.store_bucket import (
        BucketStore,
    )  # its client is loaded only where it is used

    return BucketStore(url, folder)
