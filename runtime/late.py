"""Commands that are loaded when they are typed: what all of them need takes longer than most of them do."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup


def late(places: Mapping[str, str]) -> type[TyperGroup]:
    """A group of commands by name, each at `module:attribute`, in the order of its help. Behind them come those that are its own."""

    class Late(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return [*places, *(name for name in super().list_commands(ctx) if name not in places)]

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name in places and cmd_name not in self.commands:
                self.add_command(_loaded(places[cmd_name], cmd_name), cmd_name)
            return super().get_command(ctx, cmd_name)

    return Late


def _loaded(place: str, name: str) -> Any:
    module, _, attribute = place.partition(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False)
    alone.command(name)(found)
    return typer.main.get_command(alone)
