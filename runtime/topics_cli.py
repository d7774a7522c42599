"""`heliograph topics …`: our topics on a Kafka cluster, made, looked at, compared with the settings, given more partitions."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from aiokafka.admin import AIOKafkaAdminClient
from rich.console import Console
from rich.table import Column, Table

from eventlog import kafka_topics
from eventlog.kafka_config import KafkaConfig
from eventlog.kafka_errors import TopicsUnfit
from eventlog.kafka_start import started
from eventlog.kafka_topics import Severity
from eventlog.port import LogUnavailable
from runtime.cluster import kafka_config
from runtime.settings import Misconfigured, settings

T = TypeVar("T")

WIDE = 10_000
"""Where nobody looks at a terminal nothing is cut, nor folded."""

app = typer.Typer(help="The topics on Kafka.", no_args_is_help=True)


@app.command()
def create() -> None:
    """Make the topics that are missing, as the settings ask for them. What is there stays as it is."""
    made = _with_admin(kafka_topics.create)
    for name in made:
        typer.echo(f"made {name}")
    if not made:
        typer.echo("All topics are there already.")


@app.command()
def describe() -> None:
    """Print each topic with its partitions, replicas and settings."""
    existing = _with_admin(kafka_topics.examine)
    table = Table("topic", "partitions", "replicas", Column("settings", overflow="fold"))
    for name, topic in sorted(existing.cluster.topics.items()):
        configs = ", ".join(f"{key}={value}" for key, value in sorted(existing.configs.get(name, {}).items()))
        table.add_row(name, str(topic.partitions), str(topic.replication), configs)
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


@app.command()
def check() -> None:
    """Say what differs from what the settings need. Ends with 1 when nothing could be read from these topics."""
    existing = _with_admin(kafka_topics.examine)
    found = kafka_topics.differences(existing, kafka_topics.wanted(kafka_config(settings())))
    for severity in Severity:
        for line in kafka_topics.lines(each for each in found if each.severity is severity):
            typer.echo(f"{severity.value}: {line}")
    if any(each.severity is Severity.FATAL for each in found):
        raise typer.Exit(1)
    if not found:
        typer.echo("The topics are as the settings ask for them.")


@app.command("raise")
def raise_(partitions: Annotated[int, typer.Option(min=1, help="Partitions that each topic of call events is to have.")]) -> None:
    """Give every topic of call events more partitions, changelogs included. Restart the processors afterwards."""
    grown = _with_admin(lambda config, admin: kafka_topics.raise_partitions(config, admin, partitions))
    for name, (before, after) in grown.items():
        typer.echo(f"{name}: {before} to {after}")
    typer.echo(f"Now set HELIOGRAPH_KAFKA__PARTITIONS={partitions} and restart the roles, processors first.")
    if grown:
        typer.echo(
            "Until they are restarted, what is written to the new partitions waits on Kafka: it is neither understood nor in the lake."
        )


def _with_admin(work: Callable[[KafkaConfig, AIOKafkaAdminClient], Awaitable[T]]) -> T:
    """Raises Misconfigured for whatever an operator can change."""
    config = kafka_config(settings())

    async def run() -> T:
        admin = AIOKafkaAdminClient(**config.connection())
        try:
            await started(admin.start, config)
            return await work(config, admin)
        finally:
            await admin.close()

    try:
        return asyncio.run(run())
    except (LogUnavailable, TopicsUnfit) as error:
        raise Misconfigured(str(error)) from error
