"""Seconds and memory of each format: `python -m tests.bench.formats [megabytes] [--rounds N]`.

The contract job is written as CSV, Parquet and NDJSON by `reportgen run` and by a bare `COPY` of DuckDB, by turns, and the files
are compared; then a million rows as Excel, and pages of 2,000 rows, without a peer.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import duckdb

from tests.bench.__main__ import FOLDER, REPORTGEN, Contender, elsewhere
from tests.bench.compare import differences
from tests.bench.data import trade_files
from tests.bench.jobs import CONTRACT_RULES, DUCKDB_CONTRACT, JOBS

COPIES = {"csv": "(HEADER)", "parquet": "(FORMAT parquet)", "ndjson": "(FORMAT json)"}
EXCEL_ROWS = 1_000_000
PAGE_ROWS = 2_000
CHARTS = """presentation:
  formats: {gross: "#,##0.00", net: "#,##0.00"}
  totals: [gross, net]
  charts: [{kind: bar, x: year, y: gross, by: size}, {kind: line, x: year, y: net}]
"""


def product(rules: Path, source: Path, output: Path) -> Contender:
    """Return the product's command."""
    command = [str(Path(sys.executable).parent / "reportgen"), "run", str(rules), "--input", source.name]
    command += ["--reference", "desks=desks.csv", "--reference", "products=products.csv"]
    return Contender(REPORTGEN, [*command, "--output", output.name], output)


def bare_copy(source: Path, output: Path, options: str) -> Contender:
    """Return DuckDB's script."""
    script = JOBS[0].scripts["DuckDB"]
    assert DUCKDB_CONTRACT in script
    filled = script.replace("'{output}' (HEADER)", f"'{output.name}' {options}").replace(
        "{input}", source.name
    )
    return Contender("DuckDB", [sys.executable, "-c", filled], output)


def as_csv(path: Path) -> Path:
    """Write a result once more as CSV, to be compared."""
    target = path.with_suffix(f"{path.suffix}.csv")
    reader = "read_parquet" if path.suffix == ".parquet" else "read_json"
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"COPY (FROM {reader}('{path}')) TO '{target}' (HEADER)")
    return target


def head(source: Path, rows: int) -> Path:
    """Write the first rows of a file into one of their own."""
    target = FOLDER / f"first_{rows}.csv"
    with source.open() as lines, target.open("w") as file:
        for _, line in zip(range(rows + 1), lines, strict=False):
            file.write(line)
    return target


def told(name: str, source: Path, found: list[Contender]) -> None:
    """Print the rows of the table."""
    fastest = min(one.median for one in found[1:] or found)
    for one in found:
        spread = f"{min(one.seconds):.2f} to {max(one.seconds):.2f}"
        size = f"{source.stat().st_size / 1e6:,.0f} MB | {one.output.stat().st_size / 1e6:,.0f} MB"
        ratio = f"{one.median / fastest:.2f}" if len(found) > 1 else ""
        print(
            f"| {name} | {size} | {one.name} | {one.median:.2f} | {spread} | {ratio} | {one.megabytes} |",
            flush=True,
        )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.formats")
    parser.add_argument("megabytes", type=int, nargs="?", default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    source = elsewhere(trade_files, FOLDER, given.megabytes)["input"]
    rules, pages = FOLDER / "rules.yaml", FOLDER / "pages.yaml"
    rules.write_text(CONTRACT_RULES)
    pages.write_text(CONTRACT_RULES + CHARTS)
    print(
        "| format | input | output | who | median s | from, to s | ratio | MB |\n|---|---|---|---|---|---|---|---|"
    )
    for name, options in COPIES.items():
        ours, theirs = FOLDER / f"reportgen.out.{name}", FOLDER / f"duckdb.out.{name}"
        found = [product(rules, source, ours), bare_copy(source, theirs, options)]
        for _ in range(given.rounds):
            for contender in found:
                contender.run()
        files = [path if name == "csv" else elsewhere(as_csv, path) for path in (ours, theirs)]
        if wrong := elsewhere(differences, *files):
            raise SystemExit(f"{name}: the files differ: {wrong}")
        told(name, source, found)
        for path in (ours, theirs, *files):
            path.unlink(missing_ok=True)
    for name, rows in (("xlsx", EXCEL_ROWS), ("html", PAGE_ROWS), ("pdf", PAGE_ROWS)):
        first = head(source, rows)
        alone = product(pages, first, FOLDER / f"reportgen.out.{name}")
        for _ in range(given.rounds):
            alone.run()
        told(name, first, [alone])


if __name__ == "__main__":
    main()
