"""Which calls a webhook hears of; when an alert begins and when it is over."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from eventlog.alerts import AlertState, Measured, turned
from eventlog.control import Decided, key_of
from eventlog.events import Organization
from eventlog.webhooks import PropertyIs
from tests.fakes.facts import priced
from tests.fakes.hooks import alert, webhook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FEATURE = PropertyIs(key="feature", value="chat")


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        pytest.param({}, True, id="all calls"),
        pytest.param({"organization": Organization("acme")}, False, id="another organization's"),
        pytest.param({"property_filters": (FEATURE,)}, True, id="a property that it has"),
        pytest.param({"property_filters": (replace(FEATURE, value="search"),)}, False, id="another value"),
        pytest.param({"property_filters": (FEATURE, PropertyIs(key="plan", value="pro"))}, False, id="one of two properties"),
        pytest.param({"sample_rate": 0.0}, False, id="no calls at all"),
    ],
)
def test_which_calls_are_wanted(more: dict[str, Any], wanted: bool) -> None:
    assert webhook(**more).wants(priced(1)) is wanted


def test_a_sample_is_of_its_size_and_stays() -> None:
    calls = [priced(number) for number in range(4000)]

    def heard(**more: Any) -> set[str]:
        return {call.call.call_id for call in calls if webhook(**more).wants(call)}

    tenth = heard(sample_rate=10.0)
    assert 320 < len(tenth) < 480
    assert tenth == heard(sample_rate=10.0)
    assert tenth < heard(sample_rate=30.0)  # whoever raises the rate goes on hearing of the same
    assert tenth != heard(sample_rate=10.0, id_="w2")
    assert len(heard(sample_rate=100.0)) == len(calls)


def test_its_keys_are_in_no_text() -> None:
    assert "key-of-messages" not in repr(webhook())
    assert "key-of-links" not in repr(webhook())
    assert "t0p" not in repr(webhook())


def test_they_are_decisions() -> None:
    decided, state = Decided(), AlertState(id="a1", on=True, since=NOW)
    decided.replace({key_of(each): each for each in (webhook(), alert(), state)})
    assert (decided.webhooks, decided.alerts, decided.alert_states) == ({"w1": webhook()}, {"a1": alert()}, {"a1": state})


ON, OVER = (AlertState(id="a1", on=on, since=NOW - timedelta(minutes=10)) for on in (True, False))
TURNS = {
    "beyond for the first time": (None, Measured(10.5, 3), True),
    "at the threshold is not beyond": (None, Measured(10.0, 3), None),
    "beyond, with too few calls": (None, Measured(10.5, 1), None),
    "nothing is known": (None, Measured(None, 0), None),
    "goes on": (ON, Measured(11.0, 3), None),
    "over": (ON, Measured(9.0, 3), False),
    "over for want of calls": (ON, Measured(None, 0), False),
    "beyond once more": (OVER, Measured(11.0, 3), True),
    "over a moment after it began": (replace(ON, since=NOW - timedelta(seconds=299)), Measured(9.0, 3), None),
    "beyond a moment after it was over": (replace(OVER, since=NOW - timedelta(seconds=299)), Measured(11.0, 3), None),
}


@pytest.mark.parametrize(("state", "found", "on"), TURNS.values(), ids=TURNS)
def test_turns(state: AlertState | None, found: Measured, on: bool | None) -> None:
    turn = turned(alert(minimum_calls=2), state, found, NOW)
    expected = None if on is None else AlertState(id="a1", on=on, since=NOW, value=found.value, calls=found.calls)
    assert turn == expected
