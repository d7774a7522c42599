"""Ollama's own embeddings, never in a stream.

Source: Ollama API, "Generate embeddings". Its older `/api/embeddings` counts nothing; it is read as OpenAI's are.
"""

from processors.dialects.dialect import Dialect
from processors.dialects.ollama_counts import of_json, of_stream


def claims(path: str) -> bool:
    return path.endswith("/api/embed")


DIALECT = Dialect(name="ollama.embed", claims=claims, of_json=of_json, of_stream=of_stream)
