"""What callers may say by headers, and what is made of what they say wrongly."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from ingress.directives import NOTHING, Directives, listed, parse_directives
from ingress.errors import BadDirective
from ingress.header_table import HEADERS, NEVER, NOT_YET, Header

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
    "what is not obeyed yet": (
        {"helicone_webhook_enabled": "true"},
        Directives(warning="Helicone-Webhook-Enabled is not obeyed yet"),
    ),
    "what never is": ({"helicone_jwt": "x"}, Directives(warning="Helicone-JWT is not obeyed")),
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


@pytest.mark.parametrize("header", ["helicone-omit-request", "helicone-omit-response"])
def test_a_switch_that_is_neither_names_its_header_and_the_fix(header: str) -> None:
    with pytest.raises(BadDirective) as refused:
        parse_directives([(header.encode(), b"yes please")])
    assert refused.value.field == "-".join(part.capitalize() for part in header.split("-"))
    assert "true or false" in str(refused.value)


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


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header.name)
def test_every_example_is_understood(header: Header) -> None:
    found = parse_directives([(header.name.lower().encode(), header.example.encode())])
    assert getattr(found, header.field) != getattr(NOTHING, header.field)
    assert found.warning is None


def test_every_header_that_is_known_is_listed_once() -> None:
    names = [each.header for each in listed()]
    assert len(names) == len(set(names)) == len(HEADERS) + len(NOT_YET) + len(NEVER)
    assert [each.header for each in listed() if each.obeyed] == [header.name for header in HEADERS]


@pytest.mark.parametrize(("names", "verdict"), [(NOT_YET, "planned"), (NEVER, "not planned")], ids=["planned", "not planned"])
def test_the_page_of_headers_has_the_same_verdicts(names: Sequence[str], verdict: str) -> None:
    """Answers' headers, which nobody sends, stand in the same page's first table."""
    text = (DOCS / "compatibility.md").read_text().split("## ")
    rows = [line.split("|") for section in text for line in section.splitlines() if line.startswith("| `") and "requests" not in line]
    told = {name for row in rows if row[2].strip() == verdict for name in re.findall(r"`(-?[A-Za-z-]+)`", row[1])}
    assert set(names) <= {f"Helicone{name}" if name.startswith("-") else name for name in told}
