"""What the shell understands beside SQL: lines that begin with a dot, or with a backslash as in psql."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct
from rich.console import Console
from rich.table import Column, Table

from runtime.saved import SavedQueries
from storage.formats import Format
from storage.views import VIEWS


class Quit(Exception):
    """The shell is to end."""


class Shown(Struct):
    """How answers are shown."""

    form: Format = Format.TABLE
    output: Path | None = None
    timing: bool | None = None
    """None: at a terminal."""
    paging: bool = True


class Shell(Protocol):
    """What commands act on."""

    state: Shown
    saved: SavedQueries
    last: str

    def ask(self, sql: str) -> bool: ...


def run(shell: Shell, line: str) -> bool:
    """Does what the line says. Whether that went well. Raises Quit, Refused and Misconfigured."""
    name, _, rest = line.strip().rstrip(";").partition(" ")
    name, rest = _SHORT.get(name, name), rest.strip()
    if line.startswith("\\d") and rest:
        name = ".schema"
    if name not in COMMANDS:
        return _say(f"There is no command {name}. .help lists them.", good=False)
    _, _, do = COMMANDS[name]
    return do(shell, rest)


def _help(_: Shell, __: str) -> bool:
    wide = max(len(f"{name} {takes}") for name, (takes, _, _) in COMMANDS.items())
    lines = [f"{f'{name} {takes}'.ljust(wide)}  {about}" for name, (takes, about, _) in COMMANDS.items()]
    return _say("\n".join(["A statement is one SELECT and ends with a semicolon; it may take several lines.", "", *lines]))


def _tables(_: Shell, __: str) -> bool:
    return _table(("table", "what it is"), [(view.name, view.description) for view in VIEWS.values()])


def _schema(_: Shell, name: str) -> bool:
    names = [name.lower()] if name else list(VIEWS)
    unknown = [each for each in names if each not in VIEWS]
    if unknown:
        return _say(f"There is no table {unknown[0]}. There are {', '.join(VIEWS)}.", good=False)
    rows = [(each.name, each.type, each.description) for name in names for each in VIEWS[name].columns]
    return _table(("column", "type", "what it means"), rows)


def _format(shell: Shell, name: str) -> bool:
    if name not in set(Format):
        return _say(f"Answers are shown as {', '.join(Format)}; now as {shell.state.form.value}.", good=not name)
    shell.state.form = Format(name)
    return True


def _output(shell: Shell, name: str) -> bool:
    shell.state.output = Path(name).expanduser() if name and name != "stdout" else None
    return True


def _saved(shell: Shell, _: str) -> bool:
    found = [(each.name, each.sql) for each in shell.saved.all()]
    return _table(("name", "sql"), found) if found else _say("None is saved. .save NAME saves the statement that was asked last.")


def _run(shell: Shell, name: str) -> bool:
    if not name:
        return _say(".run NAME: .saved lists them.", good=False)
    return shell.ask(shell.saved.named(name).sql)


def _save(shell: Shell, name: str) -> bool:
    if not name or not shell.last:
        return _say(".save NAME saves the statement that was asked last.", good=False)
    shell.saved.save(name, shell.last)
    return _say(f"Saved as {name}.")


def _timing(shell: Shell, said: str) -> bool:
    return _switched(said, lambda on: setattr(shell.state, "timing", on))


def _pager(shell: Shell, said: str) -> bool:
    return _switched(said, lambda on: setattr(shell.state, "paging", on))


def _switched(said: str, switch: Callable[[bool], None]) -> bool:
    if said not in {"on", "off"}:
        return _say("Say on or off.", good=False)
    switch(said == "on")
    return True


def _quit(_: Shell, __: str) -> bool:
    raise Quit


COMMANDS: dict[str, tuple[str, str, Callable[[Any, str], bool]]] = {
    ".help": ("", "what there is (\\?)", _help),
    ".tables": ("", "the tables (\\d)", _tables),
    ".schema": ("[TABLE]", "the columns of a table, and what they mean (\\d TABLE)", _schema),
    ".format": ("NAME", f"how answers are shown: {', '.join(Format)}", _format),
    ".output": (
        "[FILE]",
        "write each answer into this file, anew; without a name, show them again (\\o)",
        _output,
    ),
    ".saved": ("", "the queries that are saved", _saved),
    ".run": ("NAME", "ask one that is saved", _run),
    ".save": ("NAME", "save the statement that was asked last", _save),
    ".timing": ("on|off", "tell rows and time of each answer", _timing),
    ".pager": ("on|off", "show what is longer than the terminal in PAGER, or less", _pager),
    ".quit": ("", "end; so does Ctrl-D (\\q)", _quit),
}
"""By name: what it takes, what it does."""

_SHORT = {"\\?": ".help", "\\d": ".tables", "\\dt": ".tables", "\\o": ".output", "\\q": ".quit", ".exit": ".quit", "\\timing": ".timing"}


def _table(names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> bool:
    table = Table(*(Column(name, overflow="fold") for name in names), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 160, markup=False, highlight=False).print(table)
    return True


def _say(text: str, *, good: bool = True) -> bool:
    stream = sys.stdout if good else sys.stderr
    stream.write(f"{text}\n")
    stream.flush()
    return good
