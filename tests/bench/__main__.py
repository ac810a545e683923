"""Seconds and memory of `reportgen run` beside hand-written scripts: `python -m tests.bench [megabytes] [rounds]`.

All make the same trade report of a generated input, each in a process of its own, by turns. The scripts check nothing:
they have no rejects, no contract, no count, and take it as known which columns hold numbers. The DuckDB script does not
even keep the order of rows (its COPY does not, where two threads read a CSV file); the Polars script does.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".bench"
DEFAULT_MEGABYTES = 200
DEFAULT_ROUNDS = 3
KEYS = 1_000
ROWS_AT_ONCE = 20_000

DUCKDB = """
import duckdb
con = duckdb.connect(config={"threads": 2, "memory_limit": "1GB"})
con.execute("SET disabled_optimizers = 'build_side_probe_side'")
con.execute("CREATE TABLE r AS SELECT * FROM read_csv('reference.csv', types={'refdata4': 'DOUBLE'})")
con.execute('''COPY (
  SELECT field1 || field2 AS outfield1,
         coalesce(b.refdata1, a.refdata1, 'MISSING_refdata1') AS outfield2,
         coalesce(b.refdata2, a.refdata2, 'MISSING_refdata2')
           || coalesce(b.refdata3, a.refdata3, 'MISSING_refdata3') AS outfield3,
         field3 * greatest(field5, coalesce(b.refdata4, a.refdata4, 0)) AS outfield4,
         greatest(field5, coalesce(b.refdata4, a.refdata4, 0)) AS outfield5
  FROM read_csv('input.csv', types={'field3': 'DOUBLE', 'field5': 'DOUBLE'}) i
  LEFT JOIN r a ON i.refkey1 = a.refkey1 LEFT JOIN r b ON i.refkey2 = b.refkey2
) TO 'duckdb.out.csv' (HEADER)''')
"""

POLARS = """
import polars as pl
r = pl.scan_csv("reference.csv", schema_overrides={"refdata4": pl.Float64})
data = ["refdata1", "refdata2", "refdata3", "refdata4"]
i = pl.scan_csv("input.csv", schema_overrides={"field3": pl.Float64, "field5": pl.Float64})
i = i.join(r.select("refkey1", *data), on="refkey1", how="left", maintain_order="left")
i = i.join(r.select("refkey2", *data), on="refkey2", how="left", suffix="_b", maintain_order="left")
def found(name, default): return pl.coalesce(pl.col(name + "_b"), pl.col(name), pl.lit(default))
largest = pl.max_horizontal("field5", found("refdata4", 0.0))
i.select(
    outfield1=pl.col("field1") + pl.col("field2"),
    outfield2=found("refdata1", "MISSING_refdata1"),
    outfield3=found("refdata2", "MISSING_refdata2") + found("refdata3", "MISSING_refdata3"),
    outfield4=pl.col("field3") * largest,
    outfield5=largest,
).sink_csv("polars.out.csv")
"""


def generate(megabytes: int) -> None:
    """Write reference and input into the bench's folder, unless they are there."""
    FOLDER.mkdir(exist_ok=True)
    header = "refkey1,refkey2,refdata1,refdata2,refdata3,refdata4\n"
    rows = "".join(f"k{n},m{n},one {n},two {n},three {n},{n / 10}\n" for n in range(KEYS))
    (FOLDER / "reference.csv").write_text(header + rows)
    path = FOLDER / "input.csv"
    size = megabytes * 1_000_000
    if path.exists() and size <= path.stat().st_size < size * 1.1 + 5_000_000:
        return
    chance = random.Random(1)  # noqa: S311 - data for a measurement
    with path.open("w") as file:
        file.write("field1,field2,field3,field4,field5,refkey1,refkey2\n")
        count = 0
        while file.tell() < size:
            file.writelines(_row(number, chance) for number in range(count, count + ROWS_AT_ONCE))
            count += ROWS_AT_ONCE


def _row(number: int, chance: random.Random) -> str:
    keys = f"k{chance.randrange(KEYS * 11 // 10)},m{chance.randrange(KEYS * 11 // 10)}"
    figures = f"{chance.random() * 1000:.2f},text value {number % 10_007},{chance.random() * 100:.3f}"
    return f"name {number},suffix{number % 977},{figures},{keys}\n"


def measured(command: list[str]) -> tuple[float, int]:
    """Run a command and return its seconds and its largest memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"failed: {command[:4]}")
    return time.perf_counter() - start, usage.ru_maxrss // 1024


def main(megabytes: int, rounds: int) -> None:
    """Measure by turns and print medians, the ratio to the faster script, and memory."""
    generate(megabytes)
    rules = ROOT / "rules" / "trade" / "rules.yaml"
    reportgen = [str(Path(sys.executable).parent / "reportgen"), "run", str(rules)]
    reportgen += ["--input", "input.csv", "--reference", "reference.csv", "--output", "reportgen.out.csv"]
    commands = {
        "DuckDB script": [sys.executable, "-c", DUCKDB],
        "Polars script": [sys.executable, "-c", POLARS],
        "reportgen run": reportgen,
    }
    results: dict[str, list[tuple[float, int]]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            results[name].append(measured(command))
    seconds = {name: statistics.median(one for one, _ in found) for name, found in results.items()}
    fastest = min(seconds["DuckDB script"], seconds["Polars script"])
    print(f"{(FOLDER / 'input.csv').stat().st_size / 1e6:,.0f} MB, {rounds} rounds, {os.cpu_count()} cores")
    for name, found in results.items():
        spread = " ".join(f"{one:.2f}" for one, _ in sorted(found))
        memory = max(size for _, size in found)
        print(
            f"{name}: median {seconds[name]:6.2f} s ({spread}), {seconds[name] / fastest:.2f} x, {memory} MB"
        )


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    given = [int(argument) for argument in sys.argv[1:]]
    main(*(given + [DEFAULT_MEGABYTES, DEFAULT_ROUNDS][len(given) :]))
