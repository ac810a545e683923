"""What an attempt works with: catalog, storage and a scratch folder, opened for one run and closed after it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from dagster import InitResourceContext, resource

from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings


@dataclass(frozen=True, slots=True)
class Service:
    """The service as the ops of one Dagster run see it.

    Attributes:
        context: Settings, catalog and storage.
        work: An empty folder of this Dagster run, on the storage's file system.
        cleanup: Closes what an op opened when the run ends, however it ends.
    """

    context: Context
    work: Path
    cleanup: ExitStack


@resource(description="Catalog, storage and a scratch folder for one run.")
def service(init: InitResourceContext) -> Iterator[Service]:
    """Open the service for one run; the folder is gone when it ends."""
    with ExitStack() as stack:
        context = Context.open(Settings())
        stack.callback(context.close)
        name = init.run.run_id if init.run else "without-run"
        work = stack.enter_context(context.store.work_folder(f"{name}-{os.getpid()}"))
        yield Service(context, work, stack)
