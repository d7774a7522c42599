"""An Apache Kafka broker for this machine, without Docker: `make kafka`.

One Java process in KRaft mode, broker and controller in one, from Kafka's own Maven artifacts. The jars are copied once by Maven and
checked against `runtime/local_kafka.sha256`. It listens on loopback only, keeps its data in a folder, and is there for development and
tests.
"""

import argparse
import contextlib
import errno
import fcntl
import hashlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from msgspec import Struct

KAFKA = ("org.apache.kafka", "kafka_2.13", "4.4.0")
LOGGING = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.1")
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"
CHECKSUMS = Path(__file__).with_name("local_kafka.sha256")
HOME = Path(".kafka")
CLUSTER = "aGVsaW9ncmFwaC1rYWZrYQ"
READY_S = 90.0
STOP_S = 15.0

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>heliograph</groupId><artifactId>local-kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>{}
  </dependencies>
</project>
"""
_DEPENDENCY = "\n    <dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
_LOGGING = """status=error
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
"""


class BrokerFailed(Exception):
    """The broker cannot be had, or did not come up. The message says why, with the remedy."""

    retryable = False


def missing_part() -> str | None:
    """What this machine lacks to run a broker, with the remedy; None when it has everything."""
    if shutil.which("java") is None:
        return "java is missing: install a Java runtime of version 17 or newer"
    if shutil.which("mvn") is None and not _complete(HOME / "jars"):
        return "mvn is missing: install Maven, it copies Kafka's jars once"
    return None


def jars(home: Path = HOME) -> Path:
    """The folder of Kafka's jars, copied by Maven when it is not complete. Raises BrokerFailed."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "jars.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs may begin on a fresh clone
        return _jars(home, home / "jars")


def _jars(home: Path, folder: Path) -> Path:
    if _complete(folder):
        return folder
    if shutil.which("mvn") is None:
        raise BrokerFailed("mvn is missing: install Maven, it copies Kafka's jars once.")
    shutil.rmtree(folder, ignore_errors=True)
    (home / "pom.xml").write_text(_POM.format("".join(_DEPENDENCY.format(*each) for each in (KAFKA, LOGGING))))
    command = ["mvn", "-q", "-B", "-f", str(home / "pom.xml"), f"{PLUGIN}:copy-dependencies", f"-DoutputDirectory={folder.resolve()}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BrokerFailed(f"Maven could not copy Kafka's jars:\n{(done.stdout + done.stderr)[-2000:]}")
    if wrong := _differing(folder):
        raise BrokerFailed(f"These jars are not the ones that {CHECKSUMS.name} names: {', '.join(wrong)}.")
    return folder


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of each jar by its name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.jar"))}


def _declared() -> dict[str, str]:
    lines = CHECKSUMS.read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines if line)}


def _complete(folder: Path) -> bool:
    return folder.is_dir() and {path.name for path in folder.glob("*.jar")} == _declared().keys()


def _differing(folder: Path) -> list[str]:
    declared, found = _declared(), checksums(folder)
    return sorted(name for name in declared.keys() | found.keys() if declared.get(name) != found.get(name))


class Listener(Struct, frozen=True):
    """One more address of a broker: a name in capitals, a port, and its protocol (`SSL`, `SASL_PLAINTEXT`, `SASL_SSL`)."""

    name: str
    port: int
    protocol: str


class Broker:
    """A broker in a folder. It can be stopped, killed, paused and started again; its data stays."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        controller_port: int,
        properties: Mapping[str, str] | None = None,
        listeners: Sequence[Listener] = (),
        scram_users: Mapping[str, str] | None = None,
        home: Path = HOME,
    ) -> None:
        self.folder = folder
        self.port = port
        self._controller_port = controller_port
        self._properties = properties or {}
        self._listeners = listeners
        self._scram_users = scram_users or {}
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts the broker, unless it runs, and waits until it serves.

        Raises BrokerFailed. Where another broker holds the folder or a port, nothing of it is touched.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self._check_ports()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = self._lock or _locked(self.folder)
        classpath = f"{jars(self._home).resolve()}/*"
        config = self.folder / "server.properties"
        config.write_text("".join(f"{name}={value}\n" for name, value in self._configuration().items()))
        (self.folder / "log4j2.properties").write_text(_LOGGING)
        if not (self.folder / "data" / "meta.properties").exists():
            self._format(classpath, config)
        with (self.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._java(classpath), "kafka.Kafka", str(config)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=[self._lock.fileno()],  # a broker that outlives us keeps its folder
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """Ends the broker in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """The broker stands still; its sockets stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def wait(self) -> int:
        return 0 if self._process is None else self._process.wait()

    def _check_ports(self) -> None:
        """Raises BrokerFailed."""
        ports = {self.port: "--port", self._controller_port: "--controller-port"} | {
            each.port: "another listener" for each in self._listeners
        }
        for port, option in ports.items():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger are no hindrance
                try:
                    probe.bind(("127.0.0.1", port))
                    probe.listen()
                except OSError as error:
                    why = "is in use, perhaps by another broker" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
                    raise BrokerFailed(
                        f"Port {port} {why}. Stop what listens there, or choose another port ({option}) and another folder (--data-dir)."
                    ) from error

    def _end(self, number: int) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _java(self, classpath: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"
        return ["java", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", logging, "-cp", classpath]

    def _format(self, classpath: str, config: Path) -> None:
        users = [
            word for name, secret in self._scram_users.items() for word in ("--add-scram", f"SCRAM-SHA-256=[name={name},password={secret}]")
        ]
        users += [
            word for name, secret in self._scram_users.items() for word in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={secret}]")
        ]
        command = [*self._java(classpath), "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(config), *users]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BrokerFailed(f"Kafka's storage could not be formatted:\n{(done.stdout + done.stderr)[-2000:]}")

    def _configuration(self) -> dict[str, str]:
        own = [Listener("PLAINTEXT", self.port, "PLAINTEXT"), *self._listeners]
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": ",".join(
                [*(f"{each.name}://127.0.0.1:{each.port}" for each in own), f"CONTROLLER://127.0.0.1:{self._controller_port}"]
            ),
            "advertised.listeners": ",".join(f"{each.name}://127.0.0.1:{each.port}" for each in own),
            "listener.security.protocol.map": ",".join([*(f"{each.name}:{each.protocol}" for each in own), "CONTROLLER:PLAINTEXT"]),
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str((self.folder / "data").resolve()),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
            **self._properties,
        }

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            process = self._process
            if process is None or process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.1)
        self.kill()
        raise BrokerFailed(f"The broker did not come up on {self.address}:\n{(self.folder / 'broker.log').read_text()[-3000:]}")


def _locked(folder: Path) -> IO[str]:
    """Holds the folder until it is closed, by us and by the broker that inherits it. Raises BrokerFailed."""
    lock = (folder / "heliograph.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise BrokerFailed(f"A broker runs on {folder.resolve()}. Stop it, or choose another folder (--data-dir).") from None
    return lock


@contextlib.contextmanager
def running(broker: Broker) -> Iterator[Broker]:
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="Run an Apache Kafka broker on this machine, without Docker, until Ctrl-C.")
    parser.add_argument("--port", type=int, default=9092)
    parser.add_argument("--controller-port", type=int, default=9093)
    parser.add_argument("--data-dir", type=Path, default=HOME / "broker")
    parser.add_argument("--checksums", action="store_true", help="print the checksums of the jars that are there, and end")
    chosen = parser.parse_args()
    if chosen.checksums:
        for name, digest in checksums(HOME / "jars").items():
            print(f"{digest}  {name}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with running(Broker(chosen.data_dir, port=chosen.port, controller_port=chosen.controller_port)) as broker:
            print(
                f"Kafka listens on {broker.address}; Ctrl-C ends it.\n\n  export HELIOGRAPH_KAFKA__BOOTSTRAP_SERVERS={broker.address}",
                flush=True,
            )
            if code := broker.wait():
                sys.exit(f"make kafka: the broker ended with {code}; {broker.folder / 'broker.log'} says why.")
    except KeyboardInterrupt:
        sys.exit(0)
    except BrokerFailed as error:
        sys.exit(f"make kafka: {error}")


if __name__ == "__main__":
    main()
