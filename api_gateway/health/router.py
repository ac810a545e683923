"""Liveness and readiness, for whoever runs the service."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api_gateway.dependencies import ReadinessDep
from api_gateway.documentation import problems
from reportgen_dagster.errors import Problem, UnavailableError
from reportgen_dagster.services import isolation

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """All is well."""

    status: str = Field(examples=["ok"])


class Readiness(Health):
    """Everything answers.

    Attributes:
        warnings: What is no reason to make no reports: bounds that the kernel lacks, a disk that once failed to keep what
            it had taken, definitions that Dagster could not reload.
    """

    warnings: list[str] = Field(examples=[[]])


@router.get("/healthz", response_description="The gateway answers.")
def healthz() -> Health:
    """Tell that the gateway answers."""
    return Health(status="ok")


@router.get(
    "/readyz",
    response_description="Everything answers.",
    responses=problems(503, status_503="`errors` names each server that does not answer; see Retry-After."),
)
async def readyz(readiness: ReadinessDep) -> Readiness:
    """Tell whether reports can be made: database, storage, broker, Dagster's definitions and a worker answer."""
    failures, warnings = await readiness.look()
    if failures:
        raise UnavailableError(
            f"Not ready: {', '.join(failures)}.",
            problems=[Problem(why, path=name) for name, why in failures.items()],
        )
    return Readiness(status="ready", warnings=[*isolation.warnings(), *warnings])
