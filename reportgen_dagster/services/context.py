"""What every use case needs: settings, catalog and storage of one installation. No use case belongs here."""

from __future__ import annotations

from dataclasses import dataclass

from reportgen_dagster.catalog.session import Catalog
from reportgen_dagster.settings import Settings
from reportgen_dagster.storage.opening import open_store
from reportgen_dagster.storage.store import ObjectStore


@dataclass(frozen=True, slots=True)
class Context:
    """The open servers and folders of one installation, made once in a process.

    A forked child must not use its parent's context: it opens its own.

    Attributes:
        settings: What the process was told.
        catalog: The catalog's connections.
        store: Where files are kept.
    """

    settings: Settings
    catalog: Catalog
    store: ObjectStore

    @classmethod
    def open(cls, settings: Settings) -> Context:
        """Open catalog and storage. Nothing is connected yet: the first query does that.

        Raises:
            ValueError: If DATABASE_URL is not set.
            ServiceError: If the folder of the storage cannot be made.
        """
        store = open_store(settings.storage_url, settings.storage_path)
        return cls(settings, Catalog(settings.catalog_url), store)

    def close(self) -> None:
        """Close the catalog's connections."""
        self.catalog.close()
