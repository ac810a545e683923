"""What the client tries again by itself, and what it must not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reportgen_client import Client, ReportgenApiError, ServiceUnreachableError
from tests.client.conftest import PASSWORD
from tests.client.cutting import cutting
from tests.gateway import test_outage as outage
from tests.gateway.conftest import INPUT, REFERENCE, RULES

url = outage.url


class Refusals(logging.Handler):
    """Notices the first 503 that a gateway of this process answers with."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if 503 in (record.args or ()):
            self.seen.set()


@pytest.fixture
def refusals() -> Iterator[Refusals]:
    handler = Refusals()
    logger = logging.getLogger("api_gateway.requests")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_a_call_during_an_outage_is_carried_out_once_afterwards(
    url: str, postgres_url: str, email: str, refusals: Refusals
) -> None:
    with Client(url, patience=30) as client:
        client.register(email, "Ann", PASSWORD)
        made: list[str] = []
        call = threading.Thread(
            target=lambda: made.append(client.generate(input=INPUT, reference=REFERENCE, rules=RULES).id)
        )
        outage._connections(postgres_url, allowed=False)
        try:
            with Client(url, patience=0) as impatient, pytest.raises(ReportgenApiError) as away:
                impatient.login(email, PASSWORD)
            assert (away.value.status, away.value.retry_seconds) == (503, 5)
            refusals.seen.clear()
            call.start()
            assert refusals.seen.wait(20)
        finally:
            outage._connections(postgres_url, allowed=True)
        call.join()
        assert [run.id for run in client.runs()] == made
        assert len(made) == 1


def test_a_question_whose_answer_was_cut_is_asked_again(client: Client) -> None:
    with cutting(client.url, 10, 300) as proxy:
        with Client(proxy.url, tokens=client.tokens, patience=10) as cut:
            assert list(cut.runs()) == []
        assert proxy.connections == 3


def test_what_might_be_done_twice_is_not_sent_again(client: Client, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_bytes(RULES)
    with (
        cutting(client.url, 10) as proxy,
        Client(proxy.url, tokens=client.tokens, patience=10) as cut,
        pytest.raises(ServiceUnreachableError),
    ):
        cut.login("ann@example.com", PASSWORD)
    assert proxy.connections == 1
