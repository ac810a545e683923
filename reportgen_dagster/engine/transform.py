"""The one pass over the rows: DuckDB computes, rows with an error are set aside, the rest is written.

What belongs here: moving batches from the query to the writer, and counting them. What does not: SQL (`rules/`), file
formats (`writers/`), the lines of rejects (`rejects.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any

import numpy as np
import pyarrow as pa

from reportgen_dagster.engine.limits import Deadline
from reportgen_dagster.engine.outcome import Preview
from reportgen_dagster.engine.rejects import ERROR_SCHEMA
from reportgen_dagster.engine.text_files import TextFile
from reportgen_dagster.engine.writers.csv import CsvWriter

Progress = Callable[[float], None]

# DuckDB's own unit of work; larger batches leave the caches, smaller ones cost calls.
_BATCH_ROWS = 122_880
_VECTOR_ROWS = 2_048
_BATCH_BYTES = 8 * 1024 * 1024
_QUEUED_BATCHES = 4
_DRAIN_SECONDS = 0.05


def write_rows(
    batches: Iterable[pa.RecordBatch],
    *,
    writer: CsvWriter,
    errors: Path,
    preview: Preview,
    on_batch: Callable[[int], None],
) -> int:
    """Write each row that has no error.

    Args:
        batches: The report's columns as text and last the error of the row or null, one row for each row that can be read.
        writer: Takes the rows without an error.
        errors: Where to keep the errors, as Arrow batches of `rejects.ERROR_SCHEMA`.
        preview: Gets the first rows.
        on_batch: Called after each batch with the number of rows read so far.

    Returns:
        How many rows could be read, those with an error among them.
    """
    readable = 0
    with pa.OSFile(str(errors), "wb") as file, pa.ipc.new_stream(file, ERROR_SCHEMA) as spool:
        for batch in batches:
            good = _set_aside(batch, readable, spool)
            if good.num_rows:
                preview.add(good)
                writer.write(good)
            readable += batch.num_rows
            on_batch(readable)
    return readable


def spooled_errors(errors: Path) -> Iterator[pa.RecordBatch]:
    """Read back what `write_rows` kept of the rows with an error."""
    with pa.OSFile(str(errors)) as file, pa.ipc.open_stream(file) as reader:
        yield from reader


def batch_rows(file: TextFile) -> int:
    """Choose the rows of a batch so that wide rows do not make batches that fill the memory."""
    width = max(file.size_bytes // max(file.line_count, 1), 1)
    vectors = _BATCH_BYTES // width // _VECTOR_ROWS
    return min(max(vectors, 1) * _VECTOR_ROWS, _BATCH_ROWS)


def progress_of(file: TextFile, deadline: Deadline, progress: Progress) -> Callable[[int], None]:
    """Return what to call with the number of rows read so far: it reports a fraction and minds the deadline."""

    def note(row_count: int) -> None:
        deadline.check()
        progress(min(row_count / max(file.line_count - 1, 1), 1.0))

    return note


def _set_aside(batch: pa.RecordBatch, first: int, spool: Any) -> pa.RecordBatch:
    """Return the report's columns of the rows without an error, and spool the errors of the others."""
    last = batch.num_columns - 1
    errors = batch.column(last)
    good = batch.select(range(last))
    if errors.null_count == batch.num_rows:
        return good
    failed = np.flatnonzero(errors.is_valid().to_numpy(zero_copy_only=False))
    columns = [pa.array(failed + first, pa.int64()), errors.take(pa.array(failed)).cast(pa.string())]
    spool.write_batch(pa.RecordBatch.from_arrays(columns, schema=ERROR_SCHEMA))
    return good.filter(errors.is_null())


@contextmanager
def prefetched(
    source: Iterable[pa.RecordBatch], interrupt: Callable[[], None]
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Read batches ahead in a thread, so that DuckDB computes while the writer writes."""
    queue: Queue[pa.RecordBatch | BaseException | None] = Queue(_QUEUED_BATCHES)
    stopped = Event()

    def produce() -> None:
        try:
            for batch in source:
                queue.put(batch)
                if stopped.is_set():
                    return
        except BaseException as error:  # handed on to the consumer, which raises it
            queue.put(error)
        else:
            queue.put(None)

    producer = Thread(target=produce, name="reportgen-query", daemon=True)
    producer.start()
    try:
        yield _received(queue)
    finally:
        stopped.set()
        while producer.is_alive():
            interrupt()
            _drain(queue)
            producer.join(_DRAIN_SECONDS)


def _received(queue: Queue[pa.RecordBatch | BaseException | None]) -> Iterator[pa.RecordBatch]:
    while (item := queue.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item


def _drain(queue: Queue[Any]) -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        return
