"""A conversation cut to what a page can hold: long texts, many messages, large pictures. What is left out is said, never lost. Pure."""

import json
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from storage.dashboard.said.answer import answered
from storage.dashboard.said.messages import Message
from storage.dashboard.said.parts import Kind, Part
from storage.dashboard.said.request import Asked, asked

PART_CHARACTERS = 20_000
PICTURES_CHARACTERS = 8_000_000
FIRST, LAST = 2, 60
"""Of many messages, those that are shown."""


class Piece(Struct, frozen=True, kw_only=True):
    """A part, and how many characters of it are not shown."""

    part: Part
    cut: int = 0


class Turn(Struct, frozen=True, kw_only=True):
    """A message as it is shown; `skipped` messages before it are not."""

    role: str
    pieces: tuple[Piece, ...]
    name: str = ""
    note: str = ""
    skipped: int = 0


class Conversation(Struct, frozen=True, kw_only=True):
    turns: tuple[Turn, ...] = ()
    answers: tuple[Turn, ...] = ()
    asked: Asked | None = None
    request_read: bool = True
    """False: the request's body has no shape that is known here, and stands as it is."""
    answer_read: bool = True


def conversation(request: str | None, answer: str | None) -> Conversation:
    """Of two bodies as text; None where there is none, or none that can be read."""
    body, said = _parsed(request), _parsed(answer)
    wanted, told = _safely(asked, body), _safely(answered, said)
    return Conversation(
        turns=_turns(wanted.messages if wanted else ()),
        answers=_turns(told or ()),
        asked=wanted,
        request_read=wanted is not None or not request,
        answer_read=told is not None or not answer,
    )


def _parsed(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def _safely(read: Any, body: Any) -> Any:
    """A body nests as deeply as its sender likes."""
    try:
        return read(body)
    except RecursionError:
        return None


def _turns(messages: Sequence[Message]) -> tuple[Turn, ...]:
    skipped = max(0, len(messages) - FIRST - LAST)
    room = [PICTURES_CHARACTERS]
    turns = [_turn(message, room) for message in messages[:FIRST]]
    rest = [_turn(message, room) for message in messages[FIRST + skipped :]]
    if rest and skipped:
        rest[0] = replace(rest[0], skipped=skipped)
    return (*turns, *rest)


def _turn(message: Message, room: list[int]) -> Turn:
    return Turn(
        role=message.role, pieces=tuple(_piece(part, room) for part in message.parts), name=message.name[:200], note=message.note[:500]
    )


def _piece(part: Part, room: list[int]) -> Piece:
    if part.kind is Kind.IMAGE and part.image:
        room[0] -= len(part.image)
        return Piece(part=part if room[0] >= 0 else replace(part, image="", text=f"{part.text}: not shown, there are too many pictures"))
    cut = max(0, len(part.text) - PART_CHARACTERS)
    return Piece(part=replace(part, text=part.text[:PART_CHARACTERS], name=part.name[:200], id=part.id[:200]), cut=cut)
