"""What aiokafka (0.14) gets wrong, put right for every client of this process, ours and faust's alike."""

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_send = AIOKafkaConnection.send


def _send_or_say_it_is_closed(self: AIOKafkaConnection, request: Any, expect_response: bool = True) -> Any:
    """Under uvloop, writing to a transport that a dying broker has closed raises RuntimeError, where asyncio drops what is written.

    aiokafka minds OSError only: its task that keeps metadata fresh died of the other, and the client waited for that task for ever, up to
    and including its own end.
    """
    try:
        return _send(self, request, expect_response)
    except RuntimeError as error:
        if type(error) is not RuntimeError:
            raise  # errors of aiokafka's own, and NotImplementedError, are such too
        self.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error


AIOKafkaConnection.send = _send_or_say_it_is_closed
