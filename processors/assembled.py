"""The final message of a streamed answer, for whoever keeps bodies.

It is made where bodies come to rest and travels on no topic: bodies travel once.
"""

from eventlog.events import Body, CallFacts, ResponseCompleted
from processors.dialects import dialect_for


def assembled(call: CallFacts, response: Body) -> str | None:
    """JSON text in the shape of an answer that did not stream. None when it did not, when no dialect claims the call, or when the body's
    middle is gone. Never raises. Of a stream that was cut, what came of the message.
    """  # noqa: D205
    dialect = dialect_for(call, response)
    return None if dialect is None else dialect.assemble(response)


def assemble(event: ResponseCompleted) -> str | None:
    """`assembled`, of an event."""
    return assembled(event.call, event.response)
