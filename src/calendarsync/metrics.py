"""What a process counts and measures of its own work, in the terms of Prometheus.

Labels take few values, all of them ours: no id, no address, and nothing that a user or a server wrote.
"""

from __future__ import annotations

import platform

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from calendarsync import __version__

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

NO_OPERATION = "none"
"""The label of a request that leads to no operation: there is nothing at its address."""

# When each series began, as a series of its own: the text would be a third longer, and nobody reads it.
disable_created_metrics()  # type: ignore[no-untyped-call]

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RUN_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_ATTEMPT_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)


class Metrics:
    """The instruments of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        build = Gauge("calendarsync_build_info", "Always 1.", ["version", "python"], registry=registry)
        build.labels(__version__, platform.python_version()).set(1)
        self._requests = Counter(
            "calendarsync_http_requests", "Requests answered.", ["operation", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "calendarsync_http_request_duration_seconds",
            "From a request's head to the end of its answer.",
            ["operation"],
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self._runs = Counter(
            "calendarsync_runs",
            "Runs that this process carried out, dry runs left out.",
            ["status", "trigger"],
            registry=registry,
        )
        self._run_seconds = Histogram(
            "calendarsync_run_duration_seconds", "Of the same runs.", buckets=_RUN_BUCKETS, registry=registry
        )
        self._copies = Counter("calendarsync_copies", "Copies written.", ["action"], registry=registry)
        self._provider_requests = Counter(
            "calendarsync_provider_requests", "Requests to calendar servers.", registry=registry
        )
        self._attempts = Counter(
            "calendarsync_webhook_attempts", "Attempts to deliver a webhook.", ["outcome"], registry=registry
        )
        self._attempt_seconds = Histogram(
            "calendarsync_webhook_attempt_duration_seconds",
            "Of the same attempts.",
            buckets=_ATTEMPT_BUCKETS,
            registry=registry,
        )
        self._lateness = Gauge(
            "calendarsync_schedule_lateness_seconds",
            "How far the schedule is behind; NaN while the database does not answer.",
            registry=registry,
        )
        self._database = Gauge(
            "calendarsync_database_up", "Whether the database answers.", ["backend"], registry=registry
        )
        self._database_connections = Gauge(
            "calendarsync_database_connections",
            "Connections of this process's pool.",
            ["state"],
            registry=registry,
        )

    def count_request(self, operation: str, status: int, seconds: float) -> None:
        self._requests.labels(operation, status).inc()
        self._request_seconds.labels(operation).observe(seconds)

    def count_run(
        self,
        *,
        status: str,
        trigger: str,
        seconds: float,
        created: int,
        updated: int,
        deleted: int,
        provider_requests: int,
    ) -> None:
        self._runs.labels(status, trigger).inc()
        self._run_seconds.observe(seconds)
        self._copies.labels("create").inc(created)
        self._copies.labels("update").inc(updated)
        self._copies.labels("delete").inc(deleted)
        self._provider_requests.inc(provider_requests)

    def count_webhook_attempt(self, outcome: str, seconds: float) -> None:
        """`outcome`: `delivered`, or a code of ours for why it was not."""
        self._attempts.labels(outcome).inc()
        self._attempt_seconds.observe(seconds)

    def set_schedule_lateness(self, seconds: float) -> None:
        self._lateness.set(seconds)

    def set_database(self, backend: str, *, up: bool, in_use: int, idle: int) -> None:
        self._database.labels(backend).set(up)
        self._database_connections.labels("in_use").set(in_use)
        self._database_connections.labels("idle").set(idle)

    def text(self) -> bytes:
        """All of it as CONTENT_TYPE says, in UTF-8."""
        return generate_latest(self.registry)
