"""What is masked, what is cut, and what stays as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.secrets import is_our_key, mask_query, mask_target, without_key_segment, without_our_key

QUERIES = {
    "nothing": ("", ""),
    "nothing secret": ("alt=sse&beta=true&x", "alt=sse&beta=true&x"),
    "a key": ("key=AIza123&alt=sse", "key=***&alt=sse"),
    "keys by other names": (
        "api-key=a&api_key=b&access_token=c&token=d&sig=e&signature=f",
        "api-key=***&api_key=***&access_token=***&token=***&sig=***&signature=***",
    ),
    "in capitals": ("API-Key=a&KEY=b", "API-Key=***&KEY=***"),
    "an encoded name": ("%6bey=a&api%2Dkey=b", "%6bey=***&api%2Dkey=***"),
    "AWS": (
        "X-Amz-Credential=a&X-Amz-Signature=b&X-Amz-Date=c&X-Amz-Security-Token=d",
        "X-Amz-Credential=***&X-Amz-Signature=***&X-Amz-Date=c&X-Amz-Security-Token=***",
    ),
    "a key by its looks": ("q=sk-abc123&r=sky", "q=***&r=sky"),
    "separated by semicolons": ("a=1;key=2;b=3", "a=1;key=***;b=3"),
    "an equals sign in the value": ("token=a=b=c&d=e=f", "token=***&d=e=f"),
    "no value": ("key=&token", "key=&token"),
    "the same twice": ("key=a&key=b", "key=***&key=***"),
    "spelling is kept": ("a=%20+&&b==;", "a=%20+&&b==;"),
}


@pytest.mark.parametrize(("query", "masked"), QUERIES.values(), ids=QUERIES)
def test_queries(query: str, masked: str) -> None:
    assert mask_query(query) == masked
    assert mask_target(f"/v1/x?{query}") == (f"/v1/x?{masked}")


@given(st.text(alphabet="ab=&;%+ ", max_size=30))
def test_without_secrets_nothing_changes(query: str) -> None:
    assert mask_query(query) == query


KEYS = {
    "bare": (b"sk-helicone-abc", True),
    "with Bearer": (b"Bearer pk-helicone-abc", True),
    "with bearer": (b"bearer  sk-helicone-eu-abc", True),
    "a provider's": (b"Bearer sk-abc", False),
    "nothing": (b"", False),
}


@pytest.mark.parametrize(("value", "ours"), KEYS.values(), ids=KEYS)
def test_our_keys(value: bytes, ours: bool) -> None:
    assert is_our_key(value) == ours


AUTHORIZATIONS = {
    "a provider's": (b"Bearer sk-abc", b"Bearer sk-abc"),
    "ours": (b"Bearer sk-helicone-abc", None),
    "both": (b"Bearer sk-abc, Bearer sk-helicone-abc", b"Bearer sk-abc"),
    "both, ours first": (b"Bearer pk-helicone-abc,Bearer sk-abc", b"Bearer sk-abc"),
}


@pytest.mark.parametrize(("value", "kept"), AUTHORIZATIONS.values(), ids=AUTHORIZATIONS)
def test_authorization(value: bytes, kept: bytes | None) -> None:
    assert without_our_key(value) == kept


PATHS = {
    "first": (b"/sk-helicone-abc/v1/x", b"/v1/x"),
    "later": (b"/openai/pk-helicone-abc/v1/x", b"/openai/v1/x"),
    "alone": (b"/sk-helicone-abc", b"/"),
    "none": (b"/v1//x/", b"/v1//x/"),
}


@pytest.mark.parametrize(("path", "kept"), PATHS.values(), ids=PATHS)
def test_key_segments(path: bytes, kept: bytes) -> None:
    assert without_key_segment(path) == kept
