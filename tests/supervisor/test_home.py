"""The home is private, knows its first start, and tells where the running servers are."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from reportgen_dagster.errors import UnavailableError
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.home import Home, Runtime, running_settings

RUNTIME = Runtime(
    pid=os.getpid(),
    instance="abc",
    database_url="postgresql://postgres@/reportgen?host=%2Fsomewhere",
    broker_url="redis://:secret@127.0.0.1:6379/0",
    url="http://127.0.0.1:8000",
    dagster_url="http://127.0.0.1:3000",
)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_home_and_what_lies_in_it_are_private(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home")
    home.make()
    home.new_instance()
    home.record_runtime(RUNTIME)
    os.close(home.lock())
    assert _mode(home.path) == 0o700
    assert {_mode(path) for path in home.path.iterdir()} == {0o600}


def test_a_folder_with_other_things_in_it_keeps_its_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "something").touch()
    Home(tmp_path).make()
    assert _mode(tmp_path) == 0o755


def test_the_first_start_stays_the_first_until_it_is_over(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    home.new_instance()
    assert home.is_first_start
    home.make()
    assert home.is_first_start, "an interrupted first start is begun again"
    home.first_start_is_over()
    home.make()
    assert not home.is_first_start


def test_each_start_has_a_mark_of_its_own_and_the_last_one_is_known(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.last_instance() is None
    marks = [home.new_instance(), home.new_instance()]
    assert marks[0] != marks[1]
    assert home.last_instance() == marks[1]


def test_other_commands_find_the_running_servers(tmp_path: Path) -> None:
    Home(tmp_path).record_runtime(RUNTIME)
    settings = running_settings(Settings(home=tmp_path))
    assert settings.catalog_url == "postgresql+psycopg://postgres@/reportgen?host=%2Fsomewhere"
    assert settings.broker_url is not None


def test_servers_that_are_named_are_taken_as_they_are(tmp_path: Path) -> None:
    named = Settings(home=tmp_path, database_url="postgresql://elsewhere/db")
    assert running_settings(named) is named


@pytest.mark.parametrize("left_over", [None, "", "{}", '{"pid": 4194303}'])
def test_it_is_said_when_nothing_runs(tmp_path: Path, left_over: str | None) -> None:
    if left_over is not None:
        (tmp_path / "runtime.json").write_text(left_over)
    with pytest.raises(UnavailableError, match="no reportgen runs on this home"):
        running_settings(Settings(home=tmp_path))


def test_a_runtime_left_by_a_killed_start_counts_for_nothing(tmp_path: Path) -> None:
    gone = Runtime(**{**{name: getattr(RUNTIME, name) for name in Runtime.__slots__}, "pid": 4194303})
    Home(tmp_path).record_runtime(gone)
    assert Home(tmp_path).runtime() is None
