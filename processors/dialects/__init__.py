"""The shapes in which providers answer: one file for each, read by pure functions that never raise.

`dialect_for` finds the one a call speaks. Adding one is a file with a `Dialect` and a name in `DIALECTS`.
"""

from eventlog.events import Body, CallFacts
from processors.dialects import (
    anthropic_batch_results,
    anthropic_batches,
    anthropic_messages,
    openai_batches,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_images,
    openai_moderations,
    openai_responses,
    openai_speech,
    openai_stored_responses,
    openai_transcriptions,
    token_counting,
)
from processors.dialects.dialect import Dialect

DIALECTS: tuple[Dialect, ...] = tuple(
    module.DIALECT
    for module in (
        openai_chat,
        anthropic_messages,
        openai_responses,
        openai_embeddings,
        openai_completions,
        openai_images,
        openai_speech,
        openai_transcriptions,
        openai_moderations,
        openai_stored_responses,
        openai_batches,
        anthropic_batches,
        anthropic_batch_results,
        token_counting,
    )
)


def dialect_for(call: CallFacts, response: Body) -> Dialect | None:
    """By method and path asked for, whoever the provider is: most answer in OpenAI's shape. None when nobody claims the call."""
    path = call.path.partition("?")[0].rstrip("/")
    for dialect in DIALECTS:
        if call.method in dialect.methods and dialect.claims(path):
            return dialect
    return None
