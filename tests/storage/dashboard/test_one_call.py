"""A call as a command, its time as bars, the stretches of a search."""

import shlex
from datetime import timedelta
from typing import Any

import pytest

from storage.dashboard.body_search import LEAST, LONGEST, forms_of, stretch_after
from storage.dashboard.call_columns import DEFAULT, MOST, chosen
from storage.dashboard.curl import BODY_CHARACTERS, curl
from storage.dashboard.waterfall import waterfall

ROW: dict[str, Any] = {
    "method": "POST",
    "provider": "openai",
    "dialect": "openai.chat",
    "path": "/v1/chat/completions?key=AIzaSecret&sig=abc&api-version=2&x=***",
    "target_url": "https://api.openai.com/v1/chat/completions",
}


def test_a_command_names_the_key_and_holds_none() -> None:
    body = """{"messages": [{"content": "it's $HOME `id` $(id)\\n"}]}"""
    made = curl(ROW, body, "application/json")
    words = shlex.split(made.replace("\\\n", " "))
    assert words[:2] == ["curl", "https://api.openai.com/v1/chat/completions?api-version=2"]
    assert words[words.index("--data-binary") + 1] == body
    assert "Authorization: Bearer $OPENAI_API_KEY" in words
    assert "Secret" not in made


@pytest.mark.parametrize(
    ("provider", "header"),
    [
        ("anthropic", "x-api-key: $ANTHROPIC_API_KEY"),
        ("google", "x-goog-api-key: $GEMINI_API_KEY"),
        ("azure", "api-key: $AZURE_OPENAI_API_KEY"),
        ('my"; rm -rf /;`x`', "Authorization: Bearer $MY___RM__RF____X__API_KEY"),
    ],
)
def test_each_provider_has_its_header(provider: str, header: str) -> None:
    assert header in shlex.split(curl(ROW | {"provider": provider}, "{}", None).replace("\\\n", " "))


def test_a_long_body_is_a_file_and_a_get_has_none() -> None:
    assert curl(ROW, "x" * (BODY_CHARACTERS + 1), None).endswith("--data-binary @request.json")
    assert curl(ROW, None, None).endswith("@request.json")
    assert "data" not in curl(ROW | {"method": "GET"}, "x", None)


def test_bars_lie_on_one_axis() -> None:
    attempt = {"origin": "https://a", "status": 429, "failure": None, "began_ms": 0, "took_ms": 500}
    found = waterfall(4000.0, 2000.0, [attempt, attempt | {"status": 200, "began_ms": 1000.0, "took_ms": 1000}])
    assert found is not None
    assert [(bar.name, bar.x, bar.width) for bar in found.bars] == [
        ("Attempt 1", 0, 12.5),
        ("Attempt 2", 25, 25),
        ("To the first token", 0, 50),
        ("Answer", 50, 50),
        ("Whole call", 0, 100),
    ]
    assert all(bar.x + bar.width <= 100 for bar in found.bars)
    assert waterfall(None, None, []) is None
    assert waterfall(0.0, None, []) is None


def test_a_text_is_sought_as_json_has_it() -> None:
    assert forms_of("plain") == ("plain",)
    assert forms_of('é "x"\n') == ('é "x"\n', 'é \\"x\\"\\n', '\\u00e9 \\"x\\"\\n')


def test_stretches_fit_how_long_they_take() -> None:
    hour = timedelta(hours=1)
    assert stretch_after(hour, 0.1) == 2 * hour
    assert stretch_after(hour, 1) == hour
    assert stretch_after(hour, 9) == hour / 2
    assert stretch_after(LEAST, 9) == LEAST
    assert stretch_after(LONGEST, 0) == LONGEST


def test_columns_by_name() -> None:
    assert [column.name for column in chosen([])] == list(DEFAULT)
    assert [column.name for column in chosen(["model", "nothing", "property.Plan", "model", "property."])] == ["model", "property.plan"]
    (hostile,) = chosen(['property."; DROP TABLE calls; --'])
    assert (hostile.sql.text, hostile.sql.values) == ("properties[?]", ('"; drop table calls; --',))
    assert len(chosen([f"property.{number}" for number in range(100)])) == MOST
