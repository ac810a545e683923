"""Seconds and memory of `reportgen run` beside hand-written scripts.

`python -m tests.bench [megabytes ...] [--rounds N] [--questions MB]`. Each contender is a process of its own; they take turns.
Their results are compared cell by cell, in any order. The table is printed and saved beside the data, in `.bench/results.md`.
"""

from __future__ import annotations

import argparse
import datetime
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from tests.bench.compare import differences
from tests.bench.data import question_files, trade_files
from tests.bench.jobs import JOBS, Job
from tests.bench.questions import questions

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".bench"
REPORTGEN = "reportgen run"
PANDAS = "pandas"
SIZES = (10, 100, 1_000)
QUESTIONS_MEGABYTES = 200
ROUNDS = 3

Result = TypeVar("Result")


@dataclass(slots=True)
class Contender:
    """A command and what was measured of it.

    Attributes:
        name: What it is called in the table.
        command: Its arguments.
        output: Where it writes.
        seconds: Wall time of each round.
        megabytes: The most memory that a round took.
    """

    name: str
    command: list[str]
    output: Path
    seconds: list[float] = field(default_factory=list)
    megabytes: int = 0

    def run(self) -> None:
        """Run it once.

        Raises:
            SystemExit: If it fails.
        """
        start = time.perf_counter()
        process = subprocess.Popen(self.command, cwd=FOLDER, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if os.waitstatus_to_exitcode(status):
            raise SystemExit(f"{self.name} failed")
        self.seconds.append(time.perf_counter() - start)
        self.megabytes = max(self.megabytes, usage.ru_maxrss // 1024)

    @property
    def median(self) -> float:
        """Return the median of its seconds."""
        return statistics.median(self.seconds)


def elsewhere(work: Callable[..., Result], *args: object) -> Result:
    """Do some work in a process of its own.

    A contender's first moment is a copy of this process, whose memory would count as the contender's.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def contenders(job: Job, source: Path, options: Sequence[str]) -> list[Contender]:
    """Return the product and the job's scripts."""
    rules = FOLDER / "rules.yaml"
    rules.write_text(job.rules)
    output = FOLDER / "reportgen.out.csv"
    command = [str(Path(sys.executable).parent / "reportgen"), "run", str(rules), "--input", source.name]
    for name, path in job.references.items():
        command += ["--reference", f"{name}={path}"]
    found = [Contender(REPORTGEN, [*command, "--output", output.name, *options], output)]
    for name, script in job.scripts.items():
        output = FOLDER / f"{name.split()[0].lower()}.out.csv"
        filled = script.replace("{input}", source.name).replace("{output}", output.name)
        found.append(Contender(name, [sys.executable, "-c", filled], output))
    return found


def measured(job: Job, source: Path, rounds: int, options: Sequence[str]) -> list[str]:
    """Measure a job by turns and return the rows of the table.

    Raises:
        SystemExit: If the results differ.
    """
    found = contenders(job, source, options)
    for number in range(rounds):
        for contender in found:
            if number == 0 or contender.name != PANDAS:  # which takes by far the longest
                contender.run()
    for contender in found[1:]:
        told = elsewhere(differences, found[0].output, contender.output)
        if told:
            raise SystemExit(f"{job.name}: {found[0].name} and {contender.name} differ: {told}")
    fastest = min(contender.median for contender in found[1:])
    size = f"{source.stat().st_size / 1e6:,.0f} MB"
    return [
        f"| {job.name} | {size} | {one.name} | {one.median:.2f} | {min(one.seconds):.2f} to {max(one.seconds):.2f} |"
        f" {one.median / fastest:.2f} | {one.megabytes} |"
        for one in found
    ]


def main() -> None:
    """Measure what the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("megabytes", type=int, nargs="*", help="sizes of the jobs' input")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--questions", type=int, default=QUESTIONS_MEGABYTES, help="size of the questions' file, 0 for none"
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        help="passed on to `reportgen run`, as --option=--memory-limit=512MB",
    )
    given = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    lines = [
        f"{datetime.date.today()}, {os.cpu_count()} cores, {given.rounds} rounds {' '.join(given.option)}",
        "",
        "| job | input | who | median s | from, to s | ratio to the faster script | MB |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for megabytes in given.megabytes or SIZES:
        files = elsewhere(trade_files, FOLDER, megabytes)
        for job in JOBS:
            lines += _told(measured(job, files["input"], given.rounds, given.option))
    if given.questions:
        files = elsewhere(question_files, FOLDER, given.questions)
        for job in questions({name: path.name for name, path in files.items()}):
            lines += _told(measured(job, files["input"], given.rounds, given.option))
    (FOLDER / "results.md").write_text("\n".join(lines) + "\n")


def _told(rows: list[str]) -> list[str]:
    print("\n".join(rows), flush=True)
    return rows


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
