"""What an answer is found again by: what is the same, what is not, and for how long."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from eventlog.events import Organization
from ingress.cache import (
    LONGEST_TTL_S,
    USUAL_TTL_S,
    Asked,
    CacheWish,
    body_that_counts,
    changes_something,
    credential_of,
    heeding,
    is_credential,
    kept_headers,
    key_of,
    parse_ignored,
    ttl_of,
)
from ingress.errors import BadDirective

WISH = CacheWish(read=True, save=True)
ASKED = Asked(
    organization=Organization("acme"),
    method=b"POST",
    url=b"https://api.openai.com/v1/chat/completions",
    headers=[(b"authorization", b"Bearer sk-a"), (b"content-type", b"application/json"), (b"accept", b"*/*"), (b"user-agent", b"x")],
    body=b'{"model":"m"}',
)


def with_header(name: bytes, value: bytes) -> Asked:
    return replace(ASKED, headers=[*((each, said) for each, said in ASKED.headers if each != name), (name, value)])


SAME = {
    "in another order": replace(ASKED, headers=list(reversed(ASKED.headers))),
    "another client": with_header(b"user-agent", b"y"),
    "another trace": with_header(b"traceparent", b"00-1"),
    "another name of what the body is": with_header(b"content-type", b"text/json"),
    "another idempotency key": with_header(b"idempotency-key", b"1"),
    "another time to live": with_header(b"cache-control", b"max-age=5"),
    "another cookie, beside a key": with_header(b"cookie", b"AWSALB=1"),
}
OTHER = {
    "another organization": replace(ASKED, organization=Organization("globex")),
    "another provider's key": with_header(b"authorization", b"Bearer sk-b"),
    **{
        f"another {name.decode()}": with_header(name, b"z")
        for name in (b"xi-api-key", b"x-auth-token", b"ocp-apim-subscription-key", b"accept-language")
    },
    **{
        f"another {name.decode()}": with_header(name, b"z")
        for name in (
            b"x-amzn-bedrock-guardrailidentifier",
            b"x-amzn-bedrock-guardrailversion",
            b"x-amzn-bedrock-trace",
            b"x-amzn-bedrock-performanceconfig-latency",
            b"x-amzn-bedrock-service-tier",
            b"x-amzn-sagemaker-target-variant",
            b"x-anthropic-beta",
            b"x-goog-user-project",
            b"x-vertex-ai-llm-request-type",
            b"azureml-model-deployment",
            b"extra-parameters",
            b"x-ms-oai-image-generation-deployment",
            b"ai-language-model-id",
            b"ai-language-model-streaming",
            b"groq-model-version",
            b"x-http-method-override",
            b"content-encoding",
        )
    },
    "another kind of key": with_header(b"x-api-key", b"Bearer sk-a"),
    "another method": replace(ASKED, method=b"PUT"),
    "another place": replace(ASKED, url=b"https://api.groq.com/v1/chat/completions"),
    "another query": replace(ASKED, url=ASKED.url + b"?a=1"),
    "another body": replace(ASKED, body=b'{"model": "m"}'),
    "other fallbacks": replace(ASKED, elsewhere=b"x"),
    **{
        f"another {name.decode()}": with_header(name, b"z")
        for name in (
            b"accept",
            b"accept-encoding",
            b"anthropic-version",
            b"anthropic-beta",
            b"openai-organization",
            b"openai-project",
            b"openai-beta",
        )
    },
}


@pytest.mark.parametrize("asked", SAME.values(), ids=SAME)
def test_the_same(asked: Asked) -> None:
    assert key_of(WISH, asked) == key_of(WISH, ASKED)


@pytest.mark.parametrize("asked", OTHER.values(), ids=OTHER)
def test_another(asked: Asked) -> None:
    assert key_of(WISH, asked) != key_of(WISH, ASKED)


@pytest.mark.parametrize("wish", [replace(WISH, seed="s"), replace(WISH, slots=3)])
def test_what_the_caller_keeps_apart(wish: CacheWish) -> None:
    assert key_of(wish, ASKED) != key_of(WISH, ASKED)


def test_keys_that_do_not_count() -> None:
    wish = replace(WISH, ignored=("request_id", "at"))
    one, other = (replace(ASKED, body=json.dumps({"model": "m", "request_id": each, "at": each}).encode()) for each in (1, 2))
    assert key_of(wish, one) == key_of(wish, other)
    assert key_of(WISH, one) != key_of(WISH, other)
    assert body_that_counts(b"no JSON", ("a",)) == b"no JSON"
    assert body_that_counts(b'{"a":1,"b":{"a":2}}', ("a",)) == b'{"b":{"a":2}}'


texts = st.text(max_size=3)
byte_strings = st.binary(max_size=3)
requests = st.builds(
    Asked,
    organization=texts.map(Organization),
    method=byte_strings,
    url=byte_strings,
    headers=st.lists(st.tuples(st.sampled_from([b"authorization", b"x-api-key", b"accept", b"x-other"]), byte_strings), max_size=3),
    body=byte_strings,
    elsewhere=byte_strings,
)
wishes = st.builds(CacheWish, read=st.just(True), save=st.just(True), slots=st.integers(1, 3), seed=texts)


def counts(wish: CacheWish, asked: Asked) -> tuple[object, ...]:
    headers = sorted(pair for pair in asked.headers if pair[0] != b"x-other")
    return wish.seed, wish.slots, asked.organization, asked.method, asked.url, headers, asked.body, asked.elsewhere


@given(wishes, requests, wishes, requests)
def test_tenants_and_requests_never_share(one_wish: CacheWish, one: Asked, other_wish: CacheWish, other: Asked) -> None:
    assert (key_of(one_wish, one) == key_of(other_wish, other)) is (counts(one_wish, one) == counts(other_wish, other))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"Bearer ya29.aaa", b"Bearer ya29.bbb", True),
        (b"Bearer sk-aaa", b"Bearer sk-bbb", False),
        (
            b"AWS4-HMAC-SHA256 Credential=AKIA1/20261126/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=1",
            b"AWS4-HMAC-SHA256 Credential=AKIA1/20261127/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=2",
            True,
        ),
        (b"AWS4-HMAC-SHA256 Credential=AKIA1/20261126/x", b"AWS4-HMAC-SHA256 Credential=AKIA2/20261126/x", False),
    ],
)
def test_credentials_count_by_what_lasts(one: bytes, other: bytes, same: bool) -> None:
    assert (credential_of(one, known=True) == credential_of(other, known=True)) is same
    assert credential_of(one, known=False) != credential_of(other, known=False)
    assert b"sk-aaa" not in credential_of(one, known=True)


TTLS = {
    None: USUAL_TTL_S,
    "": USUAL_TTL_S,
    "no-cache": USUAL_TTL_S,
    "max-age=60": 60,
    "MAX-AGE=60": 60,
    'max-age="60"': 60,
    "max-age=60, s-maxage=30": 30,
    "public,max-age = 5": 5,
    "max-age=0": 0,
    "max-age=99999999999": LONGEST_TTL_S,
    "max-age=" + "9" * 5_000: LONGEST_TTL_S,
}


@pytest.mark.parametrize(("said", "seconds"), TTLS.items())
def test_for_how_long(said: str | None, seconds: int) -> None:
    assert ttl_of(said) == seconds


HEEDED: dict[str, tuple[bool, bool]] = {
    "": (True, True),
    "max-age=60": (True, True),
    "no-transform": (True, True),
    "no-cache": (False, True),
    "No-Cache, max-age=60": (False, True),
    "max-age=60,no-cache": (False, True),
    'no-cache="set-cookie"': (False, True),
    "no-store": (False, False),
    "max-age=60, no-store": (False, False),
    "max-age=0": (False, True),
    "max-age=0, s-maxage=60": (True, True),
}


@pytest.mark.parametrize(("said", "read_and_save"), HEEDED.items())
def test_what_cache_control_rules_out(said: str, read_and_save: tuple[bool, bool]) -> None:
    found = heeding(WISH, said)
    assert (found.read, found.save) == read_and_save
    assert heeding(CacheWish(read=False, save=False), said) == CacheWish(read=False, save=False)


@pytest.mark.parametrize("said", ["max-age=", "max-age=soon", "max-age=-1", "max-age=1.5"])
def test_no_time_to_live(said: str) -> None:
    with pytest.raises(BadDirective, match="max-age=3600"):
        ttl_of(said)


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("request_id,timestamp", ("request_id", "timestamp")),
        (" a , b ,", ("a", "b")),
        ('"request_id","timestamp"', ("request_id", "timestamp")),
        ('["a", "b"]', ("a", "b")),
        ("", ()),
    ],
)
def test_names_of_keys(said: str, names: tuple[str, ...]) -> None:
    assert parse_ignored("X", said) == names


@pytest.mark.parametrize("said", ["[1]", '"a', "[a]"])
def test_names_that_are_none(said: str) -> None:
    with pytest.raises(BadDirective):
        parse_ignored("X", said)


def test_what_is_personal_is_not_kept() -> None:
    personal = [
        "Set-Cookie",
        "x-ratelimit-remaining-requests",
        "anthropic-ratelimit-tokens-limit",
        "OpenAI-Organization",
        "anthropic-organization-id",
        "Helicone-Id",
        "Retry-After",
    ]
    plain = [(b"Content-Type", b"a"), (b"x-request-id", b"b"), (b"content-encoding", b"gzip")]
    assert kept_headers([*((name.encode(), b"x") for name in personal), *plain]) == plain


CHANGING = {
    (b"DELETE", b"/v1/chat/completions"),
    (b"POST", b"/v1/files"),
    (b"POST", b"/v1/threads/t/runs"),
    (b"POST", b"/v1/responses/r/cancel"),
    (b"GET", b"/v1/batches/b?x=1"),
    (b"GET", b"/v1/fine_tuning/jobs/j"),
    (b"POST", b"/v1beta/models/gemini:batchGenerateContent"),
    (b"POST", b"/v1/messages/batches"),
}
ASKING = {
    (b"POST", b"/v1/chat/completions"),
    (b"POST", b"/v1/agents/completions"),
    (b"POST", b"/v1/profiles/x"),
    (b"GET", b"/v1/models?batches"),
    (b"POST", b"/v1beta/models/gemini:generateContent"),
    (b"POST", b"/model/m/converse"),
}


def test_what_changes_something_is_told_from_a_question() -> None:
    assert all(changes_something(*asked) for asked in CHANGING)
    assert not any(changes_something(*asked) for asked in ASKING)


def test_a_cookie_counts_where_nothing_else_says_who_calls() -> None:
    nameless = [pair for pair in ASKED.headers if not is_credential(pair[0])]
    one, other = (key_of(WISH, replace(ASKED, headers=[*nameless, (b"cookie", said)])) for said in (b"a=1", b"a=2"))
    assert one != other
