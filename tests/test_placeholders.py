"""Secrets that somebody typed or copied are refused at the start; what is generated never is."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from reportgen_dagster.settings import Settings

PLACEHOLDERS = [
    "changeme-changeme-changeme-changeme",
    "CHANGE_ME_TO_A_COMPLEX_RANDOM_SECRET_KEY",
    "your-256-bit-secret-your-256-bit-secret",
    "super-secret-key-super-secret-key",
    "password12345678password12345678",
    "a-string-secret-at-least-256-bits-long",
    "please-replace-this-with-a-real-secret-key",
    "django-insecure-this-is-not-for-production",
    "qwertyuiopasdfghjklzxcvbnm1234567890",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "zyxwvutsrqponmlkjihgfedcba9876543210",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "abcdefgh" * 4,
    "0123456789abcdef" * 2,
    "x7Rq9w2LkP" * 4 + "x7Rq",
]
FORMS = {
    "token_hex": bytes.hex,
    "token_urlsafe": lambda key: base64.urlsafe_b64encode(key).rstrip(b"=").decode(),
    "base64": lambda key: base64.b64encode(key).decode(),
}


@pytest.mark.parametrize("text", PLACEHOLDERS)
@pytest.mark.parametrize("name", ["secret_key", "secret_key_previous"])
def test_a_signing_key_that_is_a_placeholder_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValidationError, match="openssl rand -hex 32") as caught:
        Settings(**{name: SecretStr(text)})
    assert text not in str(caught.value)


@given(
    seed=st.integers(0, 2**64), size=st.sampled_from([24, 32, 48, 64]), form=st.sampled_from(sorted(FORMS))
)
def test_what_is_generated_is_never_refused(seed: int, size: int, form: str) -> None:
    text = FORMS[form](random.Random(seed).randbytes(size))  # noqa: S311 - the same ones each time
    assert Settings(secret_key=SecretStr(text)).secret_key == SecretStr(text)
    url = SecretStr(f"postgresql://reportgen:{text.replace('/', '%2F')}@postgres/reportgen")
    assert Settings(database_url=url).database_url == url


@pytest.mark.parametrize(
    "password", ["changeme", "password", "postgres", "secret123", "1234", "change%2Dme", "aaaa"]
)
@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("database_url", "postgresql://reportgen:{}@postgres/reportgen"),
        ("broker_url", "redis://:{}@valkey:6379/0"),
    ],
)
def test_a_well_known_password_of_a_server_is_refused(name: str, url: str, password: str) -> None:
    with pytest.raises(ValidationError, match="well known"):
        Settings(**{name: SecretStr(url.format(password))})
    here = SecretStr(
        url.format(password).replace("@postgres/", "@127.0.0.1/").replace("@valkey:", "@localhost:")
    )
    assert getattr(Settings(**{name: here}), name) == here


@pytest.mark.parametrize(
    "url",
    ["postgresql://reportgen@postgres/reportgen", "postgresql:///reportgen?host=/run", "postgresql://h/n"],
)
def test_a_server_may_want_no_password(url: str) -> None:
    assert Settings(database_url=SecretStr(url)).database_url == SecretStr(url)
