"""A series that begins with its first count has no rate to be alarmed by: those of known labels are there at 0."""

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from processors.telemetry import REASONS
from storage import telemetry

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("reason", REASONS)
def test_dead_letters(reason: str) -> None:
    assert REGISTRY.get_sample_value("heliograph_dead_letters_total", {"reason": reason}) is not None


def test_every_reason_of_a_dead_letter_is_known() -> None:
    text = (ROOT / "processors" / "steps.py").read_text() + (ROOT / "processors" / "calls.py").read_text()
    found = set(re.findall(r'letter_of\([^"\n]*"([a-z_]+)"', text)) | set(re.findall(r'_Call\(.*?, "([a-z_]+)", ', text))
    assert found == set(REASONS)


@pytest.mark.parametrize("metric", ["rows", "commits", "repeats", "expired", "gaps", "holes", "conflicts"])
def test_a_sinks_table(metric: str) -> None:
    telemetry.expect("a_table_of_no_rows")
    assert REGISTRY.get_sample_value(f"heliograph_sink_{metric}_total", {"table": "a_table_of_no_rows"}) == 0
