"""The shapes in which providers answer: one file for each, read by pure functions that never raise.

`dialect_for` finds the one a call speaks. Adding one is a file with a `Dialect` and a name in `DIALECTS`.
"""

from eventlog.events import Body, CallFacts
from processors.dialects import (
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
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
    token_counting,
)
from processors.dialects.dialect import Dialect, path_of

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
        token_counting,
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
    )
)


def dialect_for(call: CallFacts, response: Body) -> Dialect | None:
    """By the path asked for, mostly whoever the provider is: most answer in OpenAI's shape. None when nobody claims the call.

    Only POST makes an answer; one that is fetched again (`GET /v1/responses/{id}`) repeats a usage that was billed before.
    """
    if call.method != "POST":
        return None
    path = path_of(call)
    for dialect in DIALECTS:
        if dialect.speaks(call, path):
            return dialect
    return None
