"""The pages that repeat what the code says are not behind it."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def pages():  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PAGES


@pytest.mark.parametrize("name", ["settings.md", "cli.md", "tables.md", "events.md"])
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    assert (DOCS / name).read_text() == pages()[name](), f"docs/{name} is behind the code: run `make docs`"


def test_every_command_has_its_section() -> None:
    text = (DOCS / "cli.md").read_text()
    for words in (
        "up",
        "ingress",
        "api",
        "query",
        "settings",
        "run",
        "demo provider",
        "lake",
        "lake files",
        "lake sql",
        "export",
        "lag",
        "tail",
    ):
        assert f"## `heliograph {words}`" in text
