"""Spans for OpenTelemetry, where somebody collects them; else nothing happens and nothing is imported.

What belongs here: beginning and ending spans, and sending them. What does not: what is worth a span. The extra `telemetry` brings
the packages; OTEL_EXPORTER_OTLP_ENDPOINT and the other variables of OpenTelemetry say where spans go.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

PACKAGE = "opentelemetry.exporter"  # what the extra brings beside the bare interface

_provider: TracerProvider | None = None
_log = logging.getLogger(__name__)


def is_installed() -> bool:
    """Tell whether the extra `telemetry` is there."""
    try:
        return importlib.util.find_spec(f"{PACKAGE}.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def start_if_wanted(service: str, *, wanted: bool) -> None:
    """Send the spans of this process if that is wanted and the packages are there.

    Args:
        service: The process's name, as `gateway`.
        wanted: Whether OpenTelemetry's variables say where to.
    """
    if not wanted:
        return
    if is_installed():
        start(service)
    else:
        _log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but the extra `telemetry` is not installed")


def start(service: str, exporter: SpanExporter | None = None) -> None:
    """Send the spans of this process from now on. A forked process begins anew.

    Args:
        service: The process's name, as `gateway`.
        exporter: Who takes them; by default a collector, by OTLP over HTTP.
    """
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter()
    global _provider
    _provider = TracerProvider(
        resource=Resource.create({"service.name": f"reportgen-{service}"}), shutdown_on_exit=False
    )
    _provider.add_span_processor(BatchSpanProcessor(exporter))


def stop() -> None:
    """Send what is left, and nothing more."""
    global _provider
    if _provider is not None:
        _provider.shutdown()
        _provider = None


@contextmanager
def span(name: str, **attributes: str) -> Iterator[Span | None]:
    """Time the block as a span within the present one; an exception that leaves it makes it a failed one.

    Args:
        name: What is done, as `transform`.
        attributes: What with: ids only, never data of people's.

    Yields:
        The span; None where nobody collects any.
    """
    if _provider is None:
        yield None
        return
    from opentelemetry.trace import StatusCode

    named = {f"reportgen.{key}": value for key, value in attributes.items()}
    tracer = _provider.get_tracer("reportgen")
    # What an exception says may be people's data; of which kind it is may not.
    with tracer.start_as_current_span(
        name, attributes=named, record_exception=False, set_status_on_exception=False
    ) as begun:
        try:
            yield begun
        except BaseException as error:
            begun.set_status(StatusCode.ERROR, type(error).__name__)
            raise


def present_ids() -> dict[str, str]:
    """Return the ids of the present trace and span, for log lines; nothing outside of one."""
    if _provider is None:
        return {}
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
