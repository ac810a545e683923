"""Metrics for Prometheus, for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response

from api_gateway.dependencies import ContextDep, for_admins
from api_gateway.documentation import problems
from api_gateway.metrics.measures import Measures
from reportgen_dagster.services import figures

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    dependencies=for_admins,
    response_class=Response,
    response_description="All metrics, as Prometheus or OpenMetrics reads them.",
    responses={
        **problems(503),
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
    },
)
def metrics(request: Request, context: ContextDep, accept: Annotated[str, Header()] = "") -> Response:
    """Tell how the service does, in figures; docs/metrics.md lists them all.

    Prometheus sends an API token with the scope `admin`: `authorization: {credentials_file: ...}` in its `scrape_configs`.
    """
    measures: Measures = request.app.state.measures
    text, media_type = measures.write(context, figures.look(context), accept)
    return Response(text, headers={"Content-Type": media_type})
