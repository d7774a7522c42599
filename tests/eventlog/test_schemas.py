"""The published schemas say what the code encodes and decodes, and keep their promise from version to version."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from eventlog.codec import BatchId, decode, message_of_lines
from eventlog.examples import EXAMPLES
from eventlog.schemas import NAMES, schema_json, summaries
from eventlog.topics import TOPICS

CASES = Path(__file__).parents[1] / "cases"
PUBLISHED = CASES / "schemas"


def schema(name: str) -> Any:
    return json.loads(schema_json(name))


def decodes(name: str, event: Any) -> bool:
    kind = TOPICS[name].event
    assert kind is not None
    _, bad = decode(kind, message_of_lines(name, 0, BatchId("a", 1), [json.dumps(event).encode()]))
    return not bad


def old_events(name: str) -> list[Any]:
    kind = TOPICS[name].event
    assert kind is not None
    return [json.loads(line) for line in (CASES / "events" / f"{kind.__struct_config__.tag}.ndjson").read_bytes().splitlines()]


def test_each_topic_of_events_has_one() -> None:
    assert set(NAMES) == {topic.name for topic in TOPICS.values() if topic.event} == set(EXAMPLES)
    assert [each.name for each in summaries()] == list(NAMES)
    with pytest.raises(KeyError):
        schema_json("heliograph.control.v1")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_schema_and_its_example_fits(name: str) -> None:
    found = schema(name)
    jsonschema.Draft202012Validator.check_schema(found)
    (example,) = found["examples"]
    jsonschema.validate(example, found)
    assert decodes(name, example)


@pytest.mark.parametrize("name", NAMES)
def test_every_field_says_what_it_means(name: str) -> None:
    found = schema(name)
    for each in (found, *found["$defs"].values()):
        assert each["description"]
        silent = [field for field, about in each.get("properties", {}).items() if "description" not in about and field != "event"]
        assert silent == [], each["title"]
        assert all(f"`{word}`: " in each["description"] for word in each.get("enum", [])), each["title"]


@pytest.mark.parametrize("name", NAMES)
def test_the_bytes_of_every_version_fit(name: str) -> None:
    for event in old_events(name):
        jsonschema.validate(event, schema(name))


def spoilt(value: Any) -> Iterator[Any]:
    """The value with one thing in it changed: a field left out, or of another type."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {name: each for name, each in value.items() if name != key}
            yield from ({**value, key: each} for each in spoilt(inner))
    yield from (None, True, 7, 0.5, "word", [], {}, {"x": "y"})


@pytest.mark.parametrize("name", NAMES)
def test_what_fits_is_what_decodes(name: str) -> None:
    validator, refused = jsonschema.Draft202012Validator(schema(name)), 0
    for event in (each for whole in (*old_events(name), *schema(name)["examples"]) for each in spoilt(whole)):
        fits = validator.is_valid(event)
        refused += not fits
        if '_at": "word"' in json.dumps(event) or (isinstance(event, dict) and event.get("at") == "word"):
            continue  # that a text is a time is a `format`, which validators of JSON Schema only note
        if decodes(name, event) and not fits:
            assert missing_tag(event), event  # a topic has one kind of event, so our own reader does without its name
        else:
            assert fits == decodes(name, event), event
    assert refused > 20


def missing_tag(event: Any) -> bool:
    inner = [event.get("feedback"), event.get("call")] if event.get("event") == "call-scored" else []
    return any("event" not in each for each in (event, *inner) if each is not None)


def bare(value: Any) -> Any:
    """A schema without what is only for people."""
    if isinstance(value, dict):
        return {key: bare(inner) for key, inner in value.items() if key not in {"description", "examples", "title"}}
    return [bare(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", NAMES)
def test_what_was_published_still_holds(name: str) -> None:
    """A version may gain optional fields, and nothing else. What is new is added to tests/cases/schemas at a release."""
    then, now = json.loads((PUBLISHED / f"{name}.json").read_bytes()), bare(schema(name))
    assert (then["$id"], then["$schema"]) == (now["$id"], now["$schema"])
    assert then["$defs"].keys() <= now["$defs"].keys()
    for before, after in [(then, now), *((then["$defs"][title], now["$defs"][title]) for title in then["$defs"])]:
        assert set(before.get("required", [])) == set(after.get("required", []))
        assert before.get("enum") == after.get("enum"), "a new word in a closed list is a new version of the topic"
        for field, about in before.get("properties", {}).items():
            assert after["properties"].get(field) == about, field


def test_nothing_was_published_that_is_gone() -> None:
    assert {path.stem for path in PUBLISHED.glob("*.json")} == set(NAMES)
