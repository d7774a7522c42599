"""How lag is told: per partition, in sums, and as progress from one look to the next."""

import io
import json

from rich.console import Console, RenderableType

from eventlog.port import Lag
from runtime.lag_table import Progress, as_json, as_progress, as_table, behind, sums


def lags(first: int, second: int) -> dict[str, list[Lag]]:
    return {
        "calls": [Lag(topic="llm.responses.v1", partition=0, messages=0, seconds=0.0)],
        "sink": [
            Lag(topic="llm.calls.v1", partition=1, messages=second, seconds=75.0 if second else 0.0),
            Lag(topic="llm.calls.v1", partition=0, messages=first, seconds=1.25 if first else 0.0),
        ],
    }


def shown(what: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_rows_name_the_role_and_are_in_order() -> None:
    rows = behind(lags(3, 40))
    assert [(row.role, row.reader, row.topic, row.partition, row.messages) for row in rows] == [
        ("processors", "calls", "llm.responses.v1", 0, 0),
        ("sink", "sink", "llm.calls.v1", 0, 3),
        ("sink", "sink", "llm.calls.v1", 1, 40),
    ]
    (_, whole) = sums(rows)
    assert (whole.partitions, whole.messages, whole.seconds) == (2, 43, 75.0)
    assert behind({"somebody": []}) == []


def test_json_has_rows_and_the_whole() -> None:
    told = json.loads(as_json(behind(lags(3, 40))))
    assert (told["messages"], told["seconds"], len(told["lags"])) == (43, 75.0, 3)
    assert told["lags"][1] == {"role": "sink", "reader": "sink", "topic": "llm.calls.v1", "partition": 0, "messages": 3, "seconds": 1.25}
    assert json.loads(as_json([])) == {"messages": 0, "seconds": 0.0, "lags": []}


def test_the_table_has_a_row_for_each_partition() -> None:
    text = shown(as_table(behind(lags(3, 40))))
    assert [line.split("│")[4:7] for line in text.splitlines() if "llm.calls" in line] == [
        ["         0 ", "        3 ", "     1.2 "],
        ["         1 ", "       40 ", "    75.0 "],
    ]


def test_progress_goes_from_look_to_look() -> None:
    progress = Progress()
    first = shown(as_progress(behind(lags(100, 100)), progress, 0.0))
    assert "200" in first
    assert "0:01:15" in first
    assert "/s" not in first  # one look tells no speed
    second = shown(as_progress(behind(lags(100, 0)), progress, 2.0))
    assert "-50.0/s" in second
    assert "2.0 s" in second  # a hundred more, at fifty a second
    growing = shown(as_progress(behind(lags(100, 50)), progress, 2.0))
    assert "+25.0/s" in growing
    done = shown(as_progress(behind(lags(0, 0)), progress, 2.0))
    assert "0 messages behind" in done
    assert progress.most["sink", "llm.calls.v1"] == 200
