"""Bodies that are read piece by piece, in constant memory: a thread writes one piece while the next arrives.

What belongs here: getting the bytes of a request to whoever takes them. What does not: what they mean (`multipart.py`,
`resumable/`), and how many there may be: who takes them says that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import copy_context

from fastapi import Request
from starlette.requests import ClientDisconnect

from api_gateway.envelope import bound_body
from api_gateway.errors import StalledError

BATCH_BYTES = 1024 * 1024  # what is parsed, hashed and written in one go in a thread
IDLE_SECONDS = 30.0


async def pour(
    request: Request, take: Callable[[bytes], None], *, idle_seconds: float = IDLE_SECONDS
) -> None:
    """Hand a request's body on in batches.

    Args:
        request: The request; its body has not been read.
        take: Takes the bytes in order, in threads, one call at a time. It bounds how many there may be.
        idle_seconds: How long nothing may come.

    Raises:
        ClientDisconnect: If the client went away; what came before that was handed on.
        StalledError: If nothing came for too long; what came before that was handed on.
    """
    bound_body(request.scope, None)
    loop = asyncio.get_running_loop()
    writing: asyncio.Future[None] = loop.create_future()
    writing.set_result(None)
    try:
        async for batch in _batches(request, idle_seconds):
            await writing
            # `run_in_threadpool` takes turns of the loop before its thread begins, and each reads what is ahead first.
            writing = loop.run_in_executor(None, copy_context().run, _take_all, take, batch)
        await writing
    finally:
        # The thread must be through with the files before they are closed.
        await asyncio.wait([writing])
        if not writing.cancelled():
            writing.exception()  # raised above, or less telling than what was


def _take_all(take: Callable[[bytes], None], batch: list[bytes]) -> None:
    for chunk in batch:
        take(chunk)


async def _batches(request: Request, idle_seconds: float) -> AsyncIterator[list[bytes]]:
    """Go through the body in lists of pieces as they came: joining them would copy every byte once more."""
    chunks: list[bytes] = []
    size = 0
    stream = aiter(request.stream())
    end: ClientDisconnect | StalledError | None = None
    while True:
        try:
            async with asyncio.timeout(idle_seconds):
                chunk = await anext(stream, None)
        except ClientDisconnect as error:
            end = error
            break
        except TimeoutError:
            end = StalledError(f"Nothing of the body came for {idle_seconds:.0f} seconds.")
            break
        if chunk is None:
            break
        chunks.append(chunk)
        size += len(chunk)
        if size >= BATCH_BYTES:
            yield chunks
            chunks, size = [], 0
    yield chunks
    if end is not None:
        raise end
