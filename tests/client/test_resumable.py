"""Large files by way of the client, over a network that cuts connections."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from reportgen_client import Client, resources, resumable
from reportgen_client import client as client_module
from tests.client.cutting import cutting
from tests.gateway.conftest import REFERENCE

LARGE = b"refkey1,field1\n" + b"k1,1\n" * 100_000


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts as large, and how large a piece is, so small that the test is quick."""
    monkeypatch.setattr(resumable, "PIECE_BYTES", 64 * 1024)
    monkeypatch.setattr(resources, "RESUMABLE_BYTES", len(LARGE))
    monkeypatch.setattr(client_module, "RESUMABLE_BYTES", len(LARGE))


def test_a_large_file_goes_on_where_it_was_cut(client: Client, tmp_path: Path) -> None:
    (tmp_path / "large.csv").write_bytes(LARGE)
    sent: list[tuple[int, int]] = []
    with (
        cutting(client.url, 900, 50, 900, 1_200) as proxy,
        Client(proxy.url, tokens=client.tokens, patience=10) as cut,
    ):
        kept = cut.upload_files(
            input=tmp_path / "large.csv",
            reference=REFERENCE,
            on_progress=lambda done, total: sent.append((done, total)),
        )
    assert proxy.connections >= 4
    assert kept["input"]["digest"] == hashlib.sha256(LARGE).hexdigest()
    assert (kept["input"]["filename"], kept["input"]["size_bytes"]) == ("large.csv", len(LARGE))
    assert kept["reference"]["size_bytes"] == len(REFERENCE)
    assert max(done for done, _ in sent) == len(LARGE) + len(REFERENCE)


def test_a_large_file_becomes_a_version_of_a_dataset(client: Client) -> None:
    version = client.datasets.add("trades", LARGE)
    assert (version["dataset"], version["version"], version["columns"]) == (
        "trades",
        1,
        ["refkey1", "field1"],
    )
