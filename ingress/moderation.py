"""`Helicone-Moderations-Enabled`: the newest message of the user is shown to OpenAI's own moderation endpoint before the call is made.

The answer to a message that is flagged is Helicone's (its docs, "Moderations", read 2026-11). Source of the shapes: OpenAI API reference,
"Create moderation" and "Create chat completion".
"""

from typing import Any

import msgspec
from msgspec import Struct

from eventlog.events import Outcome
from ingress.errors import BadDirective, CallFailed

NAME = "Helicone-Moderations-Enabled"
PATH = b"/v1/moderations"
FOR_MODERATION = frozenset({b"authorization", b"openai-organization", b"openai-project"})
"""Headers of the call that go there too."""
ANSWER_BYTES = 1 << 20


class Flagged(CallFailed):
    """The provider's moderation flags the message; the call was not made."""

    code: str = "prompt_flagged_for_moderation"
    status: int = 400
    outcome = Outcome.REJECTED

    def __init__(self, details: object) -> None:
        super().__init__("The newest message was flagged by the provider's moderation.")
        error = {"code": "PROMPT_FLAGGED_FOR_MODERATION", "message": str(self), "details": details}
        self.body = msgspec.json.encode({"success": False, "error": error})


class _Message(Struct):
    role: str
    content: str | list[dict[str, Any]] | None = None


class _Chat(Struct):
    messages: list[msgspec.Raw]
    """Only the newest is read: there may be many."""


class _Result(Struct):
    flagged: bool
    categories: dict[str, bool] = {}


class _Moderated(Struct):
    results: list[_Result]


def is_moderated(target: bytes) -> bool:
    """Chats are; there is no newest message elsewhere."""
    return target.partition(b"?")[0].rstrip(b"/").endswith(b"/chat/completions")


def question_of(body: bytes) -> bytes | None:
    """What the endpoint is asked about a chat's body; None when its newest message is not the user's, or holds no text.

    Raises BadDirective when the body is no chat.
    """
    try:
        messages = msgspec.json.decode(body, type=_Chat).messages
        newest = msgspec.json.decode(messages[-1], type=_Message) if messages else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadDirective(
            f"{NAME} needs a JSON body with messages, such as {{'messages': [{{'role': 'user', 'content': 'Hi'}}]}}", field=NAME
        ) from None
    if newest is None or newest.role != "user":
        return None
    content = newest.content
    parts = [content] if isinstance(content, str) else [part.get("text") for part in content or () if part.get("type") == "text"]
    text = "\n".join(part for part in parts if isinstance(part, str) and part)
    return msgspec.json.encode({"input": text}) if text else None


def categories_of(answer: bytes) -> list[str] | None:
    """For what the message was flagged; None when it was not. Raises ValueError for what is no answer of that endpoint."""
    try:
        results = msgspec.json.decode(answer, type=_Moderated).results
    except msgspec.DecodeError as error:
        raise ValueError("that is no answer of a moderation endpoint") from error
    if not any(result.flagged for result in results):
        return None
    return sorted({name for result in results for name, said in result.categories.items() if said})
