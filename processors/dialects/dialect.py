"""What a dialect is: a name, the calls it claims, and three pure functions.

A new one is a file beside this that ends in a `Dialect` value, a line in the registry, and a folder of cases under
`tests/cases/dialects`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from eventlog.events import Body
from processors.dialects.answer import UNREADABLE, Answer, answer_of, events_of
from processors.dialects.reading import Reading
from processors.dialects.sse import ServerSentEvent

Events = Sequence[ServerSentEvent]
Message = dict[str, Any]
"""A provider's JSON object, of which we know only parts. It is built and written out at once, and never leaves this package."""


class Dialect(Struct, frozen=True, kw_only=True):
    """How one shape of API answers."""

    name: str
    claims: Callable[[str], bool]
    """Whether a call to this path, less its query, speaks the dialect."""
    methods: frozenset[str] = frozenset({"POST"})
    """HTTP methods whose answers it reads. Nearly always only POST makes one."""
    of_json: Callable[[Answer], Reading]
    """May raise what `UNREADABLE` lists."""
    of_stream: Callable[[Events], Reading]
    message_of: Callable[[Events], Message | None]
    """The answer as it would have come in one piece."""

    def read(self, body: Body) -> Reading:
        """Never raises, whatever the body holds."""
        try:
            answer = answer_of(body)
            if answer is None:
                return Reading()
            if not answer.streamed:
                return self.of_json(answer)
            events = events_of(answer)
        except (*UNREADABLE, ValueError) as error:
            return Reading(unreadable=str(error)[:300])
        if not events:
            return Reading(unreadable="the stream holds no event that is JSON")
        return self.of_stream(events)

    def assemble(self, body: Body) -> str | None:
        """The final message of a streamed answer as JSON in the shape of a plain one; None for an answer that did not stream.

        Of a stream whose middle is gone there is no message: it would read as whole and miss a part.
        """
        try:
            answer = answer_of(body)
        except ValueError:
            return None
        if answer is None or not answer.streamed or (answer.tail is not None and not answer.adjoins):
            return None
        message = self.message_of(events_of(answer))
        return None if message is None else _text_of(message)


def _text_of(message: Message) -> str | None:
    try:
        return msgspec.json.encode(message).decode()
    except (msgspec.EncodeError, UnicodeError, RecursionError, OverflowError):
        return None
