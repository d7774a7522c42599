"""Tokens of a call whose provider reported none, counted from the bodies: a stream that was not asked for its usage, or broke off.

OpenAI's models are counted by their own encoding, with what its chat format adds as documented. All others are approximated by o200k_base,
and the method says so. What cannot be counted is not guessed: an image, a prompt that the provider keeps, a body whose middle is gone, a
model that reasons where nobody sees it. No figure is better than a wrong one.
"""

import re

import msgspec
from msgspec import Struct

from eventlog.events import Body
from processors.dialects.answer import answer_of, object_of
from processors.dialects.dialect import Dialect
from processors.dialects.reading import part, word
from processors.estimates import openai, texts
from processors.estimates.encodings import Chosen, Encoding, base_of, encoding_of, tokens_of
from processors.estimates.pieces import Json, Pieces, Uncountable
from processors.usage import Usage

OPENAI = frozenset({"openai", "azure"})
"""Providers that serve OpenAI's models, and say what they bill."""

LIMIT_BYTES = 4 << 20
"""Of text in both bodies together. The longest context of a text model is about as long."""
LIMIT_PIECES = 200_000
"""A body of nothing but tiny parts would take seconds to walk through."""

HIDDEN = re.compile(
    r"(o[1-9]|gpt-([5-9]|[12]\d)(\.\d+)?|codex|computer-use|gemini-(2\.5|[3-9][\d.]*|flash|pro)|grok-4[\d.]*)(-.*)?|.*deep-research.*", re.S
)
"""Models that reason before they answer, are billed for it, and show nothing or a summary of it."""
NO_EFFORT = re.compile(r"gpt-(5\.\d+|([6-9]|[12]\d)(\.\d+)?)(-.*)?", re.S)
"""With the effort `none` these "do not perform reasoning"; earlier ones do not know it (OpenAI API reference, `reasoning_effort`)."""
NO_BUDGET = re.compile(r"gemini-2\.5-flash(-.*)?", re.S)
"""With a thinking budget of 0 these do not think (Gemini API, "Thinking"); the others cannot be kept from it."""
LENGTHS = ("max_completion_tokens", "max_output_tokens")
"""With one of them gpt-5.4 reasoned in spite of `none` (community.openai.com/t/1378362)."""

APPROXIMATION = f"approximation by {Encoding.O200K} of the texts alone, without a claim: the model's own encoding is another"


class Estimate(Struct, frozen=True):
    usage: Usage
    """Only input and output."""
    method: str
    """How it was counted, for the row: the encoding, what was added, what is not claimed."""


class NotEstimated(Struct, frozen=True):
    reason: str
    """Why nothing can be said. Never holds a body's text."""


def estimate(request: Body, answer: Body, *, dialect: Dialect, provider: str, model: str | None) -> Estimate | NotEstimated:
    """Never raises, whatever the bodies hold. `model` is what answered, else what was asked for."""
    try:
        return _estimate(request, answer, dialect, provider, model)
    except Uncountable as why:
        return NotEstimated(str(why))
    except RecursionError:
        return NotEstimated("a body is nested too deeply")
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        return NotEstimated(f"a body holds what cannot be written again: {type(error).__name__}")


def _estimate(request: Body, answer: Body, dialect: Dialect, provider: str, model: str | None) -> Estimate:
    own = provider in OPENAI
    if dialect.name not in (openai.SHAPES if own else texts.SHAPES):
        raise Uncountable(f"calls of {dialect.name} are not counted by their text")
    if dialect.read(answer).problem is not None:
        raise Uncountable("the answer is an error")
    asked = _object(_whole(request, "request"), "request")
    name = base_of(model or word(asked.get("model")) or "")
    if own:
        return _counted(asked, answer, dialect, provider, name)
    shape = texts.SHAPES[dialect.name]
    said = None if shape.answer is None else shape.answer(_message(asked, answer, dialect, name))
    return Estimate(_usage(shape.prompt(asked), said, Encoding.O200K), APPROXIMATION)


def _counted(asked: Json, answer: Body, dialect: Dialect, provider: str, name: str) -> Estimate:
    shape = openai.SHAPES[dialect.name]
    said = None if shape.answer is None else shape.answer(_message(asked, answer, dialect, name))
    chosen = _chosen(provider, name)
    by = f"{chosen.encoding}, assumed for a model that no table has" if chosen.assumed else str(chosen.encoding)
    usage = _usage(shape.prompt(asked, chosen.encoding), said, chosen.encoding)
    return Estimate(usage, f"counted by {by}; {openai.told(asked, shape)}")


def _chosen(provider: str, name: str) -> Chosen:
    """At Azure an unknown name is a deployment's, which may be of any model."""
    if not name:
        raise Uncountable("neither request nor answer names a model")
    chosen = encoding_of(name)
    if chosen is None:
        raise Uncountable("the model's encoding is not at hand")
    if chosen.assumed and provider == "azure":
        raise Uncountable("a deployment whose model is not known")
    return chosen


def _message(asked: Json, answer: Body, dialect: Dialect, name: str) -> Json:
    """The answer in one piece, of a model that shows all that it is billed for."""
    if _hides_reasoning(asked, name):
        raise Uncountable("the model's reasoning is hidden, and billed")
    assembled = dialect.assemble(answer)
    return _object(_whole(answer, "answer") if assembled is None else assembled, "answer")


def _hides_reasoning(asked: Json, name: str) -> bool:
    if not HIDDEN.fullmatch(name) or "non-reasoning" in name:
        return False
    effort = asked.get("reasoning_effort") or part(asked.get("reasoning"), "effort")
    if effort == "none" and NO_EFFORT.fullmatch(name):
        return any(asked.get(length) is not None for length in LENGTHS)
    budget = part(part(asked.get("generationConfig"), "thinkingConfig"), "thinkingBudget")
    return not (type(budget) is int and budget == 0 and NO_BUDGET.fullmatch(name))


def _whole(body: Body, side: str) -> str:
    """All of a body's text. That of an answer which is not to be kept travels nevertheless, to be counted."""
    if body.text is None and body.base64 is None and (body.omitted or body.truncated or body.undecodable is not None):
        raise Uncountable(f"the {side}'s body is not kept")
    try:
        found = answer_of(body)
    except ValueError:
        raise Uncountable(f"the {side}'s body cannot be decoded") from None
    if found is None:
        raise Uncountable(f"the {side} has no body")
    if found.tail is not None and not found.adjoins:
        raise Uncountable(f"the middle of the {side}'s body is gone")
    return found.text + (found.tail or "")


def _object(text: str, side: str) -> Json:
    found = object_of(text.encode("utf-8", "replace"))
    if found is None:
        raise Uncountable(f"the {side} is no JSON object" + (", nor a stream that can be put together" if side == "answer" else ""))
    return found


def _usage(prompt: Pieces, said: Pieces | None, encoding: Encoding) -> Usage:
    spent = _Spent()
    return Usage(input=spent.count(prompt, encoding), output=0 if said is None else spent.count(said, encoding))


class _Spent:
    """What both sides together have been counted of."""

    def __init__(self) -> None:
        self.size = self.pieces = 0

    def count(self, pieces: Pieces, encoding: Encoding) -> int:
        tokens = 0
        for piece in pieces:
            self.pieces += 1
            if isinstance(piece, str):
                self.size += len(piece.encode("utf-8", "replace"))
            if self.size > LIMIT_BYTES or self.pieces > LIMIT_PIECES:
                raise Uncountable(f"more than {LIMIT_BYTES >> 20} MiB of text" if self.size > LIMIT_BYTES else "too many parts")
            tokens += tokens_of(piece, encoding) if isinstance(piece, str) else piece
        return tokens
