"""Moving batches of rows: computed ahead, of a good size.

What belongs here: what every block's rows go through. What does not: which query gives them (blocks.py), which of them stay
(sieve.py), file formats (`writers/`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any

import pyarrow as pa

from reportgen_dagster.engine.limits import Deadline
from reportgen_dagster.engine.text_files import TextFile

Progress = Callable[[float, int], None]  # the fraction that is done, and the rows read so far

# DuckDB's own unit of work; larger batches leave the caches, smaller ones cost calls.
_BATCH_ROWS = 122_880
_VECTOR_ROWS = 2_048
_BATCH_BYTES = 8 * 1024 * 1024
_QUEUED_BATCHES = 4
_DRAIN_SECONDS = 0.05


def batch_rows(file: TextFile, *, parts: int = 1) -> int:
    """Choose the rows of a batch so that wide rows do not make batches that fill the memory.

    Args:
        file: Whose rows are about as wide.
        parts: Make batches that are so many times smaller.
    """
    width = max(file.size_bytes // max(file.line_count, 1), 1)
    vectors = _BATCH_BYTES // width // _VECTOR_ROWS // parts
    return min(max(vectors, 1) * _VECTOR_ROWS, _BATCH_ROWS // parts)


def progress_of(file: TextFile, deadline: Deadline, progress: Progress) -> Callable[[int], None]:
    """Return what to call with the number of rows read so far: it reports how far that is and minds the deadline."""

    def note(row_count: int) -> None:
        deadline.check()
        progress(min(row_count / max(file.line_count - 1, 1), 1.0), row_count)

    return note


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
