"""The sensor over the inbox: what a tick takes, says and remembers."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import DagsterInstance, DefaultSensorStatus, build_sensor_context
from dagster._core.definitions.sensor_definition import SensorExecutionData

from reportgen_dagster.defs.inbox import watch_inbox
from reportgen_dagster.storage.inbox_folder import open_folder
from tests.definitions.conftest import Ann


@pytest.fixture
def orders(ann: Ann) -> Path:
    folder = ann.context.settings.inbox_path / "ann@example.com" / "orders"
    folder.mkdir(parents=True)
    return folder


def _tick(instance: DagsterInstance, cursor: str | None) -> SensorExecutionData:
    with build_sensor_context(instance=instance, cursor=cursor) as context:
        return watch_inbox.evaluate_tick(context)


def test_ticks_take_files_and_say_what_they_did(orders: Path, instance: DagsterInstance) -> None:
    (orders / "orders.csv").write_bytes(b"key,price\nA,1\n")
    (orders / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n")
    first = _tick(instance, None)
    assert first.skip_message == "2 waiting until they are known to be complete"
    second = _tick(instance, first.cursor)
    assert "ann@example.com/orders/orders.csv is version 1" in second.skip_message
    assert "ann@example.com/orders/picture.csv was refused: " in second.skip_message
    assert second.run_requests == []
    assert _tick(instance, second.cursor).skip_message == "The inbox is empty."


def test_a_tick_beside_a_sweep_skips(ann: Ann, instance: DagsterInstance) -> None:
    with open_folder(ann.context.settings.inbox_path):
        skipped = _tick(instance, "[]")
    assert skipped.skip_message == "Another sweep of the inbox is at work."


def test_the_sensor_is_on_without_anybody_switching_it_on() -> None:
    assert watch_inbox.default_status == DefaultSensorStatus.RUNNING
    assert watch_inbox.minimum_interval_seconds == 5
