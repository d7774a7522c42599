"""Prompts as their records say: whoever wrote a number first has it, in whatever order the rest comes; and their copy on disk."""

import stat
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import Raw
from msgspec.structs import asdict, replace
from structlog.testing import capture_logs

from eventlog.codec import BatchId, Message, Record
from eventlog.events import Organization
from eventlog.prompts import (
    Library,
    Number,
    Placement,
    Prompt,
    PromptId,
    PromptRecord,
    PromptVersion,
    VersionId,
    WrittenVersion,
    encoded,
    key_of,
    next_number,
    partition_of,
)
from eventlog.prompts_kept import PromptsKept
from eventlog.topics import PROMPTS

AT = datetime(2026, 11, 26, tzinfo=UTC)
ACME = Organization("acme")
PROMPT = Prompt(organization=ACME, id=PromptId("abc123"), name="Greeting", created_at=AT)


def version(id_: str, number: str, body: str = "{}", **more: object) -> WrittenVersion:
    major, minor = map(int, number.split("."))
    facts = {"organization": ACME, "prompt": PROMPT.id, "created_at": AT + timedelta(minutes=minor), "body": Raw(body.encode())}
    return WrittenVersion(**(facts | {"id": VersionId(id_), "major": major, "minor": minor} | more))  # type: ignore[arg-type]


def placed(environment: str, id_: str, organization: str = "acme") -> Placement:
    return Placement(organization=Organization(organization), prompt=PROMPT.id, environment=environment, version=VersionId(id_))


def deleted(of: WrittenVersion) -> PromptVersion:
    facts = {name: value for name, value in asdict(of).items() if name != "body"}
    return replace(PromptVersion(**facts), deleted=True)


def library(*records: PromptRecord) -> Library:
    it = Library()
    it.take((key_of(each), encoded(each)) for each in records)
    return it


def listed(it: Library) -> dict[str, str]:
    return {each.id: str(each.number) for each in it.versions(PROMPT)}


NEXT: dict[str, tuple[list[str], str, bool, str]] = {
    "a minor": (["1.0"], "1.0", False, "1.1"),
    "a minor of an old major": (["1.0", "1.1", "2.0"], "1.0", False, "1.2"),
    "a major": (["1.0", "2.0", "2.1"], "1.0", True, "3.0"),
    "of a base that nobody knows any more": ([], "2.4", False, "2.5"),
}


@pytest.mark.parametrize(("taken", "base", "major", "expected"), NEXT.values(), ids=NEXT)
def test_the_next_number(taken: list[str], base: str, major: bool, expected: str) -> None:
    def number(said: str) -> Number:
        return Number(*map(int, said.split(".")))

    assert str(next_number(map(number, taken), number(base), major=major)) == expected


def test_whoever_wrote_a_number_first_has_it_until_the_other_took_another() -> None:
    one, two = version("one", "1.1"), version("two", "1.1")
    it = library(PROMPT, version("first", "1.0"), one, two)
    assert listed(it) == {"one": "1.1", "first": "1.0"}
    assert it.version(ACME, "two") is None
    it.take([(key_of(two), encoded(version("two", "1.2")))])
    assert listed(it) == {"two": "1.2", "one": "1.1", "first": "1.0"}


def test_a_number_stays_taken_when_its_version_is_deleted() -> None:
    one, lost = version("one", "1.1"), version("lost", "1.1")
    for records in ((one, lost, deleted(one)), (lost, deleted(one))):  # the second: compaction took what was replaced
        it = library(PROMPT, version("first", "1.0"), *records)
        assert listed(it) == {"first": "1.0"}
        assert next_number(it.numbers(PROMPT), Number(1, 0), major=False) == (1, 2)


def test_what_comes_before_its_prompt_or_stays_behind_is_nothing() -> None:
    it = library(version("one", "1.0"), placed("production", "one"))
    assert it.version(ACME, "one") is None
    it.take([(key_of(PROMPT), encoded(PROMPT))])
    found = it.version(ACME, "one")
    assert found is not None
    assert (it.at(PROMPT, "production"), it.environments(found)) == (found, ["production"])
    it.take([(key_of(PROMPT), b"")])
    assert (it.version(ACME, "one"), it.at(PROMPT, "production"), it.prompts(ACME)) == (None, None, [])


def test_all_of_a_prompt_is_taken_away_by_its_records() -> None:
    it = library(PROMPT, version("one", "1.0"), version("lost", "1.0"), placed("production", "one"), placed("staging", "lost"))
    records = it.records_of(PROMPT)
    assert len(records) == 5
    it.take((key_of(each), b"\n") for each in records)
    assert it.records_of(PROMPT) == [PROMPT]
    assert it.record(key_of(PROMPT)) is None


def test_an_environment_moves_and_is_taken_away() -> None:
    it = library(PROMPT, version("one", "1.0"), version("two", "1.1"), placed("production", "one"), placed("production", "two"))
    at = it.at(PROMPT, "production")
    assert at is not None
    assert at.id == "two"
    it.take([(key_of(placed("production", "one")), b"")])
    assert it.at(PROMPT, "production") is None


@pytest.mark.parametrize("asked", [("b", "one/acme"), ("acme/b", "one"), ("other", "one")])
def test_nobody_names_anothers_version(asked: tuple[str, str]) -> None:
    """However organizations are called."""
    one = version("one", "1.0", organization=Organization("acme/b"))
    it = library(replace(PROMPT, organization=Organization("acme/b")), one)
    found = it.version(Organization(asked[0]), asked[1])
    assert (found is not None) == (asked == ("acme/b", "one"))


def test_all_of_a_prompt_lies_on_one_partition() -> None:
    records = [PROMPT, version("one", "1.0"), version("two", "1.1"), placed("production", "one")]
    assert len({partition_of(each, 12) for each in records}) == 1
    others = {partition_of(replace(PROMPT, id=PromptId(f"abc{n}")), 12) for n in range(100)}
    assert others == set(range(12))


def test_what_is_not_understood_is_told_and_passed_over() -> None:
    it = library(PROMPT)
    with capture_logs() as told:
        it.take([("prompt/x", b"{no"), ("hint/x", b'{"record":"hint","text":"later"}\n')])
    assert [(each["event"], each["key"]) for each in told] == [("prompt_not_understood", "prompt/x"), ("prompt_not_understood", "hint/x")]
    assert it.prompts(ACME) == [PROMPT]


# The copy


def records(lines: Iterable[PromptRecord | tuple[PromptRecord, bytes]]) -> list[Record]:
    found = []
    for offset, each in enumerate(lines):
        record, line = each if isinstance(each, tuple) else (each, encoded(each))
        message = Message(topic=PROMPTS.name, partition=0, batch_id=BatchId("x", 1), count=1, value=line, key=key_of(record))
        found.append(Record(message=message, offset=offset, appended_at=0))
    return found


def recalled(file: Path) -> PromptsKept:
    again = PromptsKept(file)
    assert again.recall()
    return again


def body_of(kept: PromptsKept, id_: str) -> bytes | None:
    found = kept.library.version(ACME, id_)
    assert found is not None
    return kept.body(found)


def test_a_copy_has_everything_in_its_order(tmp_path: Path) -> None:
    file = tmp_path / "prompts.sqlite"
    kept = PromptsKept(file)
    assert not kept.recall()
    kept.begin(records([PROMPT, version("first", "1.0", '{"n":0}'), version("two", "1.1", '{"n":2}'), version("one", "1.1", '{"n":1}')]))
    assert body_of(kept, "two") == b'{"n":2}'  # before it is on disk
    kept.remember()
    assert body_of(kept, "two") == b'{"n":2}'
    kept.take(records([version("two", "1.2", '{"n":3}'), placed("production", "two")]))
    kept.remember()
    again = recalled(file)
    assert listed(again.library) == listed(kept.library) == {"first": "1.0", "one": "1.1", "two": "1.2"}
    assert (body_of(again, "one"), body_of(again, "two")) == (b'{"n":1}', b'{"n":3}')
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept.take(records([(version("one", "1.1"), b"")]))
    kept.remember()
    assert set(listed(recalled(file).library)) == {"first", "two"}


def test_what_the_topic_has_no_longer_is_gone_from_the_copy(tmp_path: Path) -> None:
    kept = PromptsKept(tmp_path / "prompts.sqlite")
    kept.begin(records([PROMPT, version("one", "1.0")]))
    kept.remember()
    again = recalled(tmp_path / "prompts.sqlite")
    again.begin(records([PROMPT]))
    again.remember()
    assert listed(again.library) == listed(recalled(tmp_path / "prompts.sqlite").library) == {}


def test_a_disk_that_takes_nothing_leaves_bodies_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "prompts.sqlite"
    file.mkdir()
    kept = PromptsKept(file)
    kept.begin(records([PROMPT, version("one", "1.0", '{"n":1}')]))
    with capture_logs() as told:
        kept.remember()
    assert [each["event"] for each in told] == ["prompts_copy_not_kept"]
    kept.take(records([version("two", "1.1", '{"n":2}')]))
    assert (body_of(kept, "one"), body_of(kept, "two")) == (b'{"n":1}', b'{"n":2}')
    file.rmdir()
    kept.remember()
    assert set(listed(recalled(file).library)) == {"one", "two"}


def test_a_damaged_copy_is_removed_and_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "prompts.sqlite"
    file.write_bytes(b"no database" * 1000)
    kept = PromptsKept(file)
    with capture_logs() as told:
        assert not kept.recall()
    assert [each["event"] for each in told] == ["prompts_copy_unreadable"]
    kept.begin(records([PROMPT, version("one", "1.0")]))
    kept.remember()
    assert set(listed(recalled(file).library)) == {"one"}
