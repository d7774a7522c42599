"""Which encoding a model's tokens are counted by, and the count itself.

Source: `tiktoken/model.py` of tiktoken 0.14, which is OpenAI's own table (read 2026-11-26). `bpe-openai` counted 120,000 texts as
tiktoken did, takes time in proportion to the text whatever it is, and knows no special tokens: `<|endoftext|>` is text like any other.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType

from msgspec import Struct


class Encoding(StrEnum):
    O200K = "o200k_base"
    CL100K = "cl100k_base"


class Chosen(Struct, frozen=True):
    encoding: Encoding
    assumed: bool = False
    """No table has the model; the newest encoding is taken for it."""


CL100K = re.compile(
    r"(gpt-4|gpt-3\.5|gpt-3\.5-turbo|gpt-35-turbo|davinci-002|babbage-002|text-embedding-(ada-002|3-small|3-large))(-.*)?", re.S
)
"""`gpt-4` and what follows it after a hyphen; `gpt-4o`, `gpt-4.1` and `gpt-4.5` are other models."""
O200K = re.compile(r"(gpt-4o|chatgpt-4o|gpt-4\.1|gpt-4\.5|gpt-([5-9]|[12]\d)(\.\d+)?|o[1-9])(-.*)?", re.S)
OLD = re.compile(r"(text-|code-)?(davinci|curie|babbage|ada|cushman)(?!-002).*|text-(similarity|search|davinci)-.*|code-.*|gpt-?2", re.S)
"""Encoded by r50k, p50k or p50k_edit, which are not at hand."""


def base_of(model: str) -> str:
    """A fine-tuned model's base: `ft:gpt-4o-mini-2024-07-18:acme::id`. A router writes the seller in front."""
    name = model.strip().lower().rpartition("/")[2]
    return name.removeprefix("ft:").partition(":")[0] if name.startswith("ft:") else name


def encoding_of(model: str) -> Chosen | None:
    """None for a model whose encoding is not at hand."""
    base = base_of(model)
    if CL100K.fullmatch(base):
        return Chosen(Encoding.CL100K)
    if O200K.fullmatch(base):
        return Chosen(Encoding.O200K)
    return None if OLD.fullmatch(base) else Chosen(Encoding.O200K, assumed=True)


def tokens_of(text: str, encoding: Encoding) -> int:
    """Lone surrogates, which no encoding has, are counted as what stands for them."""
    count = _counter(encoding)
    try:
        return count(text)
    except UnicodeEncodeError:
        return count(text.encode("utf-8", "replace").decode())


@cache
def _counter(encoding: Encoding) -> Callable[[str], int]:
    """Only a process that estimates loads an encoding. The first takes 70 ms and 70 MB, the second 30 ms and 30 MB."""
    count: Callable[[str], int] = _bindings().tokenizer_for_encoding(encoding.value).count
    return count


def _bindings() -> ModuleType:
    """What `bpe_openai` is written around, and not the package itself: it would read all its tables a second time (a second, 70 MB).

    Its own `Encoding` refuses a million letters or 200,000 tokens, and makes lists of them where only their number is wanted.
    """
    package = find_spec("bpe_openai")
    found = None if package is None else PathFinder.find_spec("_bindings", package.submodule_search_locations)
    if found is None or found.loader is None:
        raise ImportError("bpe-openai has no module _bindings: install the version that the lock names")
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module
