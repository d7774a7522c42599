"""The shapes in which providers answer: one file for each, read by pure functions that never raise.

`dialect_for` finds the one a call speaks. Adding one is a file with a `Dialect` and a name in `DIALECTS`.
"""

from eventlog.events import AFTERWARDS, Body, CallFacts
from processors.dialects import (
    anthropic_batch_results,
    anthropic_batches,
    anthropic_messages,
    bedrock_converse,
    bedrock_invoke,
    cohere_chat,
    cohere_chat_v1,
    cohere_embed,
    cohere_generate,
    cohere_rerank,
    google_embeddings,
    google_gemini,
    mistral_conversations,
    ollama_chat,
    ollama_embed,
    ollama_generate,
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
from processors.dialects.dialect import Dialect, path_of
from processors.dialects.logged import logged_dialect

DIALECTS: tuple[Dialect, ...] = tuple(
    module.DIALECT
    for module in (
        openai_chat,
        anthropic_messages,
        openai_responses,
        openai_embeddings,
        openai_completions,
        google_gemini,
        google_embeddings,
        bedrock_converse,
        bedrock_invoke,
        cohere_chat,
        cohere_chat_v1,
        cohere_embed,
        cohere_generate,
        cohere_rerank,
        mistral_conversations,
        ollama_chat,
        ollama_embed,
        ollama_generate,
        token_counting,
        openai_images,
        openai_speech,
        openai_transcriptions,
        openai_moderations,
        openai_stored_responses,
        openai_batches,
        anthropic_batches,
        anthropic_batch_results,
    )
)
"""The commonest first. One path is claimed twice: batches of messages are created with a POST where a GET lists them."""


def dialect_for(call: CallFacts, response: Body) -> Dialect | None:
    """By method and path, mostly whoever the provider is: most answer in OpenAI's shape. None when nobody claims the call.

    A call that was told of afterwards is known by the shape of its answer.
    """
    if call.source in AFTERWARDS:
        return logged_dialect(call, response)
    path = path_of(call)
    for dialect in DIALECTS:
        if dialect.speaks(call, path):
            return dialect
    return None
