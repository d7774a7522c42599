"""What is masked, what is cut, and what stays as it was."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.secrets import cleaned_target, holds_our_key, mask_query, mask_target, masked, without_our_key, without_our_keys

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
    "what ends like one": (
        "myApiKey=a&openai-key=b&X_Auth_Token=c&db.password=d&webhook-secret=e&hub.signature=f&keys=g&tokens=h",
        "myApiKey=***&openai-key=***&X_Auth_Token=***&db.password=***&webhook-secret=***&hub.signature=***&keys=g&tokens=h",
    ),
    "in brackets": ("filter[api_key]=a&filter[key][]=b", "filter[api_key]=***&filter[key][]=***"),
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
    "of Heliograph": (b"pk-heliograph-abc", True),
    "with Bearer": (b"Bearer pk-helicone-abc", True),
    "in quotes": (b'Bearer "sk-helicone-eu-abc"', True),
    "in the middle": (b"a=1; session=sk-helicone-abc; b=2", True),
    "percent-encoded": (b"%73%6b%2Dhelicone%2dabc", True),
    "encoded twice": (b"sk%252Dhelicone-abc", True),
    "a provider's": (b"Bearer sk-abc", False),
    "a word": (b"task-helicone", False),
    "nothing": (b"", False),
}


@pytest.mark.parametrize(("value", "ours"), KEYS.values(), ids=KEYS)
def test_our_keys(value: bytes, ours: bool) -> None:
    assert holds_our_key(value) == ours


def basic(credentials: bytes) -> bytes:
    return b"Basic " + base64.b64encode(credentials)


AUTHORIZATIONS = {
    "a provider's": (b"Bearer sk-abc", b"Bearer sk-abc"),
    "ours": (b"Bearer sk-helicone-abc", None),
    "ours in quotes": (b'Bearer "sk-heliograph-abc"', None),
    "both": (b"Bearer sk-abc, Bearer sk-helicone-abc", b"Bearer sk-abc"),
    "both, ours first": (b"Bearer pk-helicone-abc,Bearer sk-abc", b"Bearer sk-abc"),
    "parts of another's": (b'Digest username="a",realm="b"', b'Digest username="a",realm="b"'),
    "user and password": (basic(b"me:secret"), basic(b"me:secret")),
    "ours as password": (basic(b"me:sk-helicone-abc"), None),
    "ours as user": (basic(b"sk-helicone-abc:"), None),
    "no base64": (b"Basic sk-helicone-abc", None),
}


@pytest.mark.parametrize(("value", "kept"), AUTHORIZATIONS.values(), ids=AUTHORIZATIONS)
def test_authorization(value: bytes, kept: bytes | None) -> None:
    assert without_our_key(value) == kept


TARGETS = {
    "first": (b"/sk-helicone-abc/v1/x", b"/v1/x"),
    "later": (b"/openai/pk-helicone-abc/v1/x", b"/openai/v1/x"),
    "alone": (b"/sk-helicone-abc", b"/"),
    "encoded": (b"/%73k-heli%63one-abc/v1/x%2Fy?a=%20", b"/v1/x%2Fy?a=%20"),
    "in the query": (b"/v1/x?a=1&k=sk-helicone-abc&b=2", b"/v1/x?a=1&b=2"),
    "first in the query": (b"/v1/x?k=sk-helicone-abc&b=2", b"/v1/x?b=2"),
    "all of the query": (b"/v1/x?sk-helicone-abc", b"/v1/x"),
    "encoded in the query": (b"/v1/x?a=1;k=Bearer%20sk%2Dheliograph-abc;b=2", b"/v1/x?a=1;b=2"),
    "in both": (b"/sk-helicone-abc/v1/x?k=sk-helicone-abc", b"/v1/x"),
    "none": (b"/v1//x/", b"/v1//x/"),
    "none, spelling kept": (b"/a%2fb/?&a=%&&;b=?", b"/a%2fb/?&a=%&&;b=?"),
}


@pytest.mark.parametrize(("target", "kept"), TARGETS.values(), ids=TARGETS)
def test_targets(target: bytes, kept: bytes) -> None:
    assert cleaned_target(target) == kept


def test_headers_and_texts() -> None:
    others = [(b"cookie", b"a=1"), (b"x-key", b"sk-abc"), (b"x-word", b"task-helix")]
    assert without_our_keys([*others, (b"api_key", b"sk-helicone-abc"), (b"cookie", b"k=pk-heliograph-abc")]) == others
    assert masked(b"user sk-helicone-abc-def, task-helix") == b"user ***, task-helix"
