"""What people type: `heliograph …`."""

import json
import os
import socket
import sys
from collections.abc import Sequence
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from runtime import letters_cli, logs
from runtime.alerts_cli import app as alerts_app
from runtime.asking import Wish, ask_into, told_of_cut, told_of_unread
from runtime.backup import back_up, restore
from runtime.cache_cli import app as cache_app
from runtime.cluster import kafka_config
from runtime.compact_cli import compact
from runtime.demo import serve
from runtime.erase_cli import erase
from runtime.export_cli import export
from runtime.history.command import demo_history
from runtime.import_cli import import_
from runtime.keys_cli import ALL
from runtime.keys_cli import app as keys_app
from runtime.lag_cli import lag
from runtime.lake_cli import app as lake_app
from runtime.outlet import Outlet
from runtime.prices_cli import app as prices_app
from runtime.provider_keys_cli import app as provider_keys_app
from runtime.redaction_cli import app as redaction_app
from runtime.replaying import Selection
from runtime.repricing import reprice
from runtime.retention_cli import app as retention_app
from runtime.roles import leave
from runtime.saved import SavedQueries
from runtime.saved_cli import app as saved_app
from runtime.settings import Misconfigured, Settings, origin_of, settings, settings_by, value_of, variables
from runtime.sockets import listen
from runtime.supervisor import Supervisor, locked
from runtime.tail_cli import tail
from runtime.topics_cli import app as topics_app
from runtime.webhooks_cli import app as webhooks_app
from runtime.welcome import welcome
from storage.formats import BINARY, Format
from storage.lake import LakeUnreachable
from storage.migration import LakeTooNew
from storage.refusal import Refused
from storage.whose import EVERY

app = typer.Typer(
    name="heliograph",
    help="Self-hosted observability for LLM calls: a proxy, an event log, a lake of Parquet, and SQL to ask it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
demo_app = typer.Typer(help="Things to try Heliograph with.", no_args_is_help=True)
app.add_typer(demo_app, name="demo")
app.add_typer(lake_app, name="lake")
app.add_typer(topics_app, name="topics")
app.add_typer(keys_app, name="keys")
app.add_typer(provider_keys_app, name="provider-keys")
app.add_typer(redaction_app, name="redaction")
app.add_typer(retention_app, name="retention")
app.add_typer(cache_app, name="cache")
app.add_typer(prices_app, name="prices")
app.add_typer(webhooks_app, name="webhooks")
app.add_typer(alerts_app, name="alerts")
app.add_typer(saved_app, name="saved")
app.command("lag")(lag)
app.command("tail")(tail)
app.command("reprice")(reprice)
app.command("import")(import_)
app.command()(compact)
demo_app.command("history")(demo_history)
app.command("export")(export)
app.command("erase")(erase)

DEMO_PORT = 9010
FLUSH = "HELIOGRAPH_SINK__FLUSH_SECONDS"
ALONE_FLUSH_SECONDS = 10
"""Several sinks that commit each second would make more files than anybody wants to read."""


class SettingsFormat(StrEnum):
    TABLE = "table"
    JSON = "json"


Host = Annotated[str | None, typer.Option(help="Address to listen on (HELIOGRAPH_HOST).")]
Port = Annotated[int | None, typer.Option(help="Port of the proxy (HELIOGRAPH_PORT).")]
ApiPort = Annotated[int | None, typer.Option(help="Port of the query side (HELIOGRAPH_API_PORT).")]
HealthPort = Annotated[int | None, typer.Option(help="Port of /healthz, /readyz and /metrics (HELIOGRAPH_HEALTH_PORT).")]
Whose = Annotated[str, typer.Option(help="Whose rows: an organization's, or `all`. A running Heliograph asks for a key of the operator.")]
DataDir = Annotated[Path | None, typer.Option(help="Where log and lake lie (HELIOGRAPH_DATA_DIR).")]


def fail(message: str, code: int = 2) -> NoReturn:
    typer.echo(f"heliograph: {message}", err=True)
    raise typer.Exit(code)


def become(role: str, sockets: list[socket.socket], *kept: int) -> NoReturn:
    """Turns this process into a role, which loads less than the commands do. The descriptors `kept` stay open."""
    fds = [each.fileno() for each in sockets]
    for fd in (*fds, *kept):
        os.set_inheritable(fd, True)
    os.execv(sys.executable, [sys.executable, "-m", "runtime.roles", role, "--fds", ",".join(map(str, fds))])  # noqa: S606 - ourselves


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("heliograph"))
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Holds the options before the command."""
    logs.hush()  # what comes of a command is told by it


@app.command()
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


@app.command()
def ingress(host: Host = None, port: Port = None, data_dir: DataDir = None) -> None:
    """Run one proxy worker alone, into Kafka or the event log of the data directory, which nobody else may use meanwhile."""
    found = settings_by(host=host, port=port, data_dir=data_dir)
    with locked(found.data_dir) as lock:
        become("ingress", listen(found.host, found.port, setting="HELIOGRAPH_PORT (--port)"), lock)


@app.command()
def processors(host: Host = None, health_port: HealthPort = None, data_dir: DataDir = None) -> None:
    """Run one worker on Kafka that understands calls and joins feedback with them. As many as there are partitions share the work."""
    found = settings_by(host=host, health_port=health_port, data_dir=data_dir)
    kafka_config(found)
    become("processors", _health_sockets(found))


@app.command()
def sink(host: Host = None, health_port: HealthPort = None, data_dir: DataDir = None) -> None:
    """Run one sink on Kafka, which brings events to rest in the lake. Several share the partitions, and write the same tables."""
    if origin_of(FLUSH) == "default":
        os.environ[FLUSH] = str(ALONE_FLUSH_SECONDS)
    found = settings_by(host=host, health_port=health_port, data_dir=data_dir)
    kafka_config(found)
    become("sink", _health_sockets(found))


@webhooks_app.command("run")
def run_webhooks(host: Host = None, health_port: HealthPort = None, data_dir: DataDir = None) -> None:
    """Run one role on Kafka that tells webhooks of calls and watches alerts. Several share the partitions. `up` runs it by itself."""
    found = settings_by(host=host, health_port=health_port, data_dir=data_dir)
    kafka_config(found)
    become("webhooks", _health_sockets(found))


def _health_sockets(found: Settings) -> list[socket.socket]:
    return listen(found.host, found.health_port, setting="HELIOGRAPH_HEALTH_PORT (--health-port)")


@app.command()
def api(host: Host = None, api_port: ApiPort = None, data_dir: DataDir = None) -> None:
    """Run the query side alone, over a lake that something else fills, or nothing any more."""
    found = settings_by(host=host, api_port=api_port, data_dir=data_dir)
    become("api", listen(found.host, found.api_port, setting="HELIOGRAPH_API_PORT (--api-port)"))


@app.command()
def query(
    sql: Annotated[str | None, typer.Argument(help="One SELECT over calls, bodies, feedback, dead_letters.")] = None,
    saved: Annotated[str | None, typer.Option(help="Ask the query that is saved under this name.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How the answer looks.")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option(help="Write the answer to this file.")] = None,
    organization: Whose = "",
    api_port: ApiPort = None,
    data_dir: DataDir = None,
) -> None:
    """Ask in SQL: the running Heliograph when there is one, else the lake itself. With --data-dir, the lake there."""
    found = settings_by(api_port=api_port, data_dir=data_dir)
    here, there = data_dir is not None, api_port is not None
    if (sql is None) == (saved is None):
        fail("say one SELECT, or --saved NAME.")
    if form in BINARY and output is None and sys.stdout.isatty():
        fail(f"{form.value.capitalize()} is not for a terminal; say --output FILE.")
    if sql is None:
        sql = SavedQueries(found, here=here, there=there).named(saved or "").sql
    width = Console().width if output is None and sys.stdout.isatty() else None
    named = EVERY if organization == ALL else organization
    out = Outlet(output)
    try:
        told = ask_into(found, Wish(sql=sql, form=form, width=width, organization=named, here=here, there=there), out.write)
        out.end(line=form not in BINARY)
    except OSError as error:
        if output is None:
            raise
        fail(f"--output {output}: {error.strerror}. Choose a file that can be written.", 1)
    finally:
        out.close()
    if told.truncated:
        typer.echo(f"heliograph: {told_of_cut(told)}", err=True)
    if told.unread:
        typer.echo(f"heliograph: {told_of_unread(told)}", err=True)


@app.command("sql")
def sql_shell(
    organization: Whose = "",
    form: Annotated[Format, typer.Option("--format", help="How answers look, at first.")] = Format.TABLE,
    api_port: ApiPort = None,
    data_dir: DataDir = None,
) -> None:
    """Ask in SQL, question by question, in a shell that completes and remembers. From a pipe it reads statements, each up to its `;`."""
    from runtime.sql_shell import shell  # noqa: PLC0415 - no other command needs what a terminal needs

    found = settings_by(api_port=api_port, data_dir=data_dir)
    named = EVERY if organization == ALL else organization
    raise typer.Exit(shell(found, organization=named, form=form, here=data_dir is not None, there=api_port is not None))


@app.command("dead-letters")
def dead_letters(
    reason: Annotated[str | None, typer.Option(help="Only those put aside for this reason, each of them.")] = None,
    each: Annotated[bool, typer.Option("--each", help="Each of them, newest first, instead of how many of each reason.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    form: Annotated[Format, typer.Option("--format", help="How the answer looks.")] = Format.TABLE,
    api_port: ApiPort = None,
    data_dir: DataDir = None,
) -> None:
    """List the events that could not be understood, by reason."""
    found = settings_by(api_port=api_port, data_dir=data_dir)
    which = letters_cli.Listed(reason, each, limit)
    sys.stdout.buffer.write(letters_cli.dead_letters(found, form, which, here=data_dir is not None, there=api_port is not None))


@app.command()
def replay(
    letters: Annotated[bool, typer.Option("--dead-letters", help="The events of dead letters that can be understood now.")] = False,
    since: Annotated[str | None, typer.Option("--from", help="Calls that began then or later; dead letters of then or later.")] = None,
    before: Annotated[str | None, typer.Option("--to", help="Calls that began before then; dead letters of before then.")] = None,
    organization: Annotated[str | None, typer.Option(help="Only this organization's.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only dead letters put aside for this reason.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the rows are at rest.")] = True,
    data_dir: DataDir = None,
) -> None:
    """Send events that are still on the log through the pipeline again. Their rows are replaced, never doubled."""
    if not letters and since is None and before is None:
        fail("say what is to be replayed: --dead-letters, or --from and --to.")
    if reason is not None and not letters:
        fail("--reason chooses among dead letters; say --dead-letters too.")
    span = letters_cli.moment(since, "--from"), letters_cli.moment(before, "--to")
    selection = Selection(since=span[0], before=span[1], organization=organization, reason=reason)
    letters_cli.replay(settings_by(data_dir=data_dir), selection, letters=letters, wait=wait)


@app.command()
def backup(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory for the copy.")], data_dir: DataDir = None) -> None:
    """Copy the lake, and the event log or on Kafka the topics of decisions and prompts, while everything runs."""
    with letters_cli.bar() as shown:
        made = back_up(settings_by(data_dir=data_dir), folder, shown)
    rows = ", ".join(f"{table.rows} {table.name}" for table in made.tables if table.rows)
    typer.echo(f"{folder}: {rows or 'no rows yet'}{'' if made.log_bytes is None else f', a log of {made.log_bytes} bytes'}.")


@app.command("restore")
def restore_backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What `heliograph backup` wrote.")], data_dir: DataDir = None
) -> None:
    """Put a backup back, into a data directory (and lake) where nothing is yet. Then start as always."""
    with letters_cli.bar() as shown:
        made = restore(settings_by(data_dir=data_dir), folder, shown)
    typer.echo(f"The backup of {made.at:%Y-%m-%d %H:%M:%S} UTC is in place.")


@app.command("settings")
def show_settings(
    form: Annotated[SettingsFormat, typer.Option("--format", help="How they are printed.")] = SettingsFormat.TABLE,
) -> None:
    """Print every setting, its value, and where the value comes from."""
    found = settings()
    rows = [(variable, _shown(value_of(found, variable)), origin_of(variable), about) for variable, _, about in variables()]
    if form is SettingsFormat.JSON:
        typer.echo(json.dumps({variable: {"value": value, "origin": origin} for variable, value, origin, _ in rows}, indent=2))
        return
    table = Table("setting", "value", "from", "what it is for")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 200).print(table)


@app.command("run", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run_application(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The application and its arguments.")], port: Port = None
) -> None:
    """Run an application with OPENAI_BASE_URL and ANTHROPIC_BASE_URL pointing here. Its exit code and signals are its own."""
    found = settings_by(port=port)
    base = f"http://127.0.0.1:{found.port}"
    environment = os.environ | {"OPENAI_BASE_URL": f"{base}/v1", "ANTHROPIC_BASE_URL": base}
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - running what the user names is the command
    except FileNotFoundError:
        fail(f"{command[0]}: no such command.", 127)
    except PermissionError:
        fail(f"{command[0]}: cannot be executed.", 126)


@demo_app.command("provider")
def demo_provider(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = DEMO_PORT,
    faults: Annotated[bool, typer.Option("--faults", help="Obey `x-demo-fault` headers: stall, split, reset, fail.")] = False,
) -> None:
    """Run a small provider that speaks OpenAI's and Anthropic's dialects, for trying things without a key."""
    uvloop.run(serve(listen("127.0.0.1", port, setting="--port"), faults=faults))


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, dict):
        return ", ".join(f"{name}={each}" for name, each in value.items())
    return "" if value is None else str(getattr(value, "value", value))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point: whatever the operator must change is one line, never a stack trace."""
    code: Any = 0
    try:
        app(arguments)
    except SystemExit as end:
        code = end.code
    except (Misconfigured, LakeTooNew, LakeUnreachable) as error:
        typer.echo(f"heliograph: {error}", err=True)
        code = 2
    except Refused as error:
        refusal = error.refusal
        typer.echo(f"heliograph: {refusal.message}\n{refusal.fix} ({refusal.code})", err=True)
        code = 1
    leave(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
