"""`reportgen up`: the order of starting and ending, and what is said meanwhile.

How one child is kept alive belongs in `children.py`, what the children are in `services.py`, `postgres.py` and `valkey.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable

from pydantic import SecretStr

from reportgen_dagster.errors import ServiceError
from reportgen_dagster.settings import Settings
from reportgen_dagster.supervisor import services
from reportgen_dagster.supervisor.children import Child, Program
from reportgen_dagster.supervisor.demo import make_example
from reportgen_dagster.supervisor.guardian import Guardian
from reportgen_dagster.supervisor.home import Home, Runtime
from reportgen_dagster.supervisor.output import Output
from reportgen_dagster.supervisor.ports import refuse_taken_ports
from reportgen_dagster.supervisor.postgres import EmbeddedPostgres
from reportgen_dagster.supervisor.processes import SERVERS, end_instance
from reportgen_dagster.supervisor.readiness import gateway_url, why_not_ready
from reportgen_dagster.supervisor.valkey import EmbeddedValkey

PATIENCE_SECONDS = 60.0

_POLL_SECONDS = 0.1
_GUARD_SECONDS = 1.0
# One Ctrl-C may arrive twice, from the terminal and from what started `up`.
_ONE_KEYPRESS_SECONDS = 0.5
_PRIVATE_UMASK = 0o077
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_up(settings: Settings, output: Output) -> None:
    """Run everything on this machine until a signal ends it.

    Args:
        settings: What the environment says; what it leaves out is embedded.
        output: Where everything is shown.

    Raises:
        ConflictError: If the home is in use or a port is taken.
        ServiceError: If a server does not come up at the start.
    """
    os.umask(_PRIVATE_UMASK)
    home = Home(settings.home)
    home.make()
    lock = home.lock()
    _sweep(home, output)
    refuse_taken_ports(settings)
    instance = home.new_instance()
    guardian = Guardian(home.path, instance, lock)
    try:
        asyncio.run(_Up(settings, home, instance, guardian, output).run())
    finally:
        guardian.dismiss()
        os.close(lock)


def _sweep(home: Home, output: Output) -> None:
    """End what an earlier `up` on this home left running when it and its guardian were killed."""
    last = home.last_instance()
    if last is not None and not end_instance(home.path, last):
        output.say("Processes of an earlier start cannot be ended.")
    home.forget_runtime()


class _Up:
    """One start of everything, inside an event loop."""

    def __init__(
        self, settings: Settings, home: Home, instance: str, guardian: Guardian, output: Output
    ) -> None:
        self._settings = settings.model_copy(update={"home": home.path})
        self._home = home
        self._instance = instance
        self._guardian = guardian
        self._output = output
        self._children: list[Child] = []
        self._end_wanted = asyncio.Event()
        self._end_wanted_at = 0.0
        # It imports for as long as the databases are prepared, and needs them for runs alone, of which there are none yet.
        self._worker_is_early = home.is_first_start

    async def run(self) -> None:
        """Start, watch until a signal comes, end."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        guarding = asyncio.create_task(self._keep_guardian())
        start = asyncio.create_task(self._start())
        end_wanted = asyncio.create_task(self._end_wanted.wait())
        try:
            await asyncio.wait({start, end_wanted}, return_when=asyncio.FIRST_COMPLETED)
            if start.done():
                start.result()
                await end_wanted
        finally:
            for task in (start, end_wanted, guarding):
                task.cancel()
            await asyncio.gather(start, end_wanted, guarding, return_exceptions=True)
            await self._end()

    def _on_signal(self) -> None:
        now = time.monotonic()
        if not self._end_wanted.is_set():
            self._output.say("Ending. Ctrl-C again kills everything at once.")
            self._end_wanted_at = now
            self._end_wanted.set()
        elif now - self._end_wanted_at > _ONE_KEYPRESS_SECONDS:
            self._output.say("Killing everything at once.")
            for child in self._children:
                child.kill()

    async def _end(self) -> None:
        """End what uses others all together, then what they use, the last started first."""
        used = {service.name for service in services.code_servers(self._settings)} | set(SERVERS)
        await asyncio.gather(*(child.stop() for child in self._children if child.name not in used))
        for child in reversed(self._children):
            if child.name in used:
                await child.stop()
        self._home.forget_runtime()
        self._output.say("All has ended.")

    async def _keep_guardian(self) -> None:
        while True:
            await asyncio.sleep(_GUARD_SECONDS)
            if self._guardian.restore():
                self._output.say("The guardian was killed; another one watches now.")

    async def _start(self) -> None:
        begin = time.monotonic()
        await self._start_servers()
        self._record_runtime()
        if self._worker_is_early:
            self._add(self._program(services.WORKER)).start()
        await self._prepare()
        self._start_services()
        await self._wait_until_ready()
        self._output.say(f"Ready after {time.monotonic() - begin:.1f} s.")
        await self._first_start()
        self._say_addresses()

    async def _start_servers(self) -> None:
        """Start the embedded servers that the settings leave out, and name them in the settings."""
        found: dict[str, SecretStr] = {}
        waits = []
        if self._settings.broker_url is None:
            valkey = EmbeddedValkey(self._home.path)
            self._add(valkey.program(services.local_environment(self._settings))).start()
            found["broker_url"] = SecretStr(valkey.url)
            waits.append(self._until(valkey.is_ready, "Valkey does not answer"))
        if self._settings.database_url is None:
            postgres = EmbeddedPostgres(self._home.path)
            await asyncio.to_thread(postgres.make)
            child = self._add(postgres.program(services.local_environment(self._settings)))
            child.start()
            found["database_url"] = SecretStr(postgres.url)

            async def accepts() -> bool:
                return postgres.is_ready(child.pid)

            waits.append(self._until(accepts, "PostgreSQL does not accept connections"))
        await asyncio.gather(*waits)
        self._settings = self._settings.model_copy(update=found)

    def _record_runtime(self) -> None:
        settings = self._settings
        self._home.record_runtime(
            Runtime(
                pid=os.getpid(),
                instance=self._instance,
                database_url=_secret(settings.database_url),
                broker_url=_secret(settings.broker_url),
                url=gateway_url(settings),
                dagster_url=settings.dagster_ui_url,
            )
        )

    async def _prepare(self) -> None:
        child = self._add(self._program(services.PREPARE))
        code = await child.run_once()
        self._children.remove(child)
        if code != 0:
            raise ServiceError("the databases could not be prepared; the lines of `prepare` above say why")

    def _start_services(self) -> None:
        for service in services.all_services(self._settings):
            if service is not services.WORKER or not self._worker_is_early:
                self._add(self._program(service)).start()

    async def _wait_until_ready(self) -> None:
        reason = ""

        async def is_ready() -> bool:
            nonlocal reason
            reason = await asyncio.to_thread(why_not_ready, self._settings)
            return not reason

        while not await self._holds(is_ready, PATIENCE_SECONDS):
            self._output.say(f"Not ready after {PATIENCE_SECONDS:g} s: {reason}. Still trying.")

    async def _first_start(self) -> None:
        if self._settings.demo and self._home.is_first_start:
            example = services.PROJECT / "rules" / "trade"
            for line in await asyncio.to_thread(make_example, gateway_url(self._settings), example):
                self._output.say(line)
        self._home.first_start_is_over()

    def _say_addresses(self) -> None:
        url = gateway_url(self._settings)
        self._output.say(f"  API         {url}/api/")
        self._output.say(f"  API docs    {url}/docs")
        self._output.say(f"  Dagster UI  {self._settings.dagster_ui_url}")
        self._output.say("Ctrl-C ends it.")

    def _add(self, program: Program) -> Child:
        child = Child(program, self._instance, self._output)
        self._children.append(child)
        return child

    def _program(self, service: services.Service) -> Program:
        return Program(
            name=service.name,
            command=services.local_command(service, self._settings),
            environment=services.local_environment(self._settings, service),
            folder=self._home.path,  # not where `up` was typed: Dagster reads files there
        )

    async def _until(self, condition: Callable[[], Awaitable[bool]], otherwise: str) -> None:
        """Wait for a server without which nothing can start."""
        if not await self._holds(condition, PATIENCE_SECONDS):
            raise ServiceError(f"{otherwise} within {PATIENCE_SECONDS:g} s; its lines above may say why")

    @staticmethod
    async def _holds(condition: Callable[[], Awaitable[bool]], seconds: float) -> bool:
        """Wait until a condition holds; return False if it does not in time."""
        deadline = time.monotonic() + seconds
        while not await condition():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True


def _secret(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
