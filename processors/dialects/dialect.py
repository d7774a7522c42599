"""What a dialect is: a name, the calls it claims, and three pure functions.

A new one is a file beside this that ends in a `Dialect` value, a line in the registry, and a folder of cases under
`tests/cases/dialects`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from eventlog.events import Body, CallFacts
from processors.dialects.answer import UNREADABLE, Answer, answer_of, events_of
from processors.dialects.reading import Reading, word
from processors.dialects.sse import ServerSentEvent

Events = Sequence[ServerSentEvent]
Message = dict[str, Any]
"""A provider's JSON object, of which we know only parts. It is built and written out at once, and never leaves this package."""


def path_of(call: CallFacts) -> str:
    return call.path.partition("?")[0].rstrip("/")


def _nothing(_path: str) -> str | None:
    return None


def _no_message(_events: Events) -> Message | None:
    return None


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
    message_of: Callable[[Events], Message | None] = _no_message
    """The answer as it would have come in one piece; None where it never streams, or in one piece would be no message."""
    providers: frozenset[str] = frozenset()
    """Whose calls it claims, where others use the same path for other things; empty when the path alone decides."""
    pieces: Callable[[Answer], Events | None] | None = None
    """The events of a stream that is written in another way: lines of JSON, or one array. None when the answer came in one piece."""
    model_in: Callable[[str], str | None] = _nothing
    """The model that a path, less its query, asks for. Most name it in the request's body."""
    job_in: Callable[[str], str | None] = _nothing
    """The work that a path, less its query, asks after."""
    billed_by_path: bool = False
    """Whether the path has the name that the seller bills by, and the answer another one."""

    def speaks(self, call: CallFacts, path: str) -> bool:
        """`path` is the call's, less its query."""
        return call.method in self.methods and (not self.providers or call.provider in self.providers) and self.claims(path)

    def model_of(self, call: CallFacts, reading: Reading) -> str | None:
        """What the call is billed by: mostly what answered, for what was asked for may be an alias."""
        if reading.model is not None and not self.billed_by_path:
            return reading.model
        return self.model_in(path_of(call)) or reading.model or call.model

    def job_of(self, call: CallFacts, reading: Reading) -> str | None:
        """The provider's id of work that is billed once, where the call is about such."""
        if reading.elsewhere is None:
            return reading.job
        return word(reading.job or self.job_in(path_of(call)))

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
        if answer is None or (answer.tail is not None and not answer.adjoins):
            return None
        events = self._events(answer)
        message = None if events is None else self.message_of(events)
        return None if message is None else _text_of(message)

    def _events(self, answer: Answer) -> Events | None:
        """None when the answer came in one piece."""
        if answer.streamed:
            return events_of(answer)
        return None if self.pieces is None else self.pieces(answer)


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
