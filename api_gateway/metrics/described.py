"""Every metric as data: name, kind, labels, meaning. docs/metrics.md is made from it. Nothing is measured here.

Names that begin with `reportgen_gateway_` are of the one gateway that is asked: add them up. All others are read from the catalog
and the same whichever gateway is asked: take one, as with `max`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OF_GATEWAY = "reportgen_gateway_"
REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric.

    Attributes:
        name: As Prometheus shows it; a counter's ends in `_total`.
        kind: What it is to Prometheus.
        meaning: What it counts, with the unit.
        labels: What it is told apart by.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()

    @property
    def is_of_gateway(self) -> bool:
        """Whether each gateway has its own."""
        return self.name.startswith(OF_GATEWAY)


REQUESTS = Metric(
    f"{OF_GATEWAY}requests_total",
    "counter",
    "Requests that were answered; `status` 0: cut off before an answer, `route` empty: no such call.",
    ("route", "method", "status"),
)
DURATION = Metric(
    f"{OF_GATEWAY}request_seconds",
    "histogram",
    "How long requests took, to the last byte of the answer.",
    ("route", "method"),
)
UPLOADS = Metric(
    f"{OF_GATEWAY}uploads_total",
    "counter",
    "Requests that brought files, by `outcome`: `stored` or `refused`.",
    ("outcome",),
)
UPLOAD_BYTES = Metric(f"{OF_GATEWAY}upload_bytes_total", "counter", "Bytes that such requests brought.")
SIGN_INS_REFUSED = Metric(
    f"{OF_GATEWAY}sign_ins_refused_total",
    "counter",
    "Sign-ins and refreshes that were refused, by `status`.",
    ("status",),
)
POOL = Metric(
    f"{OF_GATEWAY}database_connections",
    "gauge",
    "Connections to the database, by `use`: `busy`, `idle`, and `most` that there may be.",
    ("use",),
)
RUNS = Metric("reportgen_runs", "gauge", "Runs that are `accepted` or `running`.", ("state",))
FINISHED = Metric(
    "reportgen_runs_last_hour", "gauge", "Runs that came to a final state in the last hour.", ("state",)
)
QUEUE_AGE = Metric(
    "reportgen_queue_oldest_seconds",
    "gauge",
    "For how long the accepted run that waits the longest has waited; 0 if none does.",
)
ROWS = Metric("reportgen_report_rows_last_hour", "gauge", "Rows of the reports made in the last hour.")
REJECTS = Metric("reportgen_rejected_rows_last_hour", "gauge", "Rows that runs of the last hour diverted.")
SLOTS = Metric(
    "reportgen_worker_slots",
    "gauge",
    "Places for runs by `use`: `used` by attempts that are alive, `free` of the WORKERS that the gateway was told.",
    ("use",),
)
LEASES = Metric(
    "reportgen_leases",
    "gauge",
    "Attempts that have not ended by `life`: `live`, or `silent` ones, which the reaper is about to give back.",
    ("life",),
)
DELIVERIES = Metric(
    "reportgen_deliveries", "gauge", "Deliveries by `state`: `pending` or `dead`.", ("state",)
)
RELOAD = Metric(
    "reportgen_definitions_reload_seconds",
    "gauge",
    "How long the last reload of a code location of Dagster's took.",
    ("location",),
)
RELOAD_FAILED = Metric(
    "reportgen_definitions_reload_failed",
    "gauge",
    "1 if the last reload of a code location failed; GET /readyz says why.",
    ("location",),
)

METRICS = (
    *(REQUESTS, DURATION, UPLOADS, UPLOAD_BYTES, SIGN_INS_REFUSED, POOL),
    *(RUNS, FINISHED, QUEUE_AGE, ROWS, REJECTS, SLOTS, LEASES, DELIVERIES, RELOAD, RELOAD_FAILED),
)
