"""What people type: `heliograph …`."""

import os
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer

from eventlog.operators import OperatorError
from runtime.late import late
from runtime.leaving import leave
from runtime.options import Port, fail
from storage.refusal import Refused

COMMANDS = {
    "up": "runtime.role_commands:up",
    "query": "runtime.query_cli:query",
    "sql": "runtime.query_cli:sql_shell",
    "saved": "runtime.saved_cli:app",
    "export": "runtime.export_cli:export",
    "lake": "runtime.lake_cli:app",
    "compact": "runtime.compact_cli:compact",
    "retention": "runtime.retention_cli:app",
    "erase": "runtime.erase_cli:erase",
    "keys": "runtime.keys_cli:app",
    "provider-keys": "runtime.provider_keys_cli:app",
    "redaction": "runtime.redaction_cli:app",
    "cache": "runtime.cache_cli:app",
    "prices": "runtime.prices_cli:app",
    "reprice": "runtime.repricing:reprice",
    "webhooks": "runtime.webhooks_cli:app",
    "alerts": "runtime.alerts_cli:app",
    "tail": "runtime.tail_cli:tail",
    "lag": "runtime.lag_cli:lag",
    "dead-letters": "runtime.letters_cli:dead_letters",
    "replay": "runtime.letters_cli:replay",
    "import": "runtime.import_cli:import_",
    "backup": "runtime.backup_cli:backup",
    "restore": "runtime.backup_cli:restore_backup",
    "settings": "runtime.settings_cli:show_settings",
    "topics": "runtime.topics_cli:app",
    "ingress": "runtime.role_commands:ingress",
    "processors": "runtime.role_commands:processors",
    "sink": "runtime.role_commands:sink",
    "api": "runtime.role_commands:api",
}
DEMO = {"provider": "runtime.demo_command:demo_provider", "history": "runtime.history.command:demo_history"}

app = typer.Typer(
    name="heliograph",
    cls=late(COMMANDS),
    help="Self-hosted observability for LLM calls: a proxy, an event log, a lake of Parquet, and SQL to ask it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(typer.Typer(cls=late(DEMO), no_args_is_help=True), name="demo", help="Things to try Heliograph with.")


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
    from runtime import logs  # noqa: PLC0415 - not for --version

    logs.hush()  # what comes of a command is told by it


@app.command("run", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run_application(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The application and its arguments.")], port: Port = None
) -> None:
    """Run an application with OPENAI_BASE_URL and ANTHROPIC_BASE_URL pointing here. Its exit code and signals are its own."""
    from runtime.settings import settings_by  # noqa: PLC0415 - as the other commands are loaded

    found = settings_by(port=port)
    base = f"http://127.0.0.1:{found.port}"
    environment = os.environ | {"OPENAI_BASE_URL": f"{base}/v1", "ANTHROPIC_BASE_URL": base}
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - running what the user names is the command
    except FileNotFoundError:
        fail(f"{command[0]}: no such command.", 127)
    except PermissionError:
        fail(f"{command[0]}: cannot be executed.", 126)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point: whatever the operator must change is one line, never a stack trace."""
    code: Any = 0
    try:
        app(arguments)
    except SystemExit as end:
        code = end.code
    except OperatorError as error:
        typer.echo(f"heliograph: {error}", err=True)
        code = 2
    except Refused as error:
        refusal = error.refusal
        typer.echo(f"heliograph: {refusal.message}\n{refusal.fix} ({refusal.code})", err=True)
        code = 1
    leave(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
