from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from sqlalchemy import func, text, update
from sqlalchemy.orm import InstrumentedAttribute

from reportgen_dagster.catalog.tables import RefreshToken, Session, User
from reportgen_dagster.errors import AuthenticationError, BadRequestError
from reportgen_dagster.identity import digest_text
from reportgen_dagster.services import accounts, keys
from reportgen_dagster.services.accounts import Client, SignedIn
from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings

PASSWORD = "pass123"


@pytest.fixture
def ann(context: Context) -> SignedIn:
    return accounts.register(
        context, email="Ann@Example.com", name=" Ann ", password=PASSWORD, client=Client("curl/8", "10.0.0.1")
    )


def _put_in_the_past(context: Context, time: InstrumentedAttribute[Any]) -> None:
    past = update(time.class_).values({time: func.now() - timedelta(seconds=1)})
    with context.catalog.transaction() as transaction:
        transaction.execute(past)


def test_an_account_has_a_lower_cased_email_and_a_trimmed_name(ann: SignedIn) -> None:
    assert (ann.user.email, ann.user.name) == ("ann@example.com", "Ann")


def test_passwords_and_refresh_tokens_are_kept_as_hashes(context: Context, ann: SignedIn) -> None:
    with context.catalog.transaction() as transaction:
        (password_hash,) = transaction.execute(text("SELECT password_hash FROM users")).scalars()
        (digest,) = transaction.execute(text("SELECT digest FROM refresh_tokens")).scalars()
    assert password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert digest == digest_text(ann.refresh)


@pytest.mark.usefixtures("ann")
def test_a_taken_email_is_refused_in_any_case(context: Context) -> None:
    with pytest.raises(BadRequestError, match="exists already"):
        accounts.register(context, email="ANN@example.com", name="Other", password=PASSWORD)


def test_of_many_registrations_at_once_one_wins(context: Context) -> None:
    def attempt(_: int) -> bool:
        try:
            accounts.register(context, email="race@example.com", name="R", password=PASSWORD)
        except BadRequestError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


def test_every_problem_of_a_registration_is_told_at_once(context: Context) -> None:
    with pytest.raises(BadRequestError) as caught:
        accounts.register(context, email="no address", name="a\x00b", password="12345")
    assert [problem.path for problem in caught.value.problems] == ["email", "name", "password"]


@pytest.mark.parametrize("password", ["x" * 1024, "ä" * 512, "p" * 64 + "ﬁ", PASSWORD])
def test_long_passwords_are_taken_whole(context: Context, password: str) -> None:
    accounts.register(context, email="long@example.com", name="L", password=password)
    assert accounts.login(context, email="long@example.com", password=password)
    with pytest.raises(AuthenticationError):
        accounts.login(context, email="long@example.com", password=password[:-1])


@pytest.mark.parametrize("password", ["", "12345", "x" * 1025, "ä" * 513])
def test_too_short_and_too_long_passwords_are_refused(context: Context, password: str) -> None:
    with pytest.raises(BadRequestError):
        accounts.register(context, email="ann@example.com", name="A", password=password)


def test_an_accent_may_be_typed_either_way(context: Context) -> None:
    accounts.register(context, email="nfc@example.com", name="N", password="caf\u00e9-au-lait")
    assert accounts.login(context, email="nfc@example.com", password="cafe\u0301-au-lait")


def test_login_has_one_message_for_unknown_email_and_wrong_password(context: Context, ann: SignedIn) -> None:
    def message(email: str, password: str) -> str:
        with pytest.raises(AuthenticationError) as caught:
            accounts.login(context, email=email, password=password)
        return caught.value.detail

    assert (
        message("ann@example.com", "wrong-one")
        == message("nobody@example.com", PASSWORD)
        == message("not an address\x00", PASSWORD)
        == message("ann@example.com", "x" * 5000)
    )
    assert accounts.login(context, email="ANN@example.com", password=PASSWORD).user == ann.user


def test_an_access_token_tells_who_asks(context: Context, ann: SignedIn) -> None:
    caller = accounts.authenticate(context, ann.access)
    assert (caller.user_id, caller.email, caller.name) == (ann.user.id, "ann@example.com", "Ann")


def test_logout_refuses_both_tokens_at_once(context: Context, ann: SignedIn) -> None:
    accounts.logout(context, accounts.authenticate(context, ann.access).session_id)
    with pytest.raises(AuthenticationError):
        accounts.authenticate(context, ann.access)
    with pytest.raises(AuthenticationError):
        accounts.refresh(context, ann.refresh)


def test_logout_leaves_the_users_other_sessions(context: Context, ann: SignedIn) -> None:
    other = accounts.login(context, email="ann@example.com", password=PASSWORD)
    accounts.logout(context, accounts.authenticate(context, ann.access).session_id)
    assert accounts.authenticate(context, other.access).user_id == ann.user.id


def test_refresh_rotates_and_the_new_pair_works(context: Context, ann: SignedIn) -> None:
    second = accounts.refresh(context, ann.refresh)
    assert second.refresh != ann.refresh
    assert accounts.authenticate(context, second.access).user_id == ann.user.id
    assert accounts.refresh(context, second.refresh)


def test_a_refresh_token_used_twice_ends_the_session(context: Context, ann: SignedIn) -> None:
    second = accounts.refresh(context, ann.refresh)
    for stolen in (ann.refresh, second.refresh):
        with pytest.raises(AuthenticationError):
            accounts.refresh(context, stolen)
    with pytest.raises(AuthenticationError):
        accounts.authenticate(context, second.access)


def test_of_many_refreshes_at_once_at_most_one_token_lives_on(context: Context, ann: SignedIn) -> None:
    barrier = threading.Barrier(8)

    def attempt(_: int) -> SignedIn | None:
        barrier.wait()
        try:
            return accounts.refresh(context, ann.refresh)
        except AuthenticationError:
            return None

    with ThreadPoolExecutor(8) as pool:
        won = [result for result in pool.map(attempt, range(8)) if result]
    assert len(won) == 1


@pytest.mark.parametrize(
    "time", [RefreshToken.expires_at, Session.expires_at, User.disabled_at], ids=lambda time: str(time)
)
def test_a_refresh_token_ends_with_its_time_its_session_and_its_user(
    context: Context, ann: SignedIn, time: InstrumentedAttribute[Any]
) -> None:
    _put_in_the_past(context, time)
    with pytest.raises(AuthenticationError):
        accounts.refresh(context, ann.refresh)


@pytest.mark.parametrize("token", ["", "rg_rt_", "x" * 5000, "\x00", "ä", "' OR 1=1"])
def test_an_unknown_refresh_token_is_refused(context: Context, token: str) -> None:
    with pytest.raises(AuthenticationError):
        accounts.refresh(context, token)


def test_no_token_outlives_its_session(context: Context, ann: SignedIn) -> None:
    _put_in_the_past(context, Session.expires_at)
    with pytest.raises(AuthenticationError):
        accounts.authenticate(context, ann.access)
    with context.catalog.transaction() as transaction:
        idle, longest = transaction.execute(
            text("SELECT t.expires_at - t.issued_at, s.created_at FROM refresh_tokens t, sessions s")
        ).one()
    assert idle == timedelta(days=14)
    assert longest


def _forged(context: Context, token: str, key: bytes | str | None = None, **changes: object) -> str:
    """Sign the claims of a genuine token again, with changes; header_x changes the header's x."""
    own_key = keys.signing_key(context.settings)
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, own_key, algorithms=["HS256"], audience="reportgen-api")
    for name, value in changes.items():
        target = header if name.startswith("header_") else claims
        if value is None:
            del target[name.removeprefix("header_")]
        else:
            target[name.removeprefix("header_")] = value
    algorithm = header.pop("alg")
    signing = None if algorithm == "none" else own_key if key is None else key
    return jwt.encode(claims, signing, algorithm=algorithm, headers=header)


HOUR_AGO = int((datetime.now(UTC) - timedelta(hours=1)).timestamp())
FORGERIES: dict[str, dict[str, object]] = {
    "no signature": {"header_alg": "none"},
    "another algorithm": {"header_alg": "HS512"},
    "another key": {"key": b"k" * 32},
    "an ID token": {"header_typ": "JWT"},
    "a download link": {"header_typ": "dl+jwt"},
    "another key id": {"header_kid": "../../dev/null"},
    "an unknown critical header": {"header_crit": ["x"], "header_x": 1},
    "expired": {"exp": HOUR_AGO},
    "not yet valid": {"nbf": HOUR_AGO + 7200},
    "expiry as text": {"exp": "99999999999"},
    "expiry as fraction": {"exp": 99999999999.5},
    "another issuer": {"iss": "somebody"},
    "another audience": {"aud": "another"},
    "another subject": {"sub": "0" * 32},
    "subject of another type": {"sub": 7},
    "another session": {"sid": "0" * 32},
    "session of another type": {"sid": ["x"]},
    "a huge one": {"padding": "x" * 5000},
    **{f"no {claim}": {claim: None} for claim in ("iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp")},
}


@pytest.mark.parametrize("changes", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_or_expired_access_token_is_refused(
    context: Context, ann: SignedIn, changes: dict[str, object]
) -> None:
    assert accounts.authenticate(context, _forged(context, ann.access))
    with pytest.raises(AuthenticationError):
        accounts.authenticate(context, _forged(context, ann.access, **changes))


@pytest.mark.parametrize("token", ["", ".", "a.b.c", "x" * 5000, "é.é.é", "null"])
def test_what_is_no_token_is_refused(context: Context, token: str) -> None:
    with pytest.raises(AuthenticationError):
        accounts.authenticate(context, token)


def test_a_refresh_token_is_no_access_token_and_the_other_way_round(context: Context, ann: SignedIn) -> None:
    with pytest.raises(AuthenticationError):
        accounts.authenticate(context, ann.refresh)
    with pytest.raises(AuthenticationError):
        accounts.refresh(context, ann.access)


def test_the_key_is_made_once_for_all_processes_and_only_its_owner_reads_it(tmp_path) -> None:
    settings = [Settings(home=tmp_path / "home", port=port) for port in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(keys.signing_key, settings))
    assert len(made) == 1
    (kept,) = (tmp_path / "home").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_short_key_file_is_refused(tmp_path) -> None:
    (tmp_path / "secret_key").write_text("short")
    with pytest.raises(ValueError, match="32 random bytes"):
        keys.signing_key(Settings(home=tmp_path))
