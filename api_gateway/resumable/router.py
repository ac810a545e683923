"""The calls of tus 1.0: begin, ask, append, end an upload; and one that shows it as JSON."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from api_gateway.dependencies import ContextDep, ReaderDep, WriterDep
from api_gateway.documentation import problems
from api_gateway.errors import MediaTypeError, StalledError
from api_gateway.idempotency import PROBLEMS as KEY_PROBLEMS
from api_gateway.idempotency import IdempotencyDep
from api_gateway.resumable.protocol import (
    MEDIA_TYPE,
    PATH,
    headers_of,
    offered,
    read_checksum,
    read_metadata,
)
from api_gateway.resumable.schemas import UploadItem
from api_gateway.streaming import pour
from reportgen_dagster.errors import GoneError
from reportgen_dagster.services import resumable
from reportgen_dagster.services.accounts import Caller
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.resumable import Appending, Checksum, ResumableView

router = APIRouter(prefix=PATH, tags=["uploads"])

# A client that stops sending gives its place up soon: it can go on where it was.
IDLE_SECONDS = 5.0
_EXAMPLE = "desk,price\nFX,12.5\n"
_BYTES = {"schema": {"type": "string", "format": "binary"}, "example": _EXAMPLE}
_CHECKSUM = "`sha256` or `sha1`, a blank, and the digest of this body in Base64. Without it a cut body counts as far as it came."
ChecksumHeader = Annotated[
    str | None, Header(description=_CHECKSUM, examples=["sha1 BZBT1KVNjuUHNdY1FAMi3ryQpKo="])
]


def _told(*names: str) -> dict[str, Any]:
    return {name: {"schema": {"type": "string"}} for name in names}


@router.options(
    "",
    status_code=204,
    response_description="What is spoken here, in headers.",
    responses={
        204: {"headers": _told("Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm")}
    },
)
def show_upload_protocol(context: ContextDep) -> Response:
    """Tell version, extensions and bounds of tus here."""
    return Response(status_code=204, headers=offered(context.settings.max_upload_bytes))


@router.post(
    "",
    status_code=201,
    response_class=Response,
    response_description="The upload has begun; `Location` says where its bytes go.",
    responses={
        201: {"headers": _told("Location", "Upload-Offset", "Upload-Expires")},
        **problems(400, 412, 413, 429, 460, 503, 507, status_412="Another version of tus."),
        **KEY_PROBLEMS,
    },
    openapi_extra={"requestBody": {"required": False, "content": {MEDIA_TYPE: _BYTES}}},
)
async def begin_upload(
    request: Request,
    caller: WriterDep,
    context: ContextDep,
    idempotency: IdempotencyDep,
    upload_length: Annotated[int, Header(ge=0, description="Bytes of the file.", examples=[len(_EXAMPLE)])],
    upload_metadata: Annotated[
        str,
        Header(
            description="`dataset` (the file becomes a version of it), or `role` (`input` or `reference`: it becomes the"
            " last upload), and `filename`: each a key, a blank, and a text in Base64; commas between.",
            examples=["dataset dHJhZGVz,filename dHJhZGVzLmNzdg=="],
        ),
    ] = "",
    upload_checksum: ChecksumHeader = None,
) -> Response:
    """Begin an upload that survives cut connections, by the tus protocol (https://tus.io); clients of many languages speak it.

    The first bytes may come along, as `application/offset+octet-stream`. A repetition with the same Idempotency-Key tells of the
    upload as it began, at offset 0; HEAD tells how far it is.
    """
    checksum = read_checksum(upload_checksum)

    def headers_at(upload: ResumableView) -> dict[str, str]:
        location = f"{context.settings.public_url.rstrip('/')}{PATH}/{upload.id}"
        return {**headers_of(upload), "Location": location}

    asked = {"length": upload_length, "metadata": upload_metadata}
    once = await idempotency.once(caller, asked, lambda _: None, headers_at)
    upload = await run_in_threadpool(
        resumable.begin,
        context,
        caller.user_id,
        size_bytes=upload_length,
        metadata=read_metadata(upload_metadata),
        told=upload_metadata,
        once=once,
    )
    headers = headers_at(upload)
    if request.headers.get("content-type") == MEDIA_TYPE:
        headers = {
            **await _append(request, context, caller, upload.id, 0, checksum),
            "Location": headers["Location"],
        }
    return Response(status_code=201, headers=headers)


@router.head(
    "/{upload_id}",
    response_class=Response,
    response_description="How much is durable, in headers.",
    responses={
        200: {"headers": _told("Upload-Offset", "Upload-Length", "Upload-Metadata", "Upload-Expires")},
        **problems(404, 410, 412, 503, status_412="Another version of tus."),
    },
)
def show_upload_offset(upload_id: str, caller: WriterDep, context: ContextDep) -> Response:
    """Tell how many bytes of an upload are durable; go on from there."""
    upload = resumable.find(context, caller.user_id, upload_id)
    if upload.state == "refused":
        raise GoneError("The file was refused, and its bytes are gone.")
    metadata = {"Upload-Metadata": upload.told} if upload.told else {}
    return Response(
        headers={**headers_of(upload), **metadata, "Upload-Length": str(upload.size_bytes)},
    )


@router.patch(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    response_description="The bytes are durable. After the last ones `Location` is the version of the dataset.",
    responses={
        204: {"headers": _told("Upload-Offset", "Upload-Expires", "Location")},
        **problems(
            400,
            404,
            410,
            412,
            413,
            415,
            423,
            460,
            503,
            507,
            status_400="A malformed header, or the file, or its head, is whole and cannot be used.",
            status_412="Another version of tus.",
            status_413="More bytes than were announced.",
        ),
        **problems(409, status_409="Another offset is due (HEAD tells it), or the upload is complete."),
    },
    openapi_extra={"requestBody": {"required": True, "content": {MEDIA_TYPE: _BYTES}}},
)
async def append_to_upload(
    upload_id: str,
    request: Request,
    caller: WriterDep,
    context: ContextDep,
    upload_offset: Annotated[int, Header(ge=0, description="Where the bytes belong.", examples=[0])],
    upload_checksum: ChecksumHeader = None,
) -> Response:
    """Append bytes to an upload. Those that came before a connection was cut need not be sent again."""
    if request.headers.get("content-type") != MEDIA_TYPE:
        raise MediaTypeError(f"Send the bytes as {MEDIA_TYPE}.")
    checksum = read_checksum(upload_checksum)
    headers = await _append(request, context, caller, upload_id, upload_offset, checksum)
    return Response(status_code=204, headers=headers)


@router.delete(
    "/{upload_id}",
    status_code=204,
    response_description="It is gone.",
    responses=problems(404, 410, 412, 423, 503, status_412="Another version of tus."),
)
def terminate_upload(upload_id: str, caller: WriterDep, context: ContextDep) -> None:
    """End an upload and forget its bytes. A version that it became stays."""
    resumable.terminate(context, caller.user_id, upload_id)


@router.get(
    "/{upload_id}",
    response_description="The upload.",
    responses=problems(404, 410, 412, 503, status_412="Another version of tus."),
)
def get_upload(upload_id: str, caller: ReaderDep, context: ContextDep) -> UploadItem:
    """Show how far an upload is, and what it became."""
    return UploadItem.of(resumable.find(context, caller.user_id, upload_id))


async def _append(
    request: Request,
    context: Context,
    caller: Caller,
    upload_id: str,
    offset: int,
    checksum: Checksum | None,
) -> dict[str, str]:
    """Append a request's body; return the headers of the answer."""
    appending = await run_in_threadpool(
        Appending, context, caller.user_id, upload_id, offset=offset, checksum=checksum
    )
    with appending:
        try:
            await pour(request, appending.write, idle_seconds=IDLE_SECONDS)
        except ClientDisconnect:
            await run_in_threadpool(appending.finish_cut)
            raise
        except StalledError:  # whoever is still there goes on from the offset in the answer
            return {**headers_of(await run_in_threadpool(appending.finish_cut)), "Connection": "close"}
        return headers_of(await run_in_threadpool(appending.finish))
