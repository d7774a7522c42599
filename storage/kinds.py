"""The tables that a sink fills: of which topics, from which events, as which columns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from msgspec import Struct

from eventlog.codec import Message
from eventlog.events import CallPriced, DeadLetter, Event, FeedbackGiven, RequestReceived, ResponseCompleted
from eventlog.replay import brings_bodies
from eventlog.topics import CALLS, DEAD_LETTERS, FEEDBACK, REQUESTS, RESPONSES
from storage.rows import Assemble, BodyRow, bodies_table, calls_table, dead_letters_table, feedback_table


class Kind(Struct, frozen=True, kw_only=True):
    """What a table is made of: its topics, the event of each, and how its rows become Arrow."""

    table: str
    events: Mapping[str, type[Event]]
    rows: Callable[[Sequence[Any]], pa.Table]
    wrap: Callable[[Any], Any] | None = None
    dense: bool = True
    """Its producers number every batch on these topics: a missing number is a loss."""
    takes: Callable[[Message], bool] = lambda _: True
    """Whether a message makes rows of this table."""
    amends: bool = False
    """A replayed message replaces rows instead of adding some."""


def kinds(assemble: Assemble) -> list[Kind]:
    """The tables that a sink fills."""
    return [
        Kind(table="calls", events={CALLS.name: CallPriced}, rows=calls_table, amends=True),
        Kind(
            table="bodies",
            events={REQUESTS.name: RequestReceived, RESPONSES.name: ResponseCompleted},
            rows=bodies_table,
            wrap=lambda event: BodyRow(event, assemble),
            takes=brings_bodies,
        ),
        Kind(table="feedback", events={FEEDBACK.name: FeedbackGiven}, rows=feedback_table),
        Kind(table="dead_letters", events={DEAD_LETTERS.name: DeadLetter}, rows=dead_letters_table, dense=False),
    ]
