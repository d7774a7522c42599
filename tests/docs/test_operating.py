"""What docs/operating.md tells to type can be typed: filters are filters, services and their ports are those of the compose file."""

import re
import shlex
from pathlib import Path

import pytest

from runtime.filters import parse_filter
from runtime.tail_cli import _topics
from tests.fakes.compose import compose

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "operating.md").read_text() + (DOCS.parent / "README.md").read_text()
TAILS = re.findall(r"heliograph (tail\b[^`\n]*)", TEXT)
SERVICES = compose()["services"]


@pytest.mark.parametrize("line", [line for line in TAILS if "--" in line])
def test_a_tail_is_one(line: str) -> None:
    words = shlex.split(line, comments=True)
    assert [parse_filter(words[place + 1]) for place, word in enumerate(words) if word == "--filter"] or "--last" in words
    if not words[1].startswith("-"):
        assert _topics(words[1])


def test_there_are_some() -> None:
    assert sum("--filter" in line for line in TAILS) >= 3


def test_what_is_scraped_listens_and_goes_by_that_name() -> None:
    targets = dict(re.findall(r"`([a-z0-9-]+):(\d{4})`", TEXT.split("scrape metrics")[1].split("\n")[0]))
    assert set(targets) == {"ingress-1", "ingress-2", "processors", "sink", "webhooks", "api"}
    for name, port in targets.items():
        service = SERVICES[name]
        assert f":{port}/" in " ".join(service["healthcheck"]["test"])
        assert name in service["environment"]["HELIOGRAPH_ALLOWED_HOSTS"].split(",")


def test_what_is_scaled_can_be() -> None:
    """A service with a port or a volume of its own has room for one."""
    for name in re.findall(r"--scale (\w+)=", TEXT):
        assert "ports" not in SERVICES[name]
        assert not [mount for mount in SERVICES[name].get("volumes", []) if mount.split(":")[1] == "/data"]
