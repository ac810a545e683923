"""Spans reach a collector, join log lines, and cost nothing where nobody collects."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from reportgen_dagster import logs, tracing

log = logging.getLogger("of_tracing")
log.setLevel(logging.INFO)


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Span]]:
    """The spans that a collector on loopback got from this process."""
    spans: list[Span] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = ExportTraceServiceRequest.FromString(
                self.rfile.read(int(self.headers["Content-Length"]))
            )
            spans.extend(
                span for of in request.resource_spans for scope in of.scope_spans for span in scope.spans
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    tracing.start_if_wanted("test", wanted=True)
    yield spans
    tracing.stop()
    server.shutdown()
    server.server_close()


def test_spans_reach_the_collector_with_ids_and_without_words_of_errors(collected: list[Span]) -> None:
    with tracing.span("attempt", run_id="r1"):
        with tracing.span("ingest"):
            pass
        with pytest.raises(ValueError, match="cell"), tracing.span("transform"):
            raise ValueError("cell 'Ann' is no number")
    tracing.stop()
    spans = {span.name: span for span in collected}
    assert set(spans) == {"attempt", "ingest", "transform"}
    assert spans["ingest"].parent_span_id == spans["attempt"].span_id == spans["transform"].parent_span_id
    assert {one.key: one.value.string_value for one in spans["attempt"].attributes} == {
        "reportgen.run_id": "r1"
    }
    assert spans["transform"].status.code == 2
    assert "Ann" not in str(collected)


def test_log_lines_within_a_span_have_its_trace(
    collected: list[Span], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("json", "info", loggers=("of_tracing",))
    with tracing.span("request"):
        log.info("within")
    log.info("without")
    within, without = map(json.loads, capsys.readouterr().err.splitlines())
    tracing.stop()
    assert within["trace_id"] == collected[0].trace_id.hex()
    assert "trace_id" not in without


def test_nothing_is_loaded_where_nobody_collects() -> None:
    script = """
import sys
from reportgen_dagster import logs, tracing
import api_gateway.envelope
tracing.start_if_wanted("gateway", wanted=False)
with tracing.span("request") as begun:
    assert begun is None and tracing.present_ids() == {}
print([name for name in sys.modules if name.startswith(("opentelemetry", "structlog"))])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
