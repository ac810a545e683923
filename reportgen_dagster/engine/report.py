"""Making a report: the face of the engine.

What belongs here: the three stages in order, `ingest` (what files are there, can they be read, what do their columns hold),
`validate` (do contracts and keys hold, what are the queries) and `transform` (the one pass over the rows), and the account of
all rows at the end. What does not: how any of it is done.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reportgen_dagster.contracts.contract import Contract
from reportgen_dagster.engine import ingest as opening
from reportgen_dagster.engine import reading, verdict
from reportgen_dagster.engine import rejects as rejects_file
from reportgen_dagster.engine.blocks import Blocks
from reportgen_dagster.engine.connection import engine_errors
from reportgen_dagster.engine.facts import described_columns, file_facts
from reportgen_dagster.engine.ingest import Ingested, Request
from reportgen_dagster.engine.keys import refuse_duplicates
from reportgen_dagster.engine.limits import Limits
from reportgen_dagster.engine.outcome import Outcome, Preview
from reportgen_dagster.engine.output_keys import OutputKeys
from reportgen_dagster.engine.pages.wish import Occasion, pages_wish, unknown_occasion
from reportgen_dagster.engine.references import check_references
from reportgen_dagster.engine.rejects import Accounts
from reportgen_dagster.engine.rows import MisquotedRowsError, all_read
from reportgen_dagster.engine.spool import REJECTED_FILE, Spool
from reportgen_dagster.engine.transform import progress_of
from reportgen_dagster.engine.writers.report import ReportWriter, forms_of
from reportgen_dagster.errors import AccountingError, BadDataError, ContractError
from reportgen_dagster.formats import DEFAULT_FORMATS, PAGES, Format
from reportgen_dagster.rules.compiling.plan import BROKEN, ERROR, FATAL, INPUT, WARNED
from reportgen_dagster.rules.compiling.plan import Plan as CompiledPlan
from reportgen_dagster.rules.reading.output import Output
from reportgen_dagster.rules.reading.ruleset import Ruleset

__all__ = ["Ingested", "Plan", "ingest", "make_report", "transform", "validate"]

Progress = Callable[[float, int], None]  # the fraction that is done, and the rows read so far
OUTPUT_FILE = "output"
ROWS_FILE = "rows.parquet"  # what pages are made of


@dataclass(frozen=True, slots=True)
class Plan:
    """Queries whose files keep their contracts, ready for the pass over the rows.

    Attributes:
        ingested: The files.
        compiled: The queries.
        contracts: How the references kept their contracts.
    """

    ingested: Ingested
    compiled: CompiledPlan
    contracts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def close(self) -> None:
        """Close what was ingested."""
        self.ingested.close()


def make_report(
    ruleset: Ruleset,
    files: Mapping[str, Path],
    *,
    outputs: Mapping[Format, Path],
    rejects: Path,
    work: Path,
    limits: Limits,
    progress: Progress = lambda _fraction, _rows: None,
    parameters: Mapping[str, object] | None = None,
    run_date: datetime.date | None = None,
    contracts: Mapping[str, Contract] | None = None,
    occasion: Occasion | None = None,
) -> Outcome:
    """Make a report from end to end: `ingest`, `validate` and `transform`, whose arguments and errors it has."""
    ingested = ingest(
        ruleset,
        files,
        work=work,
        limits=limits,
        parameters=parameters,
        run_date=run_date,
        contracts=contracts,
        formats=tuple(outputs),
    )
    try:
        return transform(
            validate(ingested), outputs=outputs, rejects=rejects, progress=progress, occasion=occasion
        )
    finally:
        ingested.close()


def ingest(
    ruleset: Ruleset,
    files: Mapping[str, Path],
    *,
    work: Path,
    limits: Limits,
    parameters: Mapping[str, object] | None = None,
    run_date: datetime.date | None = None,
    contracts: Mapping[str, Contract] | None = None,
    formats: Sequence[Format] = DEFAULT_FORMATS,
) -> Ingested:
    """Judge the files, load the references and find what their columns hold.

    Args:
        ruleset: The rules.
        files: `input` and the name of each reference, with where the file is.
        work: A folder on a disk with room for copies and spilled data; what is put there goes when the result is closed.
        limits: What the report may use.
        parameters: Values of the rules' parameters, of their types.
        run_date: What `today()` is; today in UTC, if left out.
        contracts: Contracts of `input`, references and `output` that come from Python instead of the rules.
        formats: What the report will be written as.

    Raises:
        MissingInputError: If a file that the rules need is not among `files`.
        FileRefusedError: If a header cannot be used.
        RulesError: If the rules do not fit the headers or the parameters.
        UnreadableFileError: If a file cannot be read as a whole.
        LimitError: If memory, time or room on the disk runs out.
    """
    request = Request(
        ruleset,
        files,
        parameters=parameters or {},
        run_date=run_date or datetime.datetime.now(datetime.UTC).date(),
        contracts=contracts or {},
        forms=forms_of(formats, ruleset.document.output),
    )
    return opening.ingest(request, work=work, limits=limits)


def validate(ingested: Ingested) -> Plan:
    """Settle contracts of references, keys and types before any row of the input moves.

    Raises:
        RulesError: If the rules do not fit what the columns hold.
        DuplicateKeyError: If a lookup key of a reference is not unique.
        ContractError: If a reference breaks its contract.
        LimitError: If memory, time or room on the disk runs out.
    """
    with engine_errors(ingested.limits, ingested.deadline):
        compiled = ingested.request.compiled(ingested.shapes)
        contracts = check_references(
            ingested.connection, ingested.shapes, ingested.references, ingested.deadline
        )
        refuse_duplicates(ingested.connection, compiled.references, ingested.shapes)
        ingested.prepare(compiled.prepared)
        return Plan(ingested, compiled, contracts)


def transform(
    plan: Plan,
    *,
    outputs: Mapping[Format, Path],
    rejects: Path,
    progress: Progress = lambda _fraction, _rows: None,
    occasion: Occasion | None = None,
) -> Outcome:
    """Make the one pass: compute, divert, write, count.

    Args:
        plan: From `validate`.
        outputs: Where to write the report in each format that it was ingested for; nothing is there after an error.
        rejects: Where to write the rejects. The file is there afterwards only if there are any; it stays when the data fail the
            run after every row was judged.
        progress: Called now and then with the fraction that is done and the rows read so far.
        occasion: What HTML and PDF tell of the run; the run's date and the files' names, if left out.

    Raises:
        ContractError: If there are more rejects than the rules allow, or the report breaks its contract.
        BadDataError: If an expression fails where no row stands for a row of the input any more, a lookup finds no row where
            the rules say `missing: fail`, or a format cannot hold a cell. `facts` of it and of a
            ContractError have the outcome's counts, contracts and samples.
        UnreadableFileError: If a quote in the input never closes.
        AccountingError: If rows in are not rows used plus rejects.
        LimitError: If memory, time or room on the disk runs out.
    """
    given = plan.ingested
    with engine_errors(given.limits, given.deadline), _removed_on_failure(*outputs.values()):
        try:
            return _Pass(plan, outputs, rejects, progress, occasion).outcome()
        except MisquotedRowsError:
            again = given.masked()
        with again.opened:
            return _Pass(validate(again), outputs, rejects, progress, occasion).outcome()


class _Pass:
    """One pass over the rows."""

    def __init__(
        self,
        plan: Plan,
        outputs: Mapping[Format, Path],
        rejects: Path,
        progress: Progress,
        occasion: Occasion | None,
    ) -> None:
        self._given = plan.ingested
        self._plan = plan.compiled
        self._contracts = dict(plan.contracts)
        self._outputs = outputs
        self._rejects = rejects
        self._progress = progress
        self._occasion = occasion or unknown_occasion(plan.ingested.request)
        self._preview = Preview()
        self._warnings: list[str] = []

    def outcome(self) -> Outcome:
        given = self._given
        on_batch = progress_of(given.input, given.deadline, self._progress)
        with (
            Spool(given.folder / REJECTED_FILE) as spool,
            Blocks(given, spool, on_batch) as blocks,
            OutputKeys(given) as keys,
        ):
            failure, row_count = None, 0
            try:
                row_count = self._write(blocks, keys)
            except BadDataError as error:
                if not blocks.is_complete:
                    raise
                failure = error
            accounts = self._account(blocks, spool)
            self._judge_input(blocks, accounts)
            if failure is None:
                self._judge_output(blocks, keys, row_count)
                failure = self._refusal(blocks, accounts)
            if failure is None:
                outcome = self._described(blocks, accounts, row_count)
                failure = self._pages(outcome)
            if failure is not None:
                failure.facts = self._known(blocks, accounts)
                raise failure
            return outcome

    def _write(self, blocks: Blocks, keys: OutputKeys) -> int:
        """Write the report and return how many rows it has."""
        self._plan = blocks.settled(self._plan)
        keys.begin(self._plan)
        request = self._given.request
        document = request.ruleset.document
        with ReportWriter(
            self._files(), self._plan, document, made_on=request.run_date, preview=self._preview
        ) as writer:
            with blocks.rows(self._plan) as batches:
                for batch in keys.noting(batches):
                    writer.write(batch)
            blocks.finish(self._plan)
        self._warnings = writer.warnings()
        return writer.row_count

    def _files(self) -> dict[Format, Path]:
        """Return the files that the pass writes; pages are made of the typed rows afterwards."""
        files = {name: path for name, path in self._outputs.items() if name not in PAGES}
        if len(files) < len(self._outputs):
            files.setdefault("parquet", self._given.folder / ROWS_FILE)
        return files

    def _pages(self, outcome: Outcome) -> BadDataError | None:
        """Write HTML and PDF if they are wanted, and return why that cannot be."""
        pages = {name: path for name, path in self._outputs.items() if name in PAGES}
        if not pages:
            return None
        from reportgen_dagster.engine.pages.writing import write_pages  # with all that draws

        given = self._given
        wish = pages_wish(given.request.ruleset.document, outcome, self._occasion, tuple(self._outputs))
        rows = self._outputs.get("parquet", given.folder / ROWS_FILE)
        try:
            write_pages(rows, wish, given.connection, html=pages.get("html"), pdf=pages.get("pdf"))
        except BadDataError as error:
            return error
        return None

    def _account(self, blocks: Blocks, spool: Spool) -> Accounts:
        """Account for every row of the input, and write the rejects if there are any."""
        given, readable = self._given, blocks.read_count
        wanted = blocks.findings.rows(BROKEN + WARNED + ERROR + FATAL)
        if not spool.count and all_read(given.input, readable):
            cells = rejects_file.cells_of(given.input, wanted, given.deadline)
            accounts = Accounts(readable, 0, [], cells)
        else:
            with _removed_on_failure(self._rejects):
                accounts = rejects_file.write_rejects(
                    self._rejects,
                    given.input,
                    spool.in_order(given.connection),
                    rules=self._plan.rules,
                    readable_count=readable,
                    deadline=given.deadline,
                    wanted=wanted,
                )
        if accounts.input_count - accounts.reject_count != readable - spool.count:
            raise AccountingError(
                f"{accounts.input_count:,} rows of the input are not {accounts.reject_count:,} rejects"
                f" and {readable - spool.count:,} rows used"
            )
        return accounts

    def _refusal(self, blocks: Blocks, accounts: Accounts) -> BadDataError | None:
        broken = verdict.refusals(
            blocks.findings,
            self._plan.rules,
            self._given.request.ruleset.document.rejects,
            input_count=accounts.input_count,
            reject_count=accounts.reject_count,
            lines=accounts.lines,
        )
        broken += verdict.failed(self._contracts[OUTPUT_FILE], OUTPUT_FILE)
        fatal = verdict.fatal(blocks.findings, self._plan.rules, accounts.lines)
        if broken:
            return ContractError(problems=[*broken, *fatal])
        return BadDataError(problems=fatal) if fatal else None

    def _judge_input(self, blocks: Blocks, accounts: Accounts) -> None:
        """Describe how the input kept its contract."""
        rules, contract = self._plan.rules, self._given.shapes[INPUT].contract
        if contract is not None:
            columns = self._given.input.header.columns
            verdict.add_cells(blocks.findings, rules, columns, accounts.cells)
            counted = verdict.broken(blocks.findings, rules, INPUT)
            self._contracts[INPUT] = verdict.contract_facts(contract, counted, INPUT, accounts.input_count)

    def _judge_output(self, blocks: Blocks, keys: OutputKeys, row_count: int) -> None:
        """Describe how the report kept its contract."""
        rules = self._plan.rules
        self._contracts[OUTPUT_FILE] = {"passed": True, "failures": []}
        if keys.contract is not None:
            counted = [
                *verdict.broken(blocks.findings, rules, OUTPUT_FILE),
                *verdict.broken(blocks.failures, rules, OUTPUT_FILE),
                *keys.broken(),
            ]
            self._contracts[OUTPUT_FILE] = verdict.contract_facts(
                keys.contract, counted, OUTPUT_FILE, row_count
            )

    def _known(self, blocks: Blocks, accounts: Accounts) -> dict[str, Any]:
        """Return what is known whether there is a report or not."""
        texts = {INPUT: self._given.input, **self._given.references}
        rejects = self._given.request.ruleset.document.rejects
        return {
            "input_count": accounts.input_count,
            "used_count": accounts.input_count - accounts.reject_count,
            "reject_count": accounts.reject_count,
            "rules": verdict.rule_counts(blocks.findings, self._plan.rules),
            "contracts": self._contracts,
            "decisions": {name: list(text.decisions) for name, text in texts.items()},
            "warnings": [*verdict.warnings(self._contracts), *self._warnings],
            "reject_samples": accounts.samples,
            "reject_limit": rejects.limit,
        }

    def _described(self, blocks: Blocks, accounts: Accounts, row_count: int) -> Outcome:
        given, plan = self._given, self._plan
        document = given.request.ruleset.document
        names = [column.name for column in plan.columns]
        return Outcome(
            **self._known(blocks, accounts),
            dropped_count=self._dropped(blocks, accounts, row_count),
            row_count=row_count,
            columns=described_columns(document, plan.columns),
            sources={column.name: [list(source) for source in column.sources] for column in plan.columns},
            preview=self._preview.markdown(names),
            sql=";\n\n".join(f"-- {block.table}\n{block.sql}" for block in plan.blocks),
            files=_facts(given, accounts.input_count),
            dialect=(document.output or Output()).dialect.model_dump(mode="json", by_alias=True),
        )

    def _dropped(self, blocks: Blocks, accounts: Accounts, row_count: int) -> int:
        """Count the rows of the input that steps left out while one row stood for one of the input."""
        if all(block.diverts for block in self._plan.blocks):
            return accounts.input_count - accounts.reject_count - row_count
        return blocks.dropped_count


def _facts(given: Ingested, input_count: int) -> dict[str, dict[str, Any]]:
    facts = {
        name: file_facts(given.connection, name, text.header.columns)
        for name, text in given.references.items()
    }
    columns = given.input.header.columns
    return {INPUT: file_facts(given.connection, reading.SURVEY, columns, row_count=input_count), **facts}


@contextmanager
def _removed_on_failure(*paths: Path) -> Iterator[None]:
    """Leave no such files behind when what is inside fails."""
    try:
        yield
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
