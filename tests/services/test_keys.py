"""Keys are changed without anybody being signed out, in all gateways at once."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from reportgen_dagster.errors import AuthenticationError, ConflictError, NotFoundError
from reportgen_dagster.identity import utc_now
from reportgen_dagster.services import accounts, audit, keys
from reportgen_dagster.services.context import Context
from reportgen_dagster.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kept(context: Context) -> Context:
    """An installation that keeps its keys in its home."""
    return replace(context, settings=context.settings.model_copy(update={"secret_key": None}))


def _later(context: Context, **difference: float) -> None:
    """Let the times of all keys look as if so long had passed."""
    path = context.settings.home / "signing_keys.json"
    told = json.loads(path.read_text())
    for key in told["keys"]:
        for name in ("not_before", "retire_at"):
            moment = key[name] and keys.datetime.fromisoformat(key[name]) - timedelta(**difference)
            key[name] = moment.isoformat() if moment else None
    path.with_suffix(".new").write_text(json.dumps(told))
    path.with_suffix(".new").replace(path)


def test_a_rotation_signs_nobody_out(kept: Context) -> None:
    session = accounts.register(kept, email="ann@example.com", name="Ann", password="pass123")
    other_gateway = replace(kept, settings=Settings(**kept.settings.model_dump()))
    old, new = keys.list_keys(kept.settings)[0], keys.rotate(kept)
    assert keys.signing(keys.list_keys(kept.settings)) == replace(
        old, retire_at=new.not_before + keys.OVERLAP
    )
    _later(kept, seconds=10)
    assert keys.signing(keys.list_keys(other_gateway.settings)).kid == new.kid
    assert accounts.authenticate(other_gateway, session.access)
    second = accounts.refresh(kept, session.refresh)
    assert accounts.authenticate(other_gateway, second.access)
    _later(kept, days=1)
    assert accounts.authenticate(kept, second.access)
    with pytest.raises(AuthenticationError):
        accounts.authenticate(other_gateway, session.access)


def test_a_key_that_leaked_is_retired_at_once(kept: Context) -> None:
    session = accounts.register(kept, email="ann@example.com", name="Ann", password="pass123")
    (old,) = keys.list_keys(kept.settings)
    with pytest.raises(ConflictError):
        keys.retire(kept, old.kid)
    new = keys.rotate(kept)
    with pytest.raises(ConflictError):
        keys.retire(kept, new.kid)
    _later(kept, seconds=10)
    keys.retire(kept, old.kid)
    with pytest.raises(AuthenticationError):
        accounts.authenticate(kept, session.access)
    assert accounts.authenticate(kept, accounts.refresh(kept, session.refresh).access)
    with pytest.raises(NotFoundError):
        keys.retire(kept, "nothing")
    told = [event.action for event in audit.list_events(kept)[0]]
    assert told[:2] == ["key-retired", "key-rotated"]


def test_whoever_set_the_key_is_sent_to_the_page_that_tells_how_to_change_it(context: Context) -> None:
    with pytest.raises(ConflictError) as refusal:
        keys.rotate(context)
    page = re.search(r"docs/\w+\.md", refusal.value.case_hint)
    assert page
    assert "as `REPORTGEN_SECRET_KEY_PREVIOUS`" in (ROOT / page[0]).read_text()


def test_the_file_is_for_its_owner_and_forgets_what_is_retired(kept: Context) -> None:
    made = []
    for _ in range(3):
        made.append(keys.rotate(kept).kid)
        _later(kept, days=2)
    now = utc_now()
    assert [key.kid for key in keys.list_keys(kept.settings) if not key.is_retired(now)] == [made[-1]]
    assert len(keys.list_keys(kept.settings)) <= 2
    keys.rotate(kept)
    (path,) = kept.settings.home.glob("signing_keys.json*")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text", ["", "{}", '{"keys": []}', '{"keys": [{"alg": "HS256", "secret": "short"}]}']
)
def test_a_file_that_holds_no_keys_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "signing_keys.json").write_text(text)
    with pytest.raises(ValueError, match=r"signing_keys\.json"):
        keys.signing_key(Settings(home=tmp_path))


def test_with_a_key_of_the_settings_the_previous_one_is_believed(context: Context) -> None:
    session = accounts.register(context, email="ann@example.com", name="Ann", password="pass123")
    before = context.settings.secret_key
    new = SecretStr(secrets.token_urlsafe(32))
    both = context.settings.model_copy(update={"secret_key": new, "secret_key_previous": before})
    assert accounts.authenticate(replace(context, settings=both), session.access)
    alone = both.model_copy(update={"secret_key_previous": None})
    with pytest.raises(AuthenticationError):
        accounts.authenticate(replace(context, settings=alone), session.access)
    with pytest.raises(ConflictError, match="REPORTGEN_SECRET_KEY"):
        keys.rotate(context)


def test_a_previous_key_is_strong_or_not_there(tmp_path: Path) -> None:
    assert Settings(home=tmp_path, secret_key_previous=SecretStr("")).secret_key_previous is None
    with pytest.raises(ValidationError, match="32 random bytes"):
        Settings(home=tmp_path, secret_key_previous=SecretStr("short"))
