"""Cohere generate, of version 1 only. It answers and streams as chat does there, with a list of texts for a text.

Source: Cohere API v1 reference, "Generate".
"""

from processors.dialects.cohere_chat_v1 import PROVIDERS, message_of, of_json, of_stream
from processors.dialects.dialect import Dialect
from processors.dialects.lines import lines_of


def claims(path: str) -> bool:
    return path.endswith("/v1/generate")


DIALECT = Dialect(
    name="cohere.generate", claims=claims, of_json=of_json, of_stream=of_stream, message_of=message_of, providers=PROVIDERS, pieces=lines_of
)
