"""Cohere rerank, in both versions: billed by the search, with no tokens that count.

Sources: Cohere API reference, "Rerank"; "How does Cohere's pricing work?".
"""

from processors.dialects.cohere_embed import PROVIDERS, of_json, of_stream
from processors.dialects.dialect import Dialect


def claims(path: str) -> bool:
    return path.endswith("/rerank")


DIALECT = Dialect(name="cohere.rerank", claims=claims, of_json=of_json, of_stream=of_stream, providers=PROVIDERS)
