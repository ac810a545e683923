"""A run of the service is made again from its manifest, to the byte; what differs is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reportgen_dagster.catalog.tables import User
from reportgen_dagster.errors import BadRequestError
from reportgen_dagster.services import attempts, generation, manifests, runs, uploads
from reportgen_dagster.services.context import Context
from reportgen_dagster.services.manifests import Manifest
from reportgen_dagster.services.uploads import RulesText
from tests.cli.test_commands import reportgen
from tests.services.conftest import fits

RULES = """
version: 1
title: Desk margin
parameters: {factor: {type: integer}}
input: {schema: {fields: [{name: amount, type: integer}]}}
steps:
  - lookup: {reference: reference, match: {desk: id}, take: [name]}
  - derive: {total: amount * :factor, made: today()}
output: {columns: [name, total, made]}
"""
INPUT = b"desk,amount\n" + b"".join(b"d%d,%d\n" % (row % 2, row) for row in range(500)) + b"d1,x\n"
REFERENCE = b"id,name\nd0,FX\nd1,rates\n"


def _made(context: Context, tmp_path: Path, *formats: str) -> Manifest:
    """Return the manifest of a run that the service made, and put it with the run's files into a folder."""
    with context.catalog.transaction() as session:
        ann = User(email="ann@example.com", name="ann", password_hash="-")
        session.add(ann)
    sent = {"input": INPUT, "reference": REFERENCE}
    for name, content in sent.items():
        (tmp_path / f"{name}.csv").write_bytes(content)
    files = {
        name: uploads.receive(context, f"{name}.csv", [content], role=name) for name, content in sent.items()
    }
    rules = RulesText("margin.yaml", RULES, "yaml")
    run = runs.accept_run(
        context,
        ann.id,
        files=files,
        rules=rules,
        parameters={"factor": 3},
        formats=formats,
        check=fits,
    )
    claim = attempts.claim(context, run.id, "d")
    assert claim is not None
    with context.store.work_folder("test") as work:
        ingested = generation.ingest(context, claim, work)
        try:
            produced = generation.transform(context, generation.validate(context, ingested), work)
            assert generation.publish(context, produced)
        finally:
            ingested.close()
    made = manifests.manifest_of(context, ann.id, run.id)
    (tmp_path / "manifest.json").write_text(made.model_dump_json())
    return made


ARGUMENTS = ["run", "--manifest", "manifest.json", "--input", "input.csv", "--reference", "reference.csv"]


def test_a_run_is_made_again_to_the_byte_and_what_differs_is_told(context: Context, tmp_path: Path) -> None:
    manifest = _made(context, tmp_path, "html", "csv")
    assert (manifest.counts.rejected, manifest.counts.report) == (1, 500)
    done = reportgen(*ARGUMENTS, "-o", "again.html", "--rejects", "rejects.csv", "--json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["same"] is True
    assert told["outputs"] == {name: file.digest for name, file in manifest.outputs.items()}
    assert len((tmp_path / "again.html").read_bytes()) == manifest.outputs["html"].size_bytes
    assert manifest.run_id in (tmp_path / "again.html").read_text()
    assert (tmp_path / "rejects.csv").read_bytes().count(b"\n") == 2

    other = manifest.model_copy(deep=True)
    other.formats = ["csv"]
    del other.outputs["html"]
    other.outputs["csv"].digest = "0" * 64
    other.engines["duckdb"] = "0.1"
    (tmp_path / "manifest.json").write_text(other.model_dump_json())
    done = reportgen(*ARGUMENTS, folder=tmp_path)
    assert done.returncode == 3
    assert f"csv  is {manifest.outputs['csv'].digest}" in done.stderr
    assert "rejects" not in done.stderr
    assert "duckdb 0.1" in done.stderr

    (tmp_path / "input.csv").write_bytes(INPUT + b"d0,1\n")
    done = reportgen(*ARGUMENTS, folder=tmp_path)
    assert done.returncode == 3
    assert "input  input.csv is not input.csv of the run" in done.stderr

    whole = json.loads(manifest.model_dump_json())
    assert manifests.read_manifest(json.dumps(whole).encode()) == manifest
    for broken in (
        {**whole, "manifest": 2},
        {**whole, "rules": {**whole["rules"], "text": RULES + "\n"}},
        {**whole, "more": 1},
        {name: value for name, value in whole.items() if name != "inputs"},
        [],
    ):
        with pytest.raises(BadRequestError):
            manifests.read_manifest(json.dumps(broken).encode())
