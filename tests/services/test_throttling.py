"""How often passwords may be tried, by whom, and who gets in all the same."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

import pytest
from sqlalchemy import text

from reportgen_dagster.errors import AuthenticationError, BadRequestError, ReportgenError, TooManyError
from reportgen_dagster.services import accounts, me, passwords, retention, throttling
from reportgen_dagster.services.accounts import Client
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.throttling import ACCOUNT, Counter, Limit

ANN = "ann@example.com"
PASSWORD = "pass123"
WRONG = "wrong-one"
HOME = Client("Firefox", "192.0.2.1")
ELSEWHERE = Client("Firefox", "198.51.100.7")


@pytest.fixture
def ann(context: Context) -> str:
    return accounts.register(context, email=ANN, name="Ann", password=PASSWORD, client=HOME).user.id


def attempt(context: Context, *, email: str = ANN, client: Client = ELSEWHERE, password: str = WRONG) -> str:
    """Try to sign in and return how it ends."""
    try:
        accounts.login(context, email=email, password=password, client=client)
    except ReportgenError as error:
        return error.code
    return "in"


def pass_by(context: Context, seconds: float) -> None:
    """Let all attempts look as if they had been made so long before."""
    with context.catalog.transaction() as session:
        late = text("UPDATE throttled_attempts SET at = at - make_interval(secs => :seconds)")
        session.execute(late, {"seconds": seconds})


def seed(context: Context, counter: Counter, count: int, *, seconds_apart: float = 0) -> None:
    """Let something look as if it had been tried so often, the last time that long ago."""
    add = text(
        "INSERT INTO throttled_attempts (id, key, at) SELECT md5(random()::text), :key,"
        " clock_timestamp() - make_interval(secs => :apart * number) FROM generate_series(1, :count) AS number"
    )
    with context.catalog.transaction() as session:
        session.execute(add, {"key": counter.key, "apart": seconds_apart, "count": count})


def tried(context: Context) -> int:
    with context.catalog.transaction() as session:
        key = Counter(ACCOUNT, ANN).key
        count = text("SELECT count(*) FROM throttled_attempts WHERE key = :key")
        return int(session.execute(count, {"key": key}).scalar_one())


@pytest.mark.usefixtures("ann")
def test_after_five_failures_the_pause_doubles(context: Context) -> None:
    assert [attempt(context) for _ in range(5)] == ["not-authenticated"] * 5
    pauses = []
    for _ in range(5):
        assert attempt(context) == "too-many"
        with pytest.raises(TooManyError) as caught:
            accounts.login(context, email=ANN, password=PASSWORD, client=ELSEWHERE)
        pauses.append(caught.value.retry_seconds)
        pass_by(context, pauses[-1])
        assert attempt(context) == "not-authenticated"
    assert pauses == [1, 2, 4, 8, 16]


@pytest.mark.parametrize("email", ["nobody@example.com", "no address", "\ud800\0"])
def test_an_unknown_email_is_throttled_like_a_known_one(context: Context, ann: str, email: str) -> None:
    assert ann
    told = [(attempt(context), attempt(context, email=email)) for _ in range(7)]
    assert [known for known, _ in told] == [unknown for _, unknown in told]
    assert told[-1][0] == "too-many"


def test_a_hundred_failures_a_day_are_the_most_whoever_tries(context: Context, ann: str) -> None:
    assert ann
    seed(context, Counter(ACCOUNT, ANN), 100, seconds_apart=860)
    for number in range(3):
        assert attempt(context, client=Client("x", f"10.0.0.{number}")) == "too-many"
    pass_by(context, 1000)
    assert attempt(context, client=Client("x", "10.0.0.9"), password=PASSWORD) == "in"


def test_many_at_once_do_not_slip_through(context: Context, ann: str) -> None:
    assert ann
    with ThreadPoolExecutor(12) as pool:
        ends = list(pool.map(lambda _: attempt(context), range(24)))
    assert ends.count("not-authenticated") <= 6
    assert set(ends) == {"not-authenticated", "too-many"}


@pytest.mark.usefixtures("ann")
def test_nobody_locks_the_owner_out_of_where_he_signed_in_before(context: Context) -> None:
    while attempt(context) != "too-many":
        pass
    assert attempt(context, password=PASSWORD) == "too-many"
    assert attempt(context, client=HOME, password=PASSWORD) == "in"
    assert [attempt(context, client=HOME) for _ in range(6)][-1] == "too-many", (
        "his own program is counted too"
    )


@pytest.mark.usefixtures("ann")
def test_a_device_that_had_to_be_signed_out_is_not_known(context: Context) -> None:
    with context.catalog.transaction() as session:
        session.execute(
            text("UPDATE sessions SET revoked_at = now(), revoked_reason = 'refresh token used twice'")
        )
    while attempt(context) != "too-many":
        pass
    assert attempt(context, client=HOME, password=PASSWORD) == "too-many"


@pytest.mark.usefixtures("ann")
def test_success_forgets_the_failures(context: Context) -> None:
    for number in range(2):
        assert [attempt(context) for _ in range(4)] == ["not-authenticated"] * 4
        assert attempt(context, password=PASSWORD, client=Client("new", f"203.0.113.{number}")) == "in"
    assert tried(context) == 0


def test_an_address_is_throttled_over_many_accounts(context: Context) -> None:
    (counter,) = throttling.by_address(throttling.ADDRESS, ELSEWHERE.address)
    seed(context, counter, 99)
    assert attempt(context, email="a@example.com") == "not-authenticated"
    seed(context, counter, 5)
    assert attempt(context, email="b@example.com") == "too-many"
    assert attempt(context, email="b@example.com", client=HOME) == "not-authenticated"


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
    ],
)
def test_an_address_of_ipv6_counts_by_its_network(one: str, other: str, *, together: bool) -> None:
    keys = {throttling.by_address(throttling.ADDRESS, address)[0].key for address in (one, other)}
    assert (len(keys) == 1) is together


def test_accounts_are_made_so_many_an_hour_from_an_address(context: Context, ann: str) -> None:
    assert ann

    def register(client: Client = ELSEWHERE) -> None:
        accounts.register(context, email=ANN, name="N", password=PASSWORD, client=client)

    for _ in range(10):  # who asks which e-mails are taken is told so often only
        with pytest.raises(BadRequestError, match="exists already"):
            register()
    with pytest.raises(TooManyError) as caught:
        register()
    assert 3500 < caught.value.retry_seconds <= 3600
    for client in (HOME, ELSEWHERE):
        with pytest.raises(BadRequestError, match="exists already"):
            register(client)
        pass_by(context, 3600)


def test_unknown_refresh_tokens_are_throttled_and_good_ones_are_not(context: Context) -> None:
    good = accounts.register(context, email=ANN, name="Ann", password=PASSWORD, client=HOME)
    (counter,) = throttling.by_address(throttling.REFRESH, HOME.address)
    seed(context, counter, 99)
    for error in (AuthenticationError, TooManyError):
        with pytest.raises(error):
            accounts.refresh(context, "rg_rt_x", client=HOME)
    second = accounts.refresh(context, good.refresh, client=HOME)
    accounts.logout(context, accounts.authenticate(context, second.access).session_id)
    with pytest.raises(AuthenticationError):  # known, though not good any more: no guess
        accounts.refresh(context, second.refresh, client=HOME)


def test_old_attempts_are_removed(context: Context) -> None:
    attempt(context)
    pass_by(context, timedelta(days=2).total_seconds())
    retention.remove_old(context)
    with context.catalog.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM throttled_attempts")).scalar_one() == 0


def test_a_window_slides(context: Context) -> None:
    counter = Counter(Limit("test", timedelta(seconds=60), free=3, most=3), "x")
    for _ in range(3):
        throttling.admit(context, [counter])
        pass_by(context, 15)
    with pytest.raises(TooManyError) as caught:
        throttling.admit(context, [counter])
    assert caught.value.retry_seconds in (15, 14)
    pass_by(context, 15)
    throttling.admit(context, [counter])


def test_who_finds_no_place_for_a_hash_is_turned_away_and_not_counted(context: Context, ann: str) -> None:
    caller = accounts.Caller(ann, "", ANN, "Ann")
    asked: list[Callable[[], object]] = [
        lambda: accounts.login(context, email=ANN, password=PASSWORD, client=HOME),
        lambda: accounts.register(context, email="b@example.com", name="B", password=PASSWORD, client=HOME),
        lambda: me.change_password(context, caller, old=PASSWORD, new="another1"),
    ]
    with ExitStack() as places:
        for _ in range(passwords.MOST_AT_ONCE):
            places.enter_context(passwords.place())
        for ask in asked:
            with pytest.raises(TooManyError, match="at this moment") as caught:
                ask()
            assert caught.value.retry_seconds == 1
    assert tried(context) == 0
    assert attempt(context, password=PASSWORD) == "in"


def test_more_sign_ins_at_once_than_there_are_places_end_all_the_same(context: Context, ann: str) -> None:
    assert ann
    with ThreadPoolExecutor(2 * passwords.MOST_AT_ONCE) as pool:
        ends = list(pool.map(lambda number: attempt(context, email=f"{number}@example.com"), range(60)))
    assert set(ends) <= {"not-authenticated", "too-many"}
    assert attempt(context, password=PASSWORD) == "in"
