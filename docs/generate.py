"""Writes the pages that repeat what the code says: settings, commands, tables. `make docs` runs it; a test fails when a page is behind."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from runtime.cli import app
from runtime.settings import Group, variables
from storage.views import VIEWS

HERE = Path(__file__).parent


def settings_page() -> str:
    lines = [
        "# Settings",
        "",
        "A setting is an environment variable, or a line of `.env` in the working directory; the environment wins, and a command's own",
        "option wins over both. `heliograph settings` prints them all with their values and where each comes from. A name that is no",
        "setting is refused at start.",
        "",
        "| setting | default | what it is for |",
        "| --- | --- | --- |",
    ]
    lines += [f"| `{name}` | {shown(default)} | {about} |" for name, default, about in variables()]
    lines += [
        "",
        "`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are obeyed as usual: calls then leave through that proxy, and",
        "targets that callers name need `HELIOGRAPH_TARGET_HOSTS`, because their addresses cannot be judged here.",
        "",
    ]
    return "\n".join(lines)


def shown(default: Any) -> str:
    if default is None or default in ((), {}):
        return ""
    if isinstance(default, Group):
        raise TypeError("groups are listed by their members")
    return f"`{getattr(default, 'value', default)}`"


def commands_page() -> str:
    lines = ["# Commands", "", "`heliograph --install-completion` sets up completion for your shell.", ""]
    for path, command in commands(typer.main.get_command(app), ("heliograph",)):
        usage = " ".join(
            [
                *path,
                *(
                    f"[{each.name.upper()}]" if not each.required else f"{(each.metavar or each.name).upper()}"
                    for each in arguments(command)
                ),
            ]
        )
        lines += [f"## `{' '.join(path)}`", "", (command.help or "").strip(), "", f"    {usage}", ""]
        options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
        if options:
            lines += ["| option | what it does |", "| --- | --- |"]
            lines += [f"| `{', '.join([*each.opts, *each.secondary_opts])}` | {(each.help or '').strip()} |" for each in options]
            lines.append("")
    return "\n".join(lines)


def arguments(command: Any) -> list[Any]:
    return [each for each in command.params if each.param_type_name == "argument"]


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with the words that call it."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, each in inner.items():
        yield from commands(each, (*path, name))


def tables_page() -> str:
    lines = [
        "# Tables",
        "",
        "What SQL sees. Times are UTC; property keys are lower-case, as HTTP delivers them; NULL means *not known*, never zero.",
        "",
        "```sql",
        "SELECT model, sum(cost_usd) AS cost, count(*) FILTER (cost_usd IS NULL) AS unpriced FROM calls GROUP BY 1 ORDER BY 2 DESC",
        "```",
        "",
    ]
    for view in VIEWS.values():
        lines += [f"## `{view.name}`", "", view.description, "", "| column | type | meaning |", "| --- | --- | --- |"]
        lines += [f"| `{column.name}` | {column.type} | {column.description} |" for column in view.columns]
        lines.append("")
    return "\n".join(lines)


PAGES = {"settings.md": settings_page, "cli.md": commands_page, "tables.md": tables_page}


def main() -> None:
    for name, page in PAGES.items():
        (HERE / name).write_text(page())
        sys.stdout.write(f"docs/{name}\n")


if __name__ == "__main__":
    main()
