"""Named datasets, rulesets and reports for tests, made of the files and rules of conftest.py."""

from __future__ import annotations

import time
from typing import Any

from reportgen_dagster.services import datasets, reports, rulesets
from reportgen_dagster.services.fitting import Check
from reportgen_dagster.services.reports import Pick, ReportView, ReportWish
from tests.services.conftest import INPUT, REFERENCE, RULES, World, fits

PATIENCE_SECONDS = 60


def make_parts(world: World, owner_id: str = "", *, check: Check | None = fits) -> None:
    """Make the datasets `trades` and `products` and the ruleset `doubled`."""
    owner_id = owner_id or world.ann
    for name, content, role in (("trades", INPUT, "input"), ("products", REFERENCE, "reference")):
        datasets.add_version(world.context, owner_id, name, world.file(content, role))
    rulesets.put_ruleset(world.context, owner_id, "doubled", RULES, check=check)


def put_report(
    world: World,
    name: str,
    *,
    owner_id: str = "",
    ruleset: Pick | None = None,
    input_version: int | None = None,
    check: Check | None = fits,
    **wishes: Any,
) -> ReportView:
    """Put a report of these parts."""
    inputs = {"input": Pick("trades", input_version), "reference": Pick("products")}
    wish = ReportWish(ruleset or Pick("doubled"), wishes.pop("inputs", inputs), **wishes)
    return reports.put_report(world.context, owner_id or world.ann, name, wish, check=check, is_operator=True)


def make_report(world: World, name: str = "daily", **wishes: Any) -> ReportView:
    """Make the parts and a report of them."""
    make_parts(world)
    return put_report(world, name, **wishes)


def wait_for_a_blocked_session(world: World) -> None:
    """Wait until another session waits for a lock of ours."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while world.sql(blocked) == [(0,)]:
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)
