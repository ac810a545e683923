"""The input cut at line ends into pieces, so that several threads compute and the rows keep their order all the same.

DuckDB hands out the rows of a join in no order where several threads read a file. Here each thread computes a piece of
its own from beginning to end, and the pieces are taken in the file's order. What belongs here: cutting, and computing
ahead. What does not: SQL.
"""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import pyarrow as pa

from reportgen_dagster.engine.text_files import TextFile

# A few pieces are in memory at a time. Each makes its own hash tables of the references: larger ones want larger pieces.
PIECE_BYTES = 16 * 1024 * 1024
PIECE_BYTES_INTO_BLOCK = 4 * 1024 * 1024
PIECE_BYTES_BESIDE_LARGE_REFERENCES = 32 * 1024 * 1024
LARGE_REFERENCE_BYTES = 8 * 1024 * 1024
_PROBE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole lines of an open file.

    Attributes:
        source: Descriptor of the file.
        start: Where its first byte is.
        end: Where the first byte behind it is.
    """

    source: int
    start: int
    end: int

    @property
    def mark(self) -> bytes:
        """What readers take away at the beginning, a byte order mark, where it is no mark but the beginning of a cell."""
        is_cell = self.start and os.pread(self.source, len(BOM_UTF8), self.start) == BOM_UTF8
        return BOM_UTF8 if is_cell else b""

    def read(self) -> bytes:
        """Return its bytes, as they are to be read."""
        return self.mark + os.pread(self.source, self.end - self.start, self.start)


@dataclass(frozen=True, slots=True)
class Window:
    """A file in memory that shows one piece of the input at a time; DuckDB reads it by its path."""

    descriptor: int
    path: Path

    def show(self, piece: Piece) -> None:
        """Copy a piece into the window."""
        os.ftruncate(self.descriptor, 0)
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        os.write(self.descriptor, piece.mark)
        start = piece.start
        while start < piece.end:
            start += os.sendfile(self.descriptor, piece.source, start, piece.end - start)


def open_windows(file: TextFile, count: int, stack: ExitStack) -> list[Window]:
    """Open as many windows as threads may compute; none for a file that is not worth cutting or cannot be cut."""
    if not file.line_feed_ends_row or file.size_bytes < 2 * PIECE_BYTES or count < 2:
        return []
    descriptors = [os.memfd_create(f"piece-{number}") for number in range(count)]
    for descriptor in descriptors:
        stack.callback(os.close, descriptor)
    return [Window(descriptor, Path(f"/proc/self/fd/{descriptor}")) for descriptor in descriptors]


def piece_bytes_beside(references: Iterable[TextFile], *, into_block: bool = False) -> int:
    """Return how large pieces are best beside these references, and beside a block that may hold all the memory there is."""
    if sum(file.size_bytes for file in references) > LARGE_REFERENCE_BYTES:
        return PIECE_BYTES_BESIDE_LARGE_REFERENCES
    return min(PIECE_BYTES, PIECE_BYTES_INTO_BLOCK) if into_block else PIECE_BYTES


Batches = deque[pa.RecordBatch]
Compute = Callable[[Window, Piece], Iterable[pa.RecordBatch]]


@contextmanager
def computed(
    file: TextFile,
    windows: list[Window],
    compute: Compute,
    interrupt: Callable[[], None],
    *,
    piece_bytes: int = PIECE_BYTES,
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Compute the pieces of a file ahead, one in each window, and hand out their batches in the file's order.

    Args:
        file: What to cut.
        windows: Where its pieces are shown, one for each thread.
        compute: Gives the batches of a piece, which it may look at through a window.
        interrupt: Stops what is being computed.
        piece_bytes: How large a piece is, about.
    """
    free: SimpleQueue[Window] = SimpleQueue()
    for window in windows:
        free.put(window)
    source = os.open(file.path, os.O_RDONLY)

    def run(start: int, end: int) -> Batches:
        window = free.get()
        try:
            return deque(compute(window, Piece(source, start, end)))
        finally:
            free.put(window)

    pool = ThreadPoolExecutor(len(windows), thread_name_prefix="reportgen-piece")
    try:
        yield _in_order(pool, run, _cuts(source, file, piece_bytes), ahead=len(windows))
    finally:
        interrupt()
        pool.shutdown(cancel_futures=True)
        os.close(source)


def _in_order(
    pool: ThreadPoolExecutor,
    run: Callable[[int, int], Batches],
    cuts: Iterator[tuple[int, int]],
    *,
    ahead: int,
) -> Iterator[pa.RecordBatch]:
    pending: deque[Future[Batches]] = deque()
    for start, end in cuts:
        pending.append(pool.submit(run, start, end))
        if len(pending) > ahead:
            yield from _handed_out(pending.popleft().result())
    while pending:
        yield from _handed_out(pending.popleft().result())


def _handed_out(batches: Batches) -> Iterator[pa.RecordBatch]:
    """Yield batches so that each is gone when its taker is done with it."""
    while batches:
        yield batches.popleft()


def _cuts(source: int, file: TextFile, piece_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each piece: whole lines, the header left out if there is one."""
    size = file.size_bytes
    start = _after_line(source, 0, size) if file.header.dialect.header else 0
    while start < size:
        end = _after_line(source, min(start + piece_bytes, size), size)
        yield start, end
        start = end


def _after_line(source: int, position: int, size: int) -> int:
    """Return where the line ends that holds the byte at a position."""
    while position < size:
        probe = os.pread(source, _PROBE_BYTES, position)
        found = probe.find(b"\n")
        if found >= 0:
            return position + found + 1
        position += len(probe)
    return size
