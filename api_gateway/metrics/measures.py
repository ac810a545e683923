"""Measuring this gateway, and writing down all metrics for Prometheus. Which metrics there are is in described.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from api_gateway.envelope import Seen
from api_gateway.metrics import described
from api_gateway.metrics.described import Metric
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.figures import Figures

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_FILES = frozenset(
    ("multipart/form-data", "application/offset+octet-stream", "application/octet-stream", "text/csv")
)
_SIGN_INS = frozenset(("/api/auth/login", "/api/auth/refresh"))
_REFUSED = frozenset((HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS))


class Measures:
    """The metrics of one gateway."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = self._counter(described.REQUESTS)
        self._uploads = self._counter(described.UPLOADS)
        self._upload_bytes = self._counter(described.UPLOAD_BYTES)
        self._sign_ins_refused = self._counter(described.SIGN_INS_REFUSED)
        self._seconds = Histogram(
            described.DURATION.name,
            described.DURATION.meaning,
            described.DURATION.labels,
            registry=self._registry,
            buckets=described.REQUEST_SECONDS,
        )

    def _counter(self, metric: Metric) -> Counter:
        return Counter(metric.name, metric.meaning, metric.labels, registry=self._registry)

    def watch(self, seen: Seen) -> None:
        """Count a request that was answered."""
        method = seen.method if seen.method in _METHODS else "other"
        self._requests.labels(seen.route, method, seen.status).inc()
        self._seconds.labels(seen.route, method).observe(seen.seconds)
        if seen.media_type in _FILES and seen.route:
            is_stored = 0 < seen.status < HTTPStatus.BAD_REQUEST
            self._uploads.labels("stored" if is_stored else "refused").inc()
            self._upload_bytes.inc(seen.body_bytes)
        if seen.route in _SIGN_INS and seen.status in _REFUSED:
            self._sign_ins_refused.labels(seen.status).inc()

    def write(self, context: Context, figures: Figures, accept: str) -> tuple[bytes, str]:
        """Write all metrics down.

        Args:
            context: The installation.
            figures: What the catalog says.
            accept: The request's `Accept`: OpenMetrics or the format of before.

        Returns:
            The text and its media type.
        """
        encode, media_type = choose_encoder(accept)
        looked_up = CollectorRegistry()
        looked_up.register(_Looked(context, figures))
        return encode(_Both(self._registry, looked_up)), media_type


class _Both(CollectorRegistry):
    """What was counted here, then what was looked up."""

    def __init__(self, *parts: CollectorRegistry) -> None:
        super().__init__()
        for part in parts:
            self.register(part)


class _Looked(Collector):
    """What is looked up when somebody asks."""

    def __init__(self, context: Context, figures: Figures) -> None:
        self._context = context
        self._figures = figures

    def collect(self) -> Iterator[GaugeMetricFamily]:
        figures = self._figures
        workers = self._context.settings.workers
        lives = {"live": figures.attempts, "silent": figures.silent_attempts}
        slots = {"used": figures.attempts, "free": max(0, workers - figures.attempts)}
        yield _gauge(described.POOL, self._context.catalog.connections())
        yield _gauge(described.RUNS, figures.unfinished)
        yield _gauge(described.FINISHED, figures.finished)
        yield _gauge(described.QUEUE_AGE, {"": figures.oldest_seconds})
        yield _gauge(described.ROWS, {"": figures.row_count})
        yield _gauge(described.REJECTS, {"": figures.reject_count})
        yield _gauge(described.SLOTS, slots)
        yield _gauge(described.LEASES, lives)
        yield _gauge(described.DELIVERIES, figures.deliveries)
        yield _gauge(described.RELOAD, figures.reload_seconds)
        yield _gauge(described.RELOAD_FAILED, figures.failed_locations)


def _gauge(metric: Metric, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    for label, value in values.items():
        family.add_metric([label] if metric.labels else [], float(value))
    return family
