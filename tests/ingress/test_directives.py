"""What callers may say by headers, and what is made of what they say wrongly."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ingress.directives import BESIDE, MOST_EXPLAINED, NOTHING, Directives, explained, listed, parse_directives, understood
from ingress.errors import BadDirective
from ingress.fallbacks import EXAMPLE as FALLBACKS
from ingress.fallbacks import parse_fallbacks
from ingress.header_table import ELSEWHERE, HEADERS, NEVER, Header
from ingress.policies import parse_policy
from ingress.prompts import Mode
from ingress.token_limits import Handler

DOCS = Path(__file__).parents[2] / "docs"
UUID = "0190a0b0-1111-4222-8333-444455556666"


def parsed(**headers: str) -> Directives:
    return parse_directives([(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()])


SAID = {
    "nothing": ({}, NOTHING),
    "a user": ({"helicone_user_id": "user-123"}, Directives(user_id="user-123")),
    "a user in another script": ({"helicone_user_id": "użytkownik"}, Directives(user_id="użytkownik")),
    "a session": (
        {"helicone_session_id": "s", "helicone_session_name": "Chat", "helicone_session_path": "/a/b"},
        Directives(session_id="s", session_name="Chat", session_path="/a/b"),
    ),
    "properties": (
        {"helicone_property_feature": "chat", "helicone_property_ticket_id": "T-1"},
        Directives(properties={"feature": "chat", "ticket-id": "T-1"}),
    ),
    "a property without a name": ({"helicone_property_": "x"}, NOTHING),
    "a property without a value": ({"helicone_property_a": ""}, Directives(properties={"a": ""})),
    "a request id": ({"helicone_request_id": UUID.upper()}, Directives(request_id=UUID)),
    "a prompt and a model": (
        {"helicone_prompt_id": "p", "helicone_model_override": "gpt-4o"},
        Directives(prompt_id="p", model_override="gpt-4o"),
    ),
    "an empty user": ({"helicone_user_id": " "}, NOTHING),
    "omissions": ({"helicone_omit_request": "true", "helicone_omit_response": "True"}, Directives(omit_request=True, omit_response=True)),
    "no omission": ({"helicone_omit_request": "false"}, NOTHING),
    "a key, which others read": ({"helicone_auth": "Bearer x"}, NOTHING),
    "what nobody knows": ({"helicone_nonsense": "1"}, Directives(warning="Helicone-Nonsense is not known here")),
    "a prompt's name": (
        {"helicone_prompt_name": "Welcome"},
        Directives(prompt_name="Welcome", properties={"helicone-prompt-name": "Welcome"}),
    ),
    "a prompt's name, and the property itself": (
        {"helicone_prompt_name": "Welcome", "helicone_property_helicone_prompt_name": "mine"},
        Directives(prompt_name="Welcome", properties={"helicone-prompt-name": "mine"}),
    ),
    "what is not obeyed": ({"helicone_jwt": "x"}, Directives(warning="Helicone-JWT is not obeyed")),
    "much that nobody knows": (
        {f"helicone_{letter}": "1" for letter in "abcde"},
        Directives(warning="Helicone-A is not known here; Helicone-B is not known here; Helicone-C is not known here; and 2 more"),
    ),
    "a long name": ({"helicone_" + "x" * 500: "1"}, Directives(warning=f"Helicone-X{'x' * 54} is not known here")),
    "a key of ours as a name": ({"helicone_sk_helicone_abcdefg": "1"}, Directives(warning="Helicone-*** is not known here")),
    "two reasons": (
        {"helicone_request_id": "x", "helicone_nonsense": "1"},
        Directives(warning="Helicone-Request-Id is no UUID; a new id was made, see Helicone-Id; Helicone-Nonsense is not known here"),
    ),
}


@pytest.mark.parametrize(("headers", "directives"), SAID.values(), ids=SAID)
def test_directives(headers: dict[str, str], directives: Directives) -> None:
    assert parsed(**headers) == directives


def test_bytes_that_are_no_utf_8_are_latin_1() -> None:
    assert parse_directives([(b"helicone-user-id", b"k\xe4se")]).user_id == "käse"


def test_the_last_of_two_wins() -> None:
    assert parse_directives([(b"helicone-user-id", b"a"), (b"helicone-user-id", b"b")]).user_id == "b"


IDS = {
    "version 1": ("c232ab00-9414-11ec-b3c8-9f68deced846", True),
    "version 4": (UUID, True),
    "version 7": ("01a20bcb-3dd5-7157-b19d-5de3b1cbcd44", True),
    "version 9": ("01a20bcb-3dd5-9157-b19d-5de3b1cbcd44", False),
    "another variant": ("01a20bcb-3dd5-7157-719d-5de3b1cbcd44", False),
    "no hyphens": (UUID.replace("-", ""), False),
    "text": ("order-17", False),
    "nothing": ("", False),
    "a UUID and more": (UUID + " ; x", False),
}


@pytest.mark.parametrize(("text", "good"), IDS.values(), ids=IDS)
def test_request_ids(text: str, good: bool) -> None:
    found = parsed(helicone_request_id=text)
    assert found.request_id == (text if good else None)
    assert (found.warning is None) == good
    assert good or "Helicone-Request-Id" in (found.warning or "")


TARGETS = {
    "none": ({}, None),
    "a target": ({"helicone_target_url": "https://a"}, ("Helicone-Target-URL", "https://a")),
    "a base": ({"helicone_openai_api_base": "https://b"}, ("Helicone-OpenAI-Api-Base", "https://b")),
    "both": ({"helicone_target_url": "https://a", "helicone_openai_api_base": "https://b"}, ("Helicone-OpenAI-Api-Base", "https://b")),
    "an empty one": ({"helicone_target_url": ""}, ("Helicone-Target-URL", "")),
}


@pytest.mark.parametrize(("headers", "target"), TARGETS.values(), ids=TARGETS)
def test_the_target_that_is_named(headers: dict[str, str], target: tuple[str, str] | None) -> None:
    assert parsed(**headers).target == target


Said = Sequence[tuple[str, Any]]
FLAG: tuple[Said, Sequence[str]] = (
    [("true", True), ("True", True), (" 1 ", True), ("false", False), ("0", False), ("", False)],
    ["yes", "yes please", "2", "truee", "-"],
)
TEXT: tuple[Said, Sequence[str]] = ([("a", "a"), (" a b ", "a b"), ("", None), (" ", None), ("ä" * 5_000, "ä" * 5_000)], [])
ORIGIN: tuple[Said, Sequence[str]] = ([("https://a", "https://a"), (" https://a ", "https://a"), ("", "")], [])
"""Whether it leads anywhere is for tests/ingress/test_routes.py: a broken one is a 400 that names its header, too."""


def whole(least: int, most: int) -> tuple[Said, Sequence[str]]:
    good = [(str(number), number) for number in (least, least + 1, most)]
    return [*good, (f" 00{most} ", most)], [str(least - 1), str(most + 1), "", "x", "1.5", "1e2", "١", "9" * 5_000]


CASES: dict[str, tuple[Said, Sequence[str]]] = {
    "Helicone-Request-Id": ([(UUID, UUID), (UUID.upper(), UUID), ("order-17", None), ("", None)], []),
    "Helicone-Target-URL": ORIGIN,
    "Helicone-OpenAI-Api-Base": ORIGIN,
    "Helicone-User-Id": TEXT,
    "Helicone-Session-Id": TEXT,
    "Helicone-Session-Name": TEXT,
    "Helicone-Session-Path": TEXT,
    "Helicone-Prompt-Id": TEXT,
    "Helicone-Prompt-Version": TEXT,
    "Helicone-Prompt-Name": TEXT,
    "Helicone-Prompt-Mode": (
        [("production", Mode.PRODUCTION), ("Testing ", Mode.TESTING), ("DEACTIVATED", Mode.DEACTIVATED)],
        ["", "prod", "true", "production,testing"],
    ),
    "Helicone-Model-Override": TEXT,
    "Helicone-Cost-Override": (
        [
            ("input=2.5,output=10", {"input": "2.5", "output": "10"}),
            (" output = 0 , input = 0.000000001 ", {"input": "0.000000001", "output": "0"}),
            ("request=1000000", {"request": "1000000"}),
            ("cache_read=1,input=2,output=3", {"input": "2", "output": "3", "cache_read": "1"}),
        ],
        [
            *("", "2.5", "input=2.5", "output=1", "input=1,output=2,", "input=1,output=-2", "input=1,output=1e3", "input=1,output=nan"),
            *("input=1,input=1,output=2", "prompt=1,output=2", "request=1000001", "input=1.0000000001,output=1", "input=,output=1"),
        ],
    ),
    "Helicone-Omit-Request": FLAG,
    "Helicone-Omit-Response": FLAG,
    "Helicone-Retry-Enabled": FLAG,
    "Helicone-Debug": FLAG,
    "Helicone-Moderations-Enabled": FLAG,
    "Helicone-Retry-Num": whole(0, 1_000),
    "Helicone-Retry-Factor": (
        [("1", 1.0), ("1.5", 1.5), (" 100 ", 100.0), ("100.0", 100.0)],
        ["0.99", "100.1", "", "x", "-2", "1e1", "nan", "inf", "1,5", "1.", "9" * 5_000],
    ),
    "Helicone-Retry-Min-Timeout": whole(0, 600_000),
    "Helicone-Retry-Max-Timeout": whole(0, 600_000),
    "Helicone-Fallbacks": (
        [(FALLBACKS, parse_fallbacks(FALLBACKS))],
        ["", "[]", "{}", "x", "null", "[1]", '[{"target-url": "https://a"}]', "[" * 100_000],
    ),
    "Helicone-Cache-Enabled": FLAG,
    "Helicone-Cache-Read": FLAG,
    "Helicone-Cache-Save": FLAG,
    "Helicone-Cache-Bucket-Max-Size": whole(1, 20),
    "Helicone-Cache-Seed": TEXT,
    "Helicone-Cache-Ignore-Keys": (
        [("a", ("a",)), ("a, b,", ("a", "b")), ('"a","b"', ("a", "b")), ('["a"]', ("a",)), ("", ()), (",", ())],
        ["[a]", '"a', "[1]", '["a"'],
    ),
    "Helicone-RateLimit-Policy": (
        [
            (said, parse_policy(said))
            for said in ("1;w=1", "10;w=60;s=user", "0.5;w=60;u=cents", "1000000000000;w=31536000;u=request;s=a-b")
        ],
        ["", "10", "0;w=60", "10;w=0", "10;w=31536001", "0.5;w=60", "10;w=60;u=tokens", "10;s=user;w=60", "-1;w=60", "10; w=60"],
    ),
    "Helicone-Stream-Usage": FLAG,
    "Helicone-Stream-Force-Format": FLAG,
    "Helicone-Token-Limit-Exception-Handler": (
        [("truncate", Handler.TRUNCATE), (" Middle-Out ", Handler.MIDDLE_OUT), ("FALLBACK", Handler.FALLBACK)],
        ["", "middle out", "true", "truncate,fallback"],
    ),
}
BY_NAME = {header.name: header for header in HEADERS}
GOOD = [(name, text, value) for name, (good, _) in CASES.items() for text, value in good]
BROKEN = [(name, text) for name, (_, broken) in CASES.items() for text in broken]


def shortly(value: object) -> str:
    return str(value)[:40]


def test_every_header_has_its_cases() -> None:
    assert list(CASES) == [header.name for header in HEADERS]
    assert all(good for good, _ in CASES.values())


@pytest.mark.parametrize(("name", "text", "value"), GOOD, ids=shortly)
def test_what_a_header_may_say(name: str, text: str, value: Any) -> None:
    found = parse_directives([(name.lower().encode(), text.encode())])
    assert getattr(found, BY_NAME[name].field) == value
    assert (found.warning is None) is (name != "Helicone-Request-Id" or value is not None)


@pytest.mark.parametrize(("name", "text"), BROKEN, ids=shortly)
def test_what_it_may_not_say(name: str, text: str) -> None:
    """The refusal names the header, and shows what would be right."""
    with pytest.raises(BadDirective) as refused:
        parse_directives([(name.lower().encode(), text.encode())])
    assert (refused.value.field or "").lower() == name.lower()
    assert name.lower() in str(refused.value).lower()
    assert re.search("must|such as|example", str(refused.value))
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.name)
def test_every_example_is_understood(header: Header) -> None:
    found = parse_directives([(header.name.lower().encode(), header.example.encode())])
    assert getattr(found, header.field) != getattr(NOTHING, header.field)
    assert found.warning is None


def test_every_header_that_is_known_is_listed_once() -> None:
    names = [each.header for each in listed()]
    assert len(names) == len(set(names)) == len(HEADERS) + len(BESIDE) + len(NEVER)
    assert [each.header for each in listed() if each.obeyed] == [*(header.name for header in HEADERS), *(each.header for each in BESIDE)]


ROOT = DOCS.parent


def verdicts() -> dict[str, tuple[str, str]]:
    """Of each header in the page's tables of request headers: the verdict, and the test that is named."""
    found: dict[str, tuple[str, str]] = {}
    section = (DOCS / "compatibility.md").read_text().split("\n## Request headers\n")[1].split("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        for name in re.findall(r"`(-?[A-Za-z-]+)[^`]*`", cells[1]) if line.startswith("| `") else []:
            full = f"Helicone{name}" if name.startswith("-") else name
            assert full.lower() not in found, f"{full} has two rows"
            assert len(cells) == 6, f"{full}'s row has a cell too many or too few"
            assert cells[3] or cells[2] == "done", f"{full} has a verdict and no reason"
            found[full.lower()] = cells[2], cells[4]
    return found


def test_the_page_of_headers_has_a_verdict_for_each() -> None:
    told = {name: verdict for name, (verdict, _) in verdicts().items()}
    assert set(told.values()) == {"done", "ours", "not planned"}
    for header in HEADERS:
        assert told[header.name.lower()] in {"done", "ours"}, header.name
    for name in NEVER:
        assert told[name.lower()] == "not planned", name
    known = {header.name.lower() for header in HEADERS} | {name.lower() for name in NEVER} | {name.decode() for name in ELSEWHERE}
    assert {name for name in told if name.startswith("helicone-")} <= known | {"helicone-property-"}


@pytest.mark.parametrize(("name", "row"), verdicts().items(), ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_done_names_a_test_that_is_there(name: str, row: tuple[str, str]) -> None:
    verdict, test = row
    if verdict == "not planned":
        assert test == ""
    else:
        assert (ROOT / test.strip("`")).is_file(), f"{name} names {test}"


EXPLAINED: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "nothing": ({}, {}),
    "short": ({"user_id": "a", "cache_slots": 3}, {"user_id": "a", "cache_slots": 3}),
    "all there is room for": ({"user_id": "x" * (MOST_EXPLAINED - 14)}, {"user_id": "x" * (MOST_EXPLAINED - 14)}),
    "a byte more": ({"debug": True, "user_id": "x" * MOST_EXPLAINED}, {"debug": True, "cut": ["user_id"]}),
    "counted as it is written": ({"user_id": "ä" * (MOST_EXPLAINED // 4)}, {"cut": ["user_id"]}),
    "the longest first": (
        {"a": "x" * 5_000, "b": "x" * 9_000, "c": "x" * 5_001, "d": 1},
        {"a": "x" * 5_000, "d": 1, "cut": ["b", "c"]},
    ),
}


@pytest.mark.parametrize(("told", "expected"), EXPLAINED.values(), ids=EXPLAINED)
def test_explained(told: dict[str, object], expected: dict[str, object]) -> None:
    text = explained(told)
    assert json.loads(text) == expected
    assert len(text) <= MOST_EXPLAINED


@pytest.mark.parametrize("name", [b"helicone-target-url", b"helicone-openai-api-base"])
def test_no_password_is_told(name: bytes) -> None:
    told = understood(parse_directives([(name, b"https://me:secret@a.example:8443/x?key=secret")]))
    assert list(told.values()) == ["https://a.example:8443"]
    assert list(understood(parse_directives([(name, b"secret@a")])).values()) == ["no URL"]
