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
from processors.dialects.lines import lines_of
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
    of_json: Callable[[Answer], Reading]
    """May raise what `UNREADABLE` lists."""
    of_stream: Callable[[Events], Reading]
    message_of: Callable[[Events], Message | None]
    """The answer as it would have come in one piece."""
    providers: frozenset[str] = frozenset()
    """Whose calls it claims, where others use the same path for other things; empty when the path alone decides."""
    lines: bool = False
    """Its streams may be lines of JSON; most are server-sent events."""

    def speaks(self, provider: str, path: str) -> bool:
        return (not self.providers or provider in self.providers) and self.claims(path)

    def read(self, body: Body) -> Reading:
        """Never raises, whatever the body holds."""
        try:
            answer = answer_of(body)
            if answer is None:
                return Reading()
            events = self._events(answer)
            if events is None:
                return self.of_json(answer)
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
        if answer is None or (answer.tail is not None and not answer.adjoins):
            return None
        events = self._events(answer)
        message = None if events is None else self.message_of(events)
        return None if message is None else _text_of(message)

    def _events(self, answer: Answer) -> Events | None:
        """None when the answer came in one piece."""
        if answer.streamed:
            return events_of(answer)
        return lines_of(answer) if self.lines else None


def _text_of(message: Message) -> str | None:
    try:
        return msgspec.json.encode(message).decode()
    except (msgspec.EncodeError, UnicodeError, RecursionError, OverflowError):
        return None
