"""What docs/events.md shows is true: its examples fit, its snippets run. Its consumer runs in tests/kafka/test_events_consumer.py."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from eventlog.schemas import schema_json
from eventlog.topics import HELD, TOPICS, partition_of
from tests.docs.test_readme import run_python
from tests.fakes.stack import Stack
from tests.fakes.stack import stack as running
from tests.runtime.test_cli import typed

PAGE = Path(__file__).parents[2] / "docs" / "events.md"
CALL = """
from openai import OpenAI
OpenAI(api_key="x", base_url="http://localhost:8787/v1").chat.completions.create(
    model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}]
)
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("events")) as made:
        yield made


def snippet(text: str) -> str:
    (found,) = [block for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL) if text in block]
    return found


def test_every_topic_is_in_its_table() -> None:
    rows = re.findall(r"^\| `((?:llm|heliograph)\.[^`]+)` \| (.*?) \|", PAGE.read_text(), re.MULTILINE)
    assert {name for name, _ in rows} == {*TOPICS, HELD.name}


def test_its_examples_fit_their_schemas() -> None:
    sections = re.findall(r"^### `([a-z-]+)` on `([^`]+)`\n.*?^```json\n(.*?)\n```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(sections) == 6
    for event, topic, example in sections:
        found = json.loads(example)
        assert found["event"] == event
        jsonschema.validate(found, json.loads(schema_json(topic)))


def test_its_rule_of_partitions_is_ours() -> None:
    program = "import sys, zlib; print(zlib.crc32((sys.argv[1] + '\\0' + sys.argv[2]).encode()) % int(sys.argv[3]))"
    assert 'crc32(organization + "\\0" + request_id) mod partitions' in PAGE.read_text()
    for request_id in ("order-17", "größe"):
        done = subprocess.run([sys.executable, "-c", program, "acme", request_id, "12"], capture_output=True, text=True, check=True)
        assert int(done.stdout) == partition_of("acme", request_id, 12)  # type: ignore[arg-type]


def test_its_validator_validates(stack: Stack) -> None:
    assert "'cost_usd'" not in run_python(snippet("jsonschema.validate"), stack)


def test_its_parquet_is_the_lake(stack: Stack) -> None:
    run_python(CALL, stack)
    stack.rows("true")
    assert "gpt-4o-mini" in run_python(snippet("/v1/tables/{table}/files"), stack)


def test_what_a_running_heliograph_says_fits(stack: Stack) -> None:
    run_python(CALL, stack)
    stack.rows("true")
    shown = typed("tail", "--last", "100", "--count", "3", "--format", "json", HELIOGRAPH_DATA_DIR=str(stack.data_dir)).stdout
    events = [json.loads(line) for line in shown.splitlines()]
    assert len(events) == 3
    for each in events:
        jsonschema.validate(each["event"], json.loads(schema_json(each["topic"])))
