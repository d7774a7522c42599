"""`heliograph up` and the roles, each of which may run alone."""

import os
import sys
from typing import Annotated

import typer
import uvloop

from runtime import logs
from runtime.becoming import become, become_on_kafka
from runtime.options import DEMO_PORT, ApiPort, DataDir, HealthPort, Host, Port
from runtime.settings import origin_of, settings_by
from runtime.sockets import listen
from runtime.supervisor import Supervisor, locked
from runtime.welcome import welcome

FLUSH = "HELIOGRAPH_SINK__FLUSH_SECONDS"
ALONE_FLUSH_SECONDS = 10
"""Several sinks that commit each second would make more files than anybody wants to read."""


def up(
    host: Host = None,
    port: Port = None,
    api_port: ApiPort = None,
    data_dir: DataDir = None,
    workers: Annotated[int | None, typer.Option(help="Proxy processes (HELIOGRAPH_WORKERS).")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Start a demo provider too, and send OpenAI and Anthropic calls there.")] = False,
    demo_port: Annotated[int, typer.Option(help="Port of the demo provider.")] = DEMO_PORT,
) -> None:
    """Run everything on this machine: proxy, pipeline and query side."""
    if demo:
        for provider in ("OPENAI", "ANTHROPIC"):
            os.environ[f"HELIOGRAPH_UPSTREAMS__{provider}"] = f"http://127.0.0.1:{demo_port}"
    found = settings_by(host=host, port=port, api_port=api_port, data_dir=data_dir, workers=workers)
    logs.configure(found.log_format, found.log_level, role="supervisor")

    def greet(proxy_port: int, asked_port: int) -> None:
        typer.echo(welcome(found, proxy_port, asked_port, demo=demo))
        sys.stdout.flush()

    raise typer.Exit(uvloop.run(Supervisor(found, demo_port=demo_port if demo else None).run(greet)))


def ingress(host: Host = None, port: Port = None, data_dir: DataDir = None) -> None:
    """Run one proxy worker alone, into Kafka or the event log of the data directory, which nobody else may use meanwhile."""
    found = settings_by(host=host, port=port, data_dir=data_dir)
    with locked(found.data_dir) as lock:
        become("ingress", listen(found.host, found.port, setting="HELIOGRAPH_PORT (--port)"), lock)


def processors(host: Host = None, health_port: HealthPort = None, data_dir: DataDir = None) -> None:
    """Run one worker on Kafka that understands calls and joins feedback with them. As many as there are partitions share the work."""
    become_on_kafka("processors", settings_by(host=host, health_port=health_port, data_dir=data_dir))


def sink(host: Host = None, health_port: HealthPort = None, data_dir: DataDir = None) -> None:
    """Run one sink on Kafka, which brings events to rest in the lake. Several share the partitions, and write the same tables."""
    if origin_of(FLUSH) == "default":
        os.environ[FLUSH] = str(ALONE_FLUSH_SECONDS)
    become_on_kafka("sink", settings_by(host=host, health_port=health_port, data_dir=data_dir))


def api(host: Host = None, api_port: ApiPort = None, data_dir: DataDir = None) -> None:
    """Run the query side alone, over a lake that something else fills, or nothing any more."""
    found = settings_by(host=host, api_port=api_port, data_dir=data_dir)
    become("api", listen(found.host, found.api_port, setting="HELIOGRAPH_API_PORT (--api-port)"))
