"""The final message of a streamed answer, for whoever keeps bodies.

It is made where bodies come to rest and travels on no topic: bodies travel once.
"""

import structlog

from eventlog.events import Body, CallFacts, ResponseCompleted
from processors.dialects import dialect_for

logger = structlog.get_logger()


def assembled(call: CallFacts, response: Body) -> str | None:
    """JSON text in the shape of an answer that did not stream; of a stream that was cut, what came of the message.

    None when the answer did not stream, when no dialect claims the call, or when the body's middle is gone.
    """
    dialect = dialect_for(call, response)
    return None if dialect is None else dialect.assemble(response)


def assemble(event: ResponseCompleted) -> str | None:
    """`assembled`, of an event. A fault of ours in it costs this message, and neither the body nor those that come after."""
    try:
        return assembled(event.call, event.response)
    except Exception as error:  # noqa: BLE001
        logger.error("message_not_assembled", call_id=event.call.call_id, error=type(error).__name__)
        return None
