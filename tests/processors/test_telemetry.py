"""What is counted of calls: by what their cost rests on, and by the models whose price nobody knows; callers make no series without end."""

from collections.abc import Callable, Sequence

import pytest
from prometheus_client import REGISTRY

from eventlog.events import CallPriced, Outcome, PriceBasis
from processors import telemetry
from processors.telemetry import MODELS, OTHER, count_calls
from tests.processors.events import call, completed
from tests.processors.test_calls import row_of

UNPRICED = "heliograph_unpriced_calls_total"


def priced(basis: PriceBasis) -> float:
    found = REGISTRY.get_sample_value("heliograph_priced_calls_total", {"basis": basis})
    assert found is not None, "there at 0 from the start"
    return found


def unpriced(provider: str, model: str) -> float:
    return REGISTRY.get_sample_value(UNPRICED, {"provider": provider, "model": model}) or 0


def grew(by: Sequence[CallPriced], read: Callable[[], float]) -> float:
    before = read()
    count_calls(by)
    return read() - before


def house(model: str, provider: str = "openai") -> CallPriced:
    answer = f'{{"model": "{model}", "usage": {{"prompt_tokens": 5, "completion_tokens": 5}}}}'
    return row_of(completed(answer, facts=call(provider, model=model)))


@pytest.fixture(autouse=True)
def _none_are_told_apart_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_told_apart", set())


BASES = {
    PriceBasis.LIST: completed(),
    PriceBasis.CALL: completed(facts=call(cost_override={"request": "1"})),
    PriceBasis.LOCAL: completed(facts=call("ollama")),
    PriceBasis.CACHE: completed(cache_hit=True),
    PriceBasis.UNKNOWN: completed('{"model": "m"}'),
}


@pytest.mark.parametrize("basis", PriceBasis)
def test_every_basis_is_counted(basis: PriceBasis) -> None:
    events = [row_of(event) for event in BASES.values()]
    assert grew(events, lambda: priced(basis)) == (basis in BASES)


def test_only_calls_whose_tokens_are_known_lack_a_price() -> None:
    assert grew([house("house-a"), house("house-a")], lambda: unpriced("openai", "house-a")) == 2
    untold = row_of(completed('{"model": "house-b"}', facts=call(model="house-b")))
    away = row_of(completed(None, facts=call(model="house-b"), outcome=Outcome.UNREACHABLE))
    assert grew([untold, away], lambda: unpriced("openai", "house-b")) == 0
    assert grew([row_of(completed())], lambda: unpriced("openai", "gpt-4o-2024-08-06")) == 0


def test_so_many_models_are_told_apart_and_no_more() -> None:
    def other() -> float:
        return unpriced(OTHER, OTHER)

    many = [house(f"house-{number}", f"p{number % 7}.example.com") for number in range(MODELS + 30)]
    assert grew(many, other) == 30
    assert grew([many[0], many[-1]], other) == 1  # one that was told apart stays so
    assert unpriced("p0.example.com", "house-0") == 2
    series = {tuple(sample.labels.values()) for metric in REGISTRY.collect() for sample in metric.samples if sample.name == UNPRICED}
    assert not {("p6.example.com", f"house-{MODELS + 1}"), ("p0.example.com", f"house-{MODELS + 10}")} & series
