"""What the caller uses and may use."""

from __future__ import annotations

from fastapi import APIRouter

from api_gateway.dependencies import ContextDep, ReaderDep
from api_gateway.documentation import problems
from api_gateway.usage.schemas import Measure, UsageShown
from reportgen_dagster.services import quotas

router = APIRouter(prefix="/api/v1/me", tags=["me"])


@router.get("/usage", response_description="Used and allowed.", responses=problems(503))
def show_usage(caller: ReaderDep, context: ContextDep) -> UsageShown:
    """Show how much the caller uses of what is bounded for each user, and the bounds."""
    used, settings = quotas.usage_of(context, caller.user_id), context.settings
    return UsageShown(
        stored_bytes=_measure(used.stored_bytes + used.promised_bytes, settings.stored_bytes_per_user),
        files=_measure(used.files, settings.files_per_user),
        open_uploads=_measure(used.open_uploads, settings.open_uploads_per_user),
        queued_runs=_measure(used.queued_runs, settings.queued_runs_per_user),
        largest_file_bytes=settings.max_upload_bytes,
    )


def _measure(used: int, allowed: int) -> Measure:
    return Measure(used=used, allowed=allowed or None)
