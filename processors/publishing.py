"""Messages onto the log, durable on return, however long it takes."""

from collections.abc import Sequence

from eventlog.codec import Message
from eventlog.kafka_writer import KafkaWriter
from eventlog.port import MessageTooLarge, NotAcknowledged
from processors.patience import Patience


async def publish(writer: KafkaWriter, messages: Sequence[Message], patience: Patience) -> None:
    """Offers again what was not acknowledged, in its order. Raises MessageTooLarge for what the cluster will never take."""
    left = tuple(messages)

    async def attempt() -> None:
        nonlocal left
        try:
            await writer.append(left)
        except NotAcknowledged as error:
            left = error.left
            if error.refused:
                raise MessageTooLarge(str(error), error.refused[0]) from error
            raise

    if left:
        await patience.with_log(attempt)
