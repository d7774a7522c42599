"""A call as everyone along its way knows it."""

from ingress.exchange import Exchange
from ingress.heads import RequestHead
from ingress.recording import Recording
from ingress.routes import MESSAGES, Dialect


class Call:
    """One exchange and its recording."""

    __slots__ = ("exchange", "head", "recording")

    def __init__(self, exchange: Exchange, head: RequestHead, recording: Recording) -> None:
        self.exchange = exchange
        self.head = head
        self.recording = recording

    @property
    def dialect(self) -> Dialect:
        """How the client wants to be told of errors."""
        recording = self.recording
        spoken = self.head.anthropic or recording.provider == "anthropic" or self.exchange.target.startswith(MESSAGES)
        return Dialect.ANTHROPIC if spoken else Dialect.OPENAI
