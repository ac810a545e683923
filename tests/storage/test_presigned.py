"""Links that a bucket's own server serves: they download one file, with name and type fixed, and are signed right."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import httpx2
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.storage.buckets import Bucket, private_key

CONTENT = b"key,price\nA,1\n"
NAME = 'attachment; filename="Desk margin & more.csv"'
KIND = "text/csv; charset=utf-8"
LIFETIME = timedelta(minutes=5)


@pytest.fixture
def digest(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A stored file. From then on Google's client signs: it does not while it needs no token of Google's for the emulator."""
    with bucket.store(tmp_path).new_blob() as blob:
        blob.write(CONTENT)
        stored = blob.finish()
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value.replace('"disable_oauth": true', '"disable_oauth": false'))
    return stored.digest


def presigned(bucket: Bucket, digest: str, tmp_path: Path) -> str:
    url = bucket.store(tmp_path).signed_url(digest, LIFETIME, disposition=NAME, media_type=KIND)
    assert url is not None
    return url


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def test_a_presigned_link_downloads_with_name_and_type(bucket: Bucket, digest: str, tmp_path: Path) -> None:
    url = presigned(bucket, digest, tmp_path)
    answer = httpx2.get(url)
    assert answer.content == CONTENT
    assert answer.headers["Content-Disposition"] == NAME
    assert answer.headers["Content-Type"] == KIND
    asked = query(url)
    assert "300" in (asked.get("X-Amz-Expires"), asked.get("X-Goog-Expires"))
    assert "#" not in url
    assert "something" not in url


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_s3_finds_the_signature_right_for_the_whole_query(
    bucket: Bucket, digest: str, tmp_path: Path
) -> None:
    url = presigned(bucket, digest, tmp_path)
    head, _, signature = url.partition("&X-Amz-Signature=")
    parts = urlsplit(head)
    request = AWSRequest("GET", head, headers={"host": parts.netloc})
    request.context["timestamp"] = query(url)["X-Amz-Date"]
    signer = S3SigV4QueryAuth(Credentials("somebody", "something"), "s3", "eu-central-1")
    names = sorted(parts.query.split("&"))
    asked = f"GET\n{parts.path}\n{'&'.join(names)}\nhost:{parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    assert signature == signer.signature(signer.string_to_sign(request, asked), request)


@pytest.mark.parametrize("bucket", ["gcs"], indirect=True)
def test_google_finds_the_signature_right_for_the_whole_query(
    bucket: Bucket, digest: str, tmp_path: Path
) -> None:
    head, _, signature = presigned(bucket, digest, tmp_path).partition("&X-Goog-Signature=")
    parts, asked = urlsplit(head), query(head)
    names = "&".join(f"{quote(name, safe='')}={quote(asked[name], safe='')}" for name in sorted(asked))
    canonical = f"GET\n{parts.path}\n{names}\nhost:storage.googleapis.com\n\nhost\nUNSIGNED-PAYLOAD"
    scope = asked["X-Goog-Credential"].partition("/")[2]
    told = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"GOOG4-RSA-SHA256\n{asked['X-Goog-Date']}\n{scope}\n{told}"
    key = serialization.load_pem_private_key(private_key().encode(), password=None)
    assert isinstance(key, RSAPrivateKey)
    key.public_key().verify(bytes.fromhex(signature), to_sign.encode(), PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_what_cannot_be_presigned_is_left_to_the_gateway(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")  # it goes before any other endpoint
    store = bucket.store(tmp_path)
    assert store.signed_url("0" * 64, LIFETIME, disposition=NAME, media_type=KIND) is None
