from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from reportgen_dagster.errors import BadRequestError, FileRefusedError, RulesError, TooLargeError
from reportgen_dagster.services import uploads
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.uploads import rules_text
from reportgen_dagster.settings import Settings
from tests.services.conftest import INPUT, RULES, World


def test_a_received_file_is_stored_with_its_header(world: World) -> None:
    upload = uploads.receive(world.context, "trades.csv", [b"key,", b"price\nA,1\n"], role="input")
    assert upload.header.columns == ("key", "price")
    assert upload.filename == "trades.csv"
    assert world.context.store.path(upload.stored.digest).read_bytes() == b"key,price\nA,1\n"


def test_a_compressed_file_is_stored_as_it_came(world: World) -> None:
    content = gzip.compress(INPUT)
    upload = world.file(content)
    assert upload.header.columns == ("key", "price")
    assert world.context.store.path(upload.stored.digest).read_bytes() == content


def test_a_body_cut_off_midway_leaves_nothing(world: World) -> None:
    def body() -> Iterator[bytes]:
        yield INPUT
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        uploads.receive(world.context, "x.csv", body(), role="input")
    assert list(world.context.store.digests()) == []
    assert world.context.store.remove_stale(older_than_seconds=-1) == 0


@pytest.mark.parametrize("content", [b"", b"a,A\n", b"\x89PNG\r\n\x1a\n"])
def test_a_refused_file_leaves_nothing(world: World, content: bytes) -> None:
    with pytest.raises(FileRefusedError):
        world.file(content)
    assert list(world.context.store.digests()) == []


def test_a_hopeless_file_is_refused_before_all_of_it_came(world: World) -> None:
    def body() -> Iterator[bytes]:
        while True:
            yield b"\x89PNG\r\n\x1a\n" * 1000

    with pytest.raises(FileRefusedError):
        uploads.receive(world.context, "x.csv", body(), role="input")
    assert world.context.store.remove_stale(older_than_seconds=-1) == 0


def test_a_file_over_the_limit_is_refused_and_leaves_nothing(settings: Settings) -> None:
    small = Context.open(settings.model_copy(update={"max_upload_bytes": 10, "secret_key": SecretStr("x")}))
    with pytest.raises(TooLargeError, match="10"):
        uploads.receive(small, "x.csv", [INPUT[:9], INPUT[9:]], role="input")
    assert list(small.store.digests()) == []


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        (r"C:\data\trades.csv", "trades.csv"),
        ("a\0b\x1b[31m.csv", "ab[31m.csv"),
        ("..", "input.csv"),
        ("", "input.csv"),
        ("x" * 500 + ".csv", "x" * 251 + ".csv"),
        ("Umsätze 月.csv", "Umsätze 月.csv"),
    ],
)
def test_a_file_name_is_for_show_only(world: World, sent: str, shown: str) -> None:
    assert uploads.receive(world.context, sent, [INPUT], role="input").filename == shown


def test_uploaded_files_are_versions_of_the_default_datasets(world: World) -> None:
    first = uploads.accept_files(world.context, world.ann, world.files())
    assert first["input"]["dataset"] == "default-input"
    assert first["input"]["columns"] == ["key", "price"]
    assert (first["input"]["version"], first["reference"]["version"]) == (1, 1)
    again = uploads.accept_files(world.context, world.ann, {"input": world.file()})
    assert again["input"]["version"] == 1, "the same bytes"
    other = uploads.accept_files(world.context, world.ann, {"input": world.file(b"key,price\n")})
    assert other["input"]["version"] == 2
    bobs = uploads.accept_files(world.context, world.bob, {"input": world.file(b"key,price\n")})
    assert bobs["input"]["version"] == 1


def test_uploaded_rules_are_versions_of_the_default_ruleset(world: World) -> None:
    assert uploads.accept_rules(world.context, world.ann, RULES) == {"ruleset": "default", "version": 1}
    assert uploads.accept_rules(world.context, world.ann, RULES)["version"] == 1
    changed = rules_text(b"- {output: a, formula: '1'}", "r.yml", None)
    assert uploads.accept_rules(world.context, world.ann, changed)["version"] == 2
    assert uploads.accept_rules(world.context, world.ann, RULES)["version"] == 3, "the last one counts"


@pytest.mark.parametrize(
    ("filename", "type_", "syntax"),
    [
        ("r.json", None, "json"),
        ("r.YAML", None, "yaml"),
        ("r.yml", None, "yaml"),
        ("r.txt", "json", "json"),
        ("r.json", "yaml", "yaml"),
    ],
)
def test_the_syntax_is_told_by_type_or_ending(filename: str, type_: str | None, syntax: str) -> None:
    assert rules_text(b"[]", filename, type_).syntax == syntax


@pytest.mark.parametrize(("filename", "type_"), [("r.txt", None), ("rules", None), ("r.json", "xml")])
def test_an_unknown_syntax_is_refused(filename: str, type_: str | None) -> None:
    with pytest.raises(BadRequestError, match="YAML or JSON"):
        rules_text(b"[]", filename, type_)


def test_rules_are_bounded_utf8_text() -> None:
    assert rules_text(b"\xef\xbb\xbf[]", "r.json", None).text == "[]"
    with pytest.raises(TooLargeError):
        rules_text(b" " * (1024 * 1024 + 1), "r.json", None)
    with pytest.raises(RulesError) as caught:
        rules_text(b"[\n\xe9]", "r.json", None)
    assert caught.value.problems[0].line == 2
    with pytest.raises(RulesError, match="NUL"):
        rules_text(b"[\0]", "r.json", None)
