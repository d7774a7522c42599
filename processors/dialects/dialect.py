"""What a dialect is: a name, the calls it claims, and three pure functions.

A new one is a file beside this that ends in a `Dialect` value, a line in the registry, and a folder of cases under
`tests/cases/dialects`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

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
    of_json: Callable[[Answer], Reading]
    """May raise what `UNREADABLE` lists."""
    of_stream: Callable[[Events], Reading]
    message_of: Callable[[Events], Message | None]
    """The answer as it would have come in one piece."""
    model_in: Callable[[str], str | None] | None = None
    """The model that a path names, where the price list goes by that name and not by the one in the answer."""

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
            return Reading(unreadable=answer.damage or "the stream holds no event that is JSON")
        return _with_damage(self.of_stream(events), answer)

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


def _with_damage(reading: Reading, answer: Answer) -> Reading:
    """Of a binary stream that lacks frames, usage counts only when the end was among the others: it may be that of a beginning."""
    if answer.damage is None:
        return reading
    whole = answer.tail is None or reading.finish_reason is not None
    return replace(reading, unreadable=answer.damage, usage=reading.usage if whole else None)


def _text_of(message: Message) -> str | None:
    try:
        return msgspec.json.encode(message).decode()
    except (msgspec.EncodeError, UnicodeError, RecursionError, OverflowError):
        return None
