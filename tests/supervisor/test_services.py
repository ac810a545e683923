"""What `reportgen up` tells its processes: under which address the links of Dagster's UI lead to the API."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.services import GATEWAY, WORKER, local_environment

NAME = "REPORTGEN_PUBLIC_URL"


def settings(**told: object) -> Settings:
    values = {"database_url": SecretStr("postgresql://host/db"), "port": 8765, **told}
    return Settings.model_validate(values)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - compared, not listened on
def test_links_in_the_ui_of_this_machine_lead_to_the_gateway_of_this_machine(host: str) -> None:
    assert local_environment(settings(host=host), WORKER)[NAME] == "http://127.0.0.1:8765"


def test_what_users_get_names_no_address_that_only_this_machine_has() -> None:
    assert not local_environment(settings(), GATEWAY).get(NAME)


def test_an_address_that_was_told_is_everybodys() -> None:
    told = settings(public_url="https://reports.example.com")
    given = {local_environment(told, service)[NAME] for service in (WORKER, GATEWAY)}
    assert given == {"https://reports.example.com"}
