"""Made-up talk in the shape of each dialect."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from runtime.history import said_anthropic, said_google, said_openai
from runtime.history.cast import CHAT, EMBEDDINGS, GEMINI, MESSAGES, RESPONSES
from runtime.history.scenes import Json, Said


class Shape(Struct, frozen=True):
    """How one dialect writes a request, a whole answer, and the pieces of a streamed one."""

    request: Callable[[Said], Json]
    answer: Callable[[Said], Json]
    stream: Callable[[Said], list[str]]


def _no_stream(_said: Said) -> list[str]:
    return []


SHAPES: Mapping[str, Shape] = {
    CHAT: Shape(said_openai.chat_request, said_openai.chat_answer, said_openai.chat_stream),
    RESPONSES: Shape(said_openai.responses_request, said_openai.responses_answer, said_openai.responses_stream),
    EMBEDDINGS: Shape(said_openai.embeddings_request, said_openai.embeddings_answer, _no_stream),
    MESSAGES: Shape(said_anthropic.request, said_anthropic.answer, said_anthropic.stream),
    GEMINI: Shape(said_google.request, said_google.answer, said_google.stream),
}
