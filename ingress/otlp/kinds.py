"""What a span tells of: a model's call, a step of a session, or nothing that is kept here.

1. The operation that a span names decides: `gen_ai.operation.name`, then `llm.request.type`, `openinference.span.kind`,
   `traceloop.span.kind`. An agent's span is a step also where it adds up the tokens of the calls below it.
2. One that names none is a call where it names a model, and a step where it asked a vector database or a tool of an MCP server.
3. All else is left out: HTTP, databases, frameworks.

Sources: OpenTelemetry's GenAI conventions; OpenLLMetry's `semconv_ai`; OpenInference's span kinds (read 2026-11-27).
"""

from enum import Enum, auto

from msgspec import Struct

from eventlog.events import Step
from ingress.otlp.said import Said


class Asked(Enum):
    """What a model was asked for."""

    CHAT = auto()
    COMPLETION = auto()
    EMBEDDING = auto()
    RERANK = auto()


class Kind(Struct, frozen=True):
    """One of the two is set."""

    operation: str
    """As the sender names it."""
    asked: Asked | None = None
    step: Step | None = None


MODELS = ("gen_ai.request.model", "gen_ai.response.model", "llm.model_name", "embedding.model_name", "reranker.model_name")

_ASKED = {
    "chat": Asked.CHAT,
    "generate_content": Asked.CHAT,
    "llm": Asked.CHAT,
    "text_completion": Asked.COMPLETION,
    "completion": Asked.COMPLETION,
    "embeddings": Asked.EMBEDDING,
    "embedding": Asked.EMBEDDING,
    "rerank": Asked.RERANK,
    "reranker": Asked.RERANK,
}
_STEPS = {
    "execute_tool": Step.TOOL,
    "tool": Step.TOOL,
    "retrieval": Step.VECTOR_DB,
    "retriever": Step.VECTOR_DB,
    "search_memory": Step.VECTOR_DB,
}
_WORK = """
invoke_agent create_agent invoke_workflow plan agent workflow task chain guardrail evaluator prompt decision fetch_response
create_memory create_memory_store update_memory upsert_memory delete_memory delete_memory_store
"""
_STEPS |= dict.fromkeys(_WORK.split(), Step.DATA)
_NAMES = ("gen_ai.operation.name", "llm.request.type", "openinference.span.kind", "traceloop.span.kind")
_VECTOR_DATABASES = frozenset({"chroma", "chromadb", "lancedb", "marqo", "milvus", "pgvector", "pinecone", "qdrant", "vespa", "weaviate"})


def kind_of(said: Said) -> Kind | None:
    """None where the span is left out."""
    for name in _NAMES:
        operation = (said.text(name) or "").lower()
        if operation in _ASKED:
            return Kind(operation, asked=_ASKED[operation])
        if operation in _STEPS:
            return Kind(operation, step=_STEPS[operation])
    named = said.text("gen_ai.operation.name")
    if said.text(*MODELS) is not None:
        return Kind(named or "chat", asked=Asked.CHAT)
    if said.text("mcp.method.name") == "tools/call":
        return Kind("execute_tool", step=Step.TOOL)
    if (said.text("db.system.name", "db.system") or "").lower() in _VECTOR_DATABASES:
        return Kind("retrieval", step=Step.VECTOR_DB)
    return None if named is None else Kind(named, step=Step.DATA)
