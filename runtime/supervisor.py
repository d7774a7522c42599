"""`heliograph up`: the processes of one machine, started, watched, restarted, and ended in order.

    proxy workers ──▶ event log ──▶ pipeline ──▶ lake ◀── query side      the log embedded
    proxy workers ──▶ Kafka ◀─▶ processors; Kafka ──▶ sink ──▶ lake ◀── query side
    either log ──▶ webhooks ──▶ whoever is told of calls

At the end the workers drain first, then the pipeline brings to rest what they emitted, then the query side stops: so everything that was
emitted is in the lake. A time limit holds for all of it together.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import structlog
from msgspec import Struct

from runtime.settings import Misconfigured, Settings
from runtime.sockets import listen

log = structlog.get_logger()

BACKOFF_S, BACKOFF_MAX_S = 0.1, 2.0
HEALTHY_S = 10.0
"""A child that lived this long failed for a new reason: it is restarted at once."""
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder in it, for this user alone
ORDER_OF_END = ("ingress", "pipeline", "processors", "sink", "webhooks", "api", "demo")


class Part(Struct, frozen=True):
    """A process that should run."""

    role: str
    number: int
    sockets: tuple[socket.socket, ...] = ()

    def __str__(self) -> str:
        return f"{self.role}-{self.number}"


class Child:
    """A part, as the process that lives it now."""

    def __init__(self, part: Part, environment: Mapping[str, str]) -> None:
        self.part = part
        self._environment = environment
        self.process: asyncio.subprocess.Process | None = None
        self.ready = asyncio.Event()
        self.was_ready = False
        """In this life or an earlier one: its settings were good then."""
        self._alive_fd: int | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Starts the process: its standard input ends when we do, and it tells on a pipe when it is ready."""
        async with self._starting:
            await self._start()

    async def settled(self) -> None:
        """Waits for a start that is under way: until it is over, `process` is the one before."""
        async with self._starting:
            pass

    async def _start(self) -> None:
        self.ready.clear()
        life_read, life_write = os.pipe()
        ready_read, ready_write = os.pipe()
        fds = [each.fileno() for each in self.part.sockets]
        command = [sys.executable, "-m", "runtime.roles", self.part.role, "--fds", ",".join(map(str, fds)), "--ready-fd", str(ready_write)]
        try:
            self.process = await asyncio.create_subprocess_exec(
                *command, stdin=life_read, pass_fds=[*fds, ready_write], env=dict(self._environment)
            )
        except BaseException:
            os.close(life_write)
            os.close(ready_read)
            raise
        finally:
            os.close(life_read)
            os.close(ready_write)
        self._close_life()
        self._alive_fd = life_write
        loop = asyncio.get_running_loop()
        loop.add_reader(ready_read, self._hear, loop, ready_read)

    def _hear(self, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        if os.read(fd, 16):
            self.ready.set()
            self.was_ready = True
        loop.remove_reader(fd)
        os.close(fd)

    def _close_life(self) -> None:
        if self._alive_fd is not None:
            os.close(self._alive_fd)
            self._alive_fd = None

    async def wait(self) -> int:
        """The exit code; minus the signal's number when one ended it."""
        return -1 if self.process is None else await self.process.wait()

    @property
    def dead(self) -> bool:
        return self.process is not None and self.process.returncode is not None

    def tell(self, number: int) -> None:
        """Sends a signal; one to end that comes before the child is ready waits until it is."""
        if self.process is None or self.dead:
            return
        if number == signal.SIGTERM and not self.ready.is_set():
            self._close_life()  # it sees the end of its standard input as soon as it looks
            return
        self.process.send_signal(number)


class Supervisor:
    """Holds the sockets, the lock on the data directory, and the children."""

    def __init__(self, chosen: Settings, *, demo_port: int | None = None) -> None:
        self._chosen = chosen
        self._demo_port = demo_port
        self._children: list[Child] = []
        self._watching: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()
        self._failed = False
        self._hurried = False
        self._killed: set[str] = set()
        """Parts that were given no time to end in order."""

    async def run(self, on_ready: Callable[[int, int], None]) -> int:
        """Until SIGTERM, SIGINT, or a child that cannot start. `on_ready` gets the two ports. Answers the exit code.

        Raises Misconfigured.
        """
        chosen = self._chosen
        with locked(chosen.data_dir):
            proxy = listen(chosen.host, chosen.port, setting="HELIOGRAPH_PORT (--port)")
            asked = listen(chosen.host, chosen.api_port, setting="HELIOGRAPH_API_PORT (--api-port)")
            self._children = [Child(part, self._environment()) for part in self._parts(proxy, asked)]
            self._obey_signals()
            for child in self._children:
                await child.start()
                self._watching.append(asyncio.create_task(self._watch(child)))
            if await self._all_ready():
                on_ready(port_of(proxy), port_of(asked))
            await self._ending.wait()
            return await self._end()

    def _parts(self, proxy: Sequence[socket.socket], asked: Sequence[socket.socket]) -> list[Part]:
        behind = ("processors", "sink") if self._chosen.on_kafka else ("pipeline",)
        parts = [*(Part(role, 1) for role in (*behind, "webhooks")), Part("api", 1, tuple(asked))]
        parts += [Part("ingress", number + 1, tuple(proxy)) for number in range(self._chosen.workers)]
        if self._demo_port is not None:
            parts.insert(0, Part("demo", 1, tuple(listen("127.0.0.1", self._demo_port, setting="--demo-port"))))
        return parts

    def _environment(self) -> dict[str, str]:
        metrics = metrics_folder(self._chosen)
        shutil.rmtree(metrics, ignore_errors=True)
        metrics.mkdir(parents=True, mode=0o700)
        return os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(metrics.resolve())}

    def _obey_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)

    def _stop(self) -> None:
        if self._ending.is_set():
            log.warning("ending_at_once", reason="asked a second time")
            self._hurried = True
            for child in self._children:
                self._kill(child)
        self._ending.set()

    def _kill(self, child: Child) -> None:
        if child.process is not None and not child.dead:
            self._killed.add(str(child.part))
            child.tell(signal.SIGKILL)

    async def _all_ready(self) -> bool:
        """Waits for every child; False when the end came first."""
        ending = asyncio.create_task(self._ending.wait())
        for child in self._children:
            ready = asyncio.create_task(child.ready.wait())
            await asyncio.wait([ready, ending], return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                ready.cancel()
                return False
        ending.cancel()
        return True

    async def _watch(self, child: Child) -> None:
        """Restarts the child whenever it dies, until the end. One that never became ready because of its settings ends everything."""
        pause = BACKOFF_S
        while True:
            began = time.monotonic()
            code = await child.wait()
            if self._ending.is_set():
                return
            if code == 2 and not child.was_ready:
                self._failed = True
                self._ending.set()
                return
            pause = BACKOFF_S if time.monotonic() - began > HEALTHY_S else min(pause * 2, BACKOFF_MAX_S)
            log.warning("child_died", child=str(child.part), **_ended_by(code), restart_in_s=round(pause, 2))
            await asyncio.sleep(pause)
            if self._ending.is_set():
                return
            try:
                await child.start()
            except OSError as error:
                log.error("child_not_started", child=str(child.part), error=str(error))
                continue
            log.info("child_restarted", child=str(child.part))

    async def _end(self) -> int:
        log.info("draining", limit_s=self._chosen.shutdown_s)
        deadline = time.monotonic() + self._chosen.shutdown_s
        for role in ORDER_OF_END:
            await self._end_role(role, deadline)
        for task in self._watching:
            task.cancel()
        shutil.rmtree(metrics_folder(self._chosen), ignore_errors=True)
        if self._killed:
            log.warning("ended", complete=False, killed=sorted(self._killed), remains="what is on the log comes to rest at the next start")
        else:
            log.info("ended", complete=True)
        return 1 if self._killed or self._failed else 0

    async def _end_role(self, role: str, deadline: float) -> None:
        """Tells the children of one role to end and waits; whoever takes too long is killed."""
        children = [child for child in self._children if child.part.role == role and child.process is not None]
        for child in children:
            await child.settled()  # it may be being restarted, and would never hear of the end
            if role == "pipeline" and child.dead and not self._failed and not self._hurried:
                await self._start_once_more(child)
            child.tell(signal.SIGTERM)
        waits = [asyncio.create_task(child.wait()) for child in children]
        if not waits:
            return
        _, pending = await asyncio.wait(waits, timeout=max(0.1, deadline - time.monotonic()))
        if pending:
            log.error("killed_at_the_time_limit", role=role, setting="HELIOGRAPH_SHUTDOWN_S")
            for child in children:
                self._kill(child)
            await asyncio.wait(pending)

    async def _start_once_more(self, child: Child) -> None:
        """It died a moment ago: what is on the log has to come to rest all the same."""
        try:
            await child.start()
        except OSError as error:
            log.error("child_not_started", child=str(child.part), error=str(error))


def metrics_folder(chosen: Settings) -> Path:
    """Where the processes' counts lie: in memory where the system has room for it, the same for every run on a data directory.

    They are mapped files, and a process that touches a new page of one on a full disk is killed by the system (SIGBUS).
    """
    if not os.access(MEMORY, os.W_OK):
        return chosen.run_dir / "metrics"
    name = hashlib.blake2b(str(chosen.data_dir.resolve()).encode(), digest_size=8).hexdigest()
    return MEMORY / f"heliograph-{os.getuid()}-{name}"


def _ended_by(code: int) -> dict[str, int | str]:
    return {"signal": signal.Signals(-code).name} if code < 0 else {"exit_code": code}


def port_of(sockets: Sequence[socket.socket]) -> int:
    return int(sockets[0].getsockname()[1])


class locked:  # noqa: N801 - reads as a word: `with locked(directory)`
    """The data directory is ours alone. Raises Misconfigured naming who else has it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: IO[str] | None = None

    def __enter__(self) -> int:
        """The descriptor that holds the lock."""
        path = self._directory / "heliograph.lock"
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = path.open("a+")
        except OSError as error:
            raise Misconfigured(
                f"HELIOGRAPH_DATA_DIR={self._directory}: {error.strerror}. Choose a directory that can be written."
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise Misconfigured(
                f"Another Heliograph (process {holder}) runs on {self._directory.resolve()}."
                " Stop it, or choose another HELIOGRAPH_DATA_DIR."
            ) from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()
        return self._file.fileno()

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
