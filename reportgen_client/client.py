"""The client: what people and programs do with reports on a service, as methods. How calls travel is told by connection.py.

Left out are the account's own upkeep (name, password, list of sessions), deliveries, what a dataset is expected to be, explained
rules, and what is for admins and operators: docs/api.md tells these calls.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

from reportgen_client import resumable
from reportgen_client.api_tokens import ApiTokens
from reportgen_client.connection import Call, Connection
from reportgen_client.resources import RESUMABLE_BYTES, Datasets, Item, Reports, Rulesets
from reportgen_client.runs import RUNS, Run
from reportgen_client.sources import File, Progress, SharedProgress, Source
from reportgen_client.tokens import Tokens, TokensInMemory, TokenStore

SCHEDULES = "/api/v1/schedules"


class Client:
    """One account on one service. Threads may share it; close it, or use it with `with`.

    Attributes:
        url: Address of the service.
        tokens: Where the tokens of the session are kept.
        datasets: Named files with versions.
        rulesets: Named rules with versions.
        reports: Named reports: rules over datasets.
        api_tokens: What programs sign in with.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        tokens: TokenStore | None = None,
        timeout: float = 60,
        patience: float = 60,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            url: Address of the service, as https://reports.example.com.
            token: An API token (`rg_pat_...`) or an access token; without one, `login` or `register` first.
            tokens: Where the tokens of a session are kept instead of in memory.
            timeout: Seconds that the service may be silent within one try of a call.
            patience: Seconds that a call is tried again while the service is away or busy; 0: never.
        """
        self.url = url
        self.tokens = tokens or TokensInMemory(Tokens(token) if token else None)
        self._connection = Connection(url, self.tokens, timeout_seconds=timeout, patience_seconds=patience)
        self.datasets = Datasets(self._connection, "datasets")
        self.rulesets = Rulesets(self._connection, "rulesets")
        self.reports = Reports(self._connection, "reports")
        self.api_tokens = ApiTokens(self._connection)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The session stays; `logout` ends it."""
        self._connection.close()

    # Accounts

    def register(self, email: str, name: str, password: str) -> dict[str, Any]:
        """Make an account and sign in; return it as `id`, `email`, `name`."""
        return self._sign_in("register", {"email": email, "name": name, "password": password})

    def login(self, email: str, password: str) -> dict[str, Any]:
        """Sign in; return the account as `id`, `email`, `name`.

        From now on access tokens are renewed by themselves, for as long as the session may last.

        Raises:
            ReportgenApiError: If e-mail or password is wrong (status 401).
        """
        return self._sign_in("login", {"email": email, "password": password})

    def logout(self) -> None:
        """End the session: its tokens are refused from now on, everywhere."""
        self._connection.send(Call("POST", "/api/auth/logout/"))
        with self.tokens.exclusive():
            self.tokens.write(None)

    def refresh(self) -> None:
        """Buy a new pair of tokens now. Calls do so by themselves when they need to."""
        tokens = self.tokens.read()
        if tokens and tokens.refresh:
            self._connection.renew(tokens)

    def _sign_in(self, how: str, body: Mapping[str, str]) -> dict[str, Any]:
        session = self._connection.ask(Call("POST", f"/api/auth/{how}/", json=dict(body), is_open=True))
        with self.tokens.exclusive():
            self.tokens.write(Tokens.of_pair(session["access"], session["refresh"]))
        user: dict[str, Any] = session["user"]
        return user

    def usage(self) -> dict[str, Any]:
        """Return what the account uses and may use: `stored_bytes`, `files`, `open_uploads`, `queued_runs`."""
        return _body(self._connection, Call("GET", "/api/v1/me/usage"))

    # Uploads

    def upload_rules(self, file: File, *, type: Literal["json", "yaml"] | None = None) -> dict[str, Any]:
        """Upload rules; they are checked, and become the caller's last ones. Return `ruleset` and `version`.

        Args:
            file: The rules, as a path or as bytes.
            type: What they are written in, where the file's name does not say it; default for bytes: yaml.

        Raises:
            ReportgenApiError: If they have problems; `errors` has every one, with its place.
        """
        source = Source(file, name=f"rules.{type or 'yaml'}")
        call = Call("POST", "/api/upload-rules/", params={"type": type}, files={"file": source})
        return _body(self._connection, call.making())

    def upload_files(
        self,
        *,
        input: File | None = None,
        reference: File | None = None,
        on_progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Upload an input, a reference or both; each becomes the caller's last one.

        A large file is sent so that it survives a broken connection, if the service has resumable uploads.

        Args:
            input: The CSV to report on, as a path or as bytes.
            reference: The CSV to look up in.
            on_progress: Is told how many bytes have been sent, and how many there are.

        Returns:
            For each what the service says about it, by the part's name.
        """
        sources = _sources({"input": input, "reference": reference})
        progress = SharedProgress(sources, on_progress)
        large = [name for name, source in sources.items() if source.size_bytes >= RESUMABLE_BYTES]
        if large and not resumable.is_offered(self._connection):
            large = []
        kept: dict[str, Any] = {}
        for name in large:
            kept[name] = resumable.upload(
                self._connection, sources.pop(name), {"role": name}, progress.of(name)
            )
        if sources or not large:
            call = Call("POST", "/api/upload-files/", files=sources, progress=progress)
            answer = _body(self._connection, call.making())
            kept |= {name: answer[name] for name in sources}
        return kept

    # Reports and their runs

    def generate(
        self,
        *,
        input: File | None = None,
        reference: File | None = None,
        rules: File | None = None,
        references: Mapping[str, File] | None = None,
        parameters: Mapping[str, Any] | None = None,
        formats: Sequence[str] | None = None,
        idempotency_key: str | None = None,
        on_progress: Progress | None = None,
    ) -> Run:
        """Have a report made; return its run. What is left out is the caller's last upload; what is given is for this run only.

        Args:
            input: The CSV to report on, as a path or as bytes.
            reference: The CSV to look up in.
            rules: The rules.
            references: Further references, by their names in the rules.
            parameters: Values of the rules' parameters.
            formats: What it is made as, as `csv` and `xlsx`; default: what the rules say, else csv.
            idempotency_key: A name of your own for this wish: the same key again is the same run.
            on_progress: Is told how many bytes of the files have been sent, and how many there are.

        Raises:
            ReportgenApiError: If something is missing, or rules and files do not fit; `errors` has it all.
        """
        sources = _sources({"input": input, "reference": reference, "rules": rules, **(references or {})})
        call = Call(
            "POST",
            "/api/generate-report/",
            params={"formats": ",".join(formats) if formats else None},
            fields={"parameters": json.dumps(dict(parameters), default=str)} if parameters else {},
            files=sources,
            progress=SharedProgress(sources, on_progress),
        )
        return Run(self._connection, _body(self._connection, call.making(idempotency_key)))

    def preview(
        self,
        *,
        rules: File,
        input: File,
        reference: File | None = None,
        references: Mapping[str, File] | None = None,
        parameters: Mapping[str, Any] | None = None,
        step: int | None = None,
        rows: int | None = None,
    ) -> dict[str, Any]:
        """Return the first rows that rules make of samples, of which nothing is kept: `columns`, `rows`, `markdown`.

        Args:
            rules: The rules, as a path or as bytes.
            input: The CSV, or its beginning: at most 16 MB, as each file.
            reference: The CSV to look up in.
            references: Further references, by their names in the rules.
            parameters: Values of the rules' parameters.
            step: After so many steps; 0: the input as it is read; default: the report.
            rows: At most so many; default: 10.

        Raises:
            ReportgenApiError: If rules, files or parameters are wrong, or it takes more than 2 seconds.
        """
        numbers = {"step": step, "rows": rows}
        fields = {name: str(number) for name, number in numbers.items() if number is not None}
        if parameters:
            fields["parameters"] = json.dumps(dict(parameters), default=str)
        files = {"rules": rules, "input": input, "reference": reference, **(references or {})}
        call = Call("POST", "/api/v1/preview/sample", fields=fields, files=_sources(files), is_harmless=True)
        return _body(self._connection, call)

    def run(self, id: str) -> Run:
        """Return a run as it is now.

        Raises:
            ReportgenApiError: If there is none (status 404).
        """
        return Run(self._connection, {"task_id": id, "status": "accepted"}).refresh()

    def runs(self, **filters: Any) -> Iterator[Run]:
        """Yield the runs, the last accepted first; the next page is asked for when it is needed.

        Args:
            filters: As the API has them: `report`, `state`, `trigger`, `accepted_after`, `accepted_before`; `limit` is the
                number of a page.
        """
        for facts in self._connection.items(RUNS, filters):
            yield Run(self._connection, facts)

    # Schedules

    def trigger_schedule(
        self,
        *,
        input: File,
        rules: File,
        cron: str,
        reference: File | None = None,
        references: Mapping[str, File] | None = None,
        report_name: str | None = None,
        timezone: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        formats: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Have a report made now and then by a cron expression, of these files; return `task_id`, `report_name`, `next_run`.

        Args:
            input: The CSV to report on, as a path or as bytes.
            rules: The rules.
            cron: Five fields: minute, hour, day of month, month, day of week.
            reference: The CSV to look up in.
            references: Further references, by their names in the rules.
            report_name: The same name again replaces files, rules and times; default: one is made.
            timezone: An IANA name such as Europe/Berlin; default: UTC.
            parameters: Values of the rules' parameters.
            formats: What it is made as; default: what the rules say, else csv.
        """
        given = {"input_file": input, "reference_file": reference, "rules_file": rules, **(references or {})}
        fields = {"cron": cron, "report_name": report_name, "timezone": timezone}
        told = {name: text for name, text in fields.items() if text is not None}
        if parameters:
            told["parameters"] = json.dumps(dict(parameters), default=str)
        call = Call(
            "POST",
            "/api/trigger-scheduled-report/",
            params={"formats": ",".join(formats) if formats else None},
            fields=told,
            files=_sources(given),
        )
        return _body(self._connection, call.making())

    def schedules(self) -> Iterator[dict[str, Any]]:
        """Yield the schedules, the oldest first, each with its next and its last run."""
        return self._connection.items(SCHEDULES)

    def pause_schedule(self, id: str) -> Item:
        """Let a schedule skip its times until it is resumed; return it."""
        return Item(_body(self._connection, Call("POST", f"{SCHEDULES}/{id}/pause")))

    def resume_schedule(self, id: str) -> Item:
        """Let a paused schedule run again, from its next time on; return it."""
        return Item(_body(self._connection, Call("POST", f"{SCHEDULES}/{id}/resume")))

    def delete_schedule(self, id: str) -> None:
        """Delete a schedule. Its runs and their reports stay."""
        self._connection.send(Call("DELETE", f"{SCHEDULES}/{id}"))


def _sources(files: Mapping[str, File | None]) -> dict[str, Source]:
    """Return the files that are given, each under the name of its part."""
    return {
        name: Source(file, name=f"{name}.{'yaml' if name.startswith('rules') else 'csv'}")
        for name, file in files.items()
        if file is not None
    }


def _body(connection: Connection, call: Call) -> dict[str, Any]:
    body: dict[str, Any] = connection.ask(call)
    return body
