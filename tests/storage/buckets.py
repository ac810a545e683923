"""Buckets of real servers on loopback, each reached through a proxy that can spoil what passes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx2
import obstore
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.server import ThreadedMotoServer
from obstore.store import GCSStore, S3Store

from reportgen_dagster.identity import new_id
from reportgen_dagster.storage.store_bucket import BucketStore, Patience
from tests.storage.faults import Proxy, proxy_to
from tests.storage.gcs import BUCKET, gcs_server

QUICK = Patience(retries=3, pause_seconds=0.01, seconds=10, silence_seconds=0.3)
CLIENT = {"allow_http": True}


@dataclass(frozen=True)
class Bucket:
    """A fresh prefix in a bucket.

    Attributes:
        url: As STORAGE_URL has it.
        proxy: What requests pass.
        environment: The variables that say where it is and who asks.
        own: The prefix itself, past the proxy.
    """

    url: str
    proxy: Proxy
    environment: dict[str, str]
    own: S3Store | GCSStore

    def store(self, scratch: Path, patience: Patience = QUICK) -> BucketStore:
        return BucketStore(self.url, scratch, patience=patience)

    def all_keys(self) -> list[str]:
        return sorted(meta["path"] for page in obstore.list(self.own) for meta in page)

    def put(self, digest: str, content: bytes) -> None:
        """Lay other bytes where a file is."""
        obstore.put(self.own, f"blobs/{digest[:2]}/{digest}", content)


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    running = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    httpx2.put(f"http://{host}:{port}/{BUCKET}").raise_for_status()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture(scope="session")
def gcs_address() -> Iterator[str]:
    with gcs_server() as url:
        yield url


@pytest.fixture
def s3_bucket(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with s3_at(s3_address, monkeypatch) as bucket:
        yield bucket


@pytest.fixture
def gcs_bucket(gcs_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with gcs_at(gcs_address, monkeypatch) as bucket:
        yield bucket


@pytest.fixture(params=["s3", "gcs"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """A bucket of each kind of server."""
    found: Bucket = request.getfixturevalue(f"{request.param}_bucket")
    return found


@contextmanager
def s3_at(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with proxy_to(server) as proxy:
        environment = {
            "AWS_ENDPOINT_URL": proxy.url,
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "something",
            "AWS_REGION": "eu-central-1",
        }
        url = f"s3://{BUCKET}/{new_id()}/files"
        own = S3Store.from_url(
            url,
            endpoint=server,
            access_key_id="somebody",
            secret_access_key="something",
            client_options=CLIENT,
        )
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield Bucket(url, proxy, environment, own)


@contextmanager
def gcs_at(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with proxy_to(server) as proxy:
        account = {
            "gcs_base_url": proxy.url,
            "disable_oauth": True,
            "client_email": "somebody@example.com",
            "private_key": private_key(),
            "private_key_id": "1",
        }
        environment = {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}
        url = f"gs://{BUCKET}/{new_id()}/files"
        past = json.dumps(account | {"gcs_base_url": server})
        own = GCSStore.from_url(url, service_account_key=past, client_options=CLIENT)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield Bucket(url, proxy, environment, own)


@cache
def private_key() -> str:
    """The key of a service account."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()
