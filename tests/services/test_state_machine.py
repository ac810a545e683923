"""A run's states under any order of events: workers that live, die, come back and are told twice."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import sampled_from

from reportgen_dagster.catalog.tables import FINAL_STATES
from reportgen_dagster.errors import BadDataError, ConflictError
from reportgen_dagster.services import attempts, reaper
from reportgen_dagster.services.attempts import Claim
from tests.services.conftest import World

_worlds: list[World] = []


class RunMachine(RuleBasedStateMachine):
    """One run, any number of attempts at it; the model knows whose turn it is."""

    def __init__(self) -> None:
        super().__init__()
        self.world = _worlds[-1]
        self.run_id = self.world.run()
        self.numbers = count(1)
        self.claims: list[tuple[str, Claim]] = []
        self.owner: Claim | None = None  # the claim that counts
        self.state = "accepted"
        self.lost = 0
        self.ended: dict[str, str] = {}

    def teardown(self) -> None:
        self.world.sql("DELETE FROM runs")
        self.world.sql("DELETE FROM leases")

    def finish(self, state: str) -> None:
        self.state, self.owner = state, None

    @rule()
    def claim(self) -> None:
        name = f"{self.run_id}-{next(self.numbers)}"
        assert attempts.begin(self.world.context, name, "here:1")
        claimed = attempts.claim(self.world.context, self.run_id, name)
        assert (claimed is not None) == (self.state == "accepted")
        if claimed is not None:
            self.state, self.owner = "running", claimed
            self.claims.append((name, claimed))

    def zombies(self) -> list[Claim]:
        return [claimed for _, claimed in self.claims if claimed is not self.owner]

    @precondition(lambda self: self.zombies())
    @rule(pick=sampled_from(range(10)))
    def zombie_writes(self, pick: int) -> None:
        zombie = self.zombies()[pick % len(self.zombies())]
        assert not self.world.publish(zombie)
        assert not attempts.fail(self.world.context, zombie, BadDataError("no"))
        assert not attempts.release(self.world.context, zombie)
        with pytest.raises(ConflictError):
            attempts.enter_stage(self.world.context, zombie, "transform", 50)

    @precondition(lambda self: self.owner is not None)
    @rule(what=sampled_from(["go on", "release", "fail", "publish"]))
    def owner_writes(self, what: str) -> None:
        assert self.owner is not None
        attempts.enter_stage(self.world.context, self.owner, "transform", 50)
        if what == "publish":
            assert self.world.publish(self.owner)
            self.finish("succeeded")
        elif what == "fail":
            assert attempts.fail(self.world.context, self.owner, BadDataError("no"))
            self.finish("failed")
        elif what == "release":
            assert attempts.release(self.world.context, self.owner)
            self.finish("accepted")

    @precondition(lambda self: self.claims)
    @rule(pick=sampled_from(range(10)), ending=sampled_from(["done", "lost", "interrupted", "expired"]))
    def end(self, pick: int, ending: Any) -> None:
        name = self.claims[pick % len(self.claims)][0]
        if ending == "expired":
            self.world.age(name)
            self.ended.setdefault(name, "lost")
        elif self.ended.get(name) is None:
            attempts.end(self.world.context, name, ending)
            self.ended[name] = ending

    @rule()
    def reap(self) -> None:
        told = reaper.reap(self.world.context)
        name = next((name for name, claimed in self.claims if claimed is self.owner), "")
        assert bool(told) == (self.owner is not None and name in self.ended)
        if told:
            self.lost += self.ended[name] == "lost"
            self.finish("failed" if self.lost == reaper.MAX_LOST_ATTEMPTS else "accepted")

    @precondition(lambda self: self.owner is not None)
    @rule()
    def die(self) -> None:
        name = next(name for name, claimed in self.claims if claimed is self.owner)
        if name not in self.ended:
            attempts.end(self.world.context, name, "lost")
            self.ended[name] = "lost"
        self.reap()

    @precondition(lambda self: self.claims)
    @rule()
    def cancel(self) -> None:
        name, claimed = self.claims[-1]
        # The last attempt's Dagster run is the one that the run knows of, also when it was given back.
        unfinished = self.state not in FINAL_STATES
        assert attempts.cancel(self.world.context, name) == unfinished
        if unfinished:
            assert self.owner in (claimed, None)
            self.finish("cancelled")

    @invariant()
    def the_catalog_agrees(self) -> None:
        [(state, lost, reports)] = self.world.sql(
            "SELECT state, lost_attempts, (SELECT count(*) FROM artifacts WHERE run_id = runs.id)"
            " FROM runs WHERE id = :id",
            id=self.run_id,
        )
        assert (state, lost) == (self.state, self.lost)
        assert reports == (1 if state == "succeeded" else 0)


@pytest.fixture
def machine_world(world: World) -> Iterator[World]:
    _worlds.append(world)
    yield world
    _worlds.pop()


@pytest.mark.usefixtures("machine_world")
def test_no_order_of_events_breaks_a_run() -> None:
    run_state_machine_as_test(
        RunMachine,
        settings=settings(
            max_examples=30,
            stateful_step_count=15,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
