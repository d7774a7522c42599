"""Bodies as nobody would write them: the cases' own, cut, mixed, and filled with values of another kind.

`make fuzz` tries a million of them; `make test` some thousands. python -m tests.processors.mutations [--mutations 1000000] [--seed 1]
"""

import argparse
import json
import random
import re
import sys
import time
from pathlib import Path

from eventlog.events import Body
from processors.dialects import DIALECTS
from processors.dialects.dialect import Dialect

CASES = Path(__file__).parents[1] / "cases" / "dialects"
BY_NAME = {dialect.name: dialect for dialect in DIALECTS}
BODIES = [(path.parents[1].name, path.read_bytes()) for path in sorted(CASES.glob("*/*/response.*"))]

WORDS = [
    b'"usage"',
    b"null",
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
    b"\n",
    b"\n\n",
    b"data: ",
    b"-",
    b"1e999",
    b"9" * 30,
    b"9" * 5000,
    b"\\ud800",
    b"\x00",
    b"\xff",
]


KINDS = ["[]", "{}", "[1]", '{"a":1}', "null", "-1", "1.5", "true", '"x"', '[[{"index":0}]]']
VALUE = re.compile(r':\s*("[^"]*"|\d+|null)')


def _of_another_kind(text: str, chance: random.Random) -> str:
    """One value of the text replaced by one of another kind."""
    values = list(VALUE.finditer(text))
    if not values:
        return text
    start, end = chance.choice(values).span(1)
    return text[:start] + chance.choice(KINDS) + text[end:]


def _mutated(data: bytes, chance: random.Random) -> str:
    mutated = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(mutated) + 1)
        mutated[at : at + chance.choice([0, 1, 8, 200])] = chance.choice([*WORDS, chance.randbytes(3), data[at // 2 : at]])
    return bytes(mutated).decode("utf-8", "replace")


def attempt(dialect: Dialect, body: Body) -> None:
    reading = dialect.read(body)
    assert reading.usage is None or reading.usage.input >= 0
    text = dialect.assemble(body)
    assert text is None or isinstance(json.loads(text), dict)


def try_mutations(seed: int, count: int) -> None:
    """What fails is raised with the dialect and the body, so that it can be made a case."""
    chance = random.Random(seed)
    for _ in range(count):
        name, data = chance.choice(BODIES)
        text = _mutated(data, chance) if chance.random() < 0.5 else data.decode("utf-8", "replace")
        for _ in range(chance.randint(0, 3)):
            text = _of_another_kind(text, chance)
        dialect = BY_NAME[name] if chance.random() < 0.8 else chance.choice(DIALECTS)
        body = Body(text=text, content_type=chance.choice(["text/event-stream", "application/json"]))
        try:
            attempt(dialect, body)
        except Exception as error:
            error.add_note(f"{dialect.name}, {body.content_type}: {text!r}")
            raise


def main() -> int:
    parser = argparse.ArgumentParser(description="Read mutated bodies with every dialect; the first that raises ends it.")
    parser.add_argument("--mutations", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    began, each = time.monotonic(), 10_000
    for done in range(0, asked.mutations, each):
        try_mutations(asked.seed + done, min(each, asked.mutations - done))
        so_far = min(done + each, asked.mutations)
        sys.stdout.write(f"seed {asked.seed}: {so_far:,} of {asked.mutations:,} in {time.monotonic() - began:.0f} s, none raised\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
