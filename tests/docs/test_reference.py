"""Endpoints, metrics, columns and headers: what exists is documented, and what is documented exists."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from msgspec import structs

from runtime.demo_faults import Faults
from tests.fakes.stack import Stack, get
from tests.fakes.stack import stack as running

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("reference")) as made:
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
        httpx.post(f"{made.proxy}/v1/chat/completions", json=body, headers={"authorization": "Bearer sk-test"})
        made.rows("true")
        yield made


def first_column(page: str) -> set[str]:
    """The code-quoted first cells of all tables of a page."""
    return set(re.findall(r"^\| `([^`]+)`", (DOCS / page).read_text(), re.MULTILINE))


def test_metrics(stack: Stack) -> None:
    text = get(f"{stack.proxy}/metrics").decode() + get(f"{stack.api}/metrics").decode()
    exported = {name for name in re.findall(r"^# TYPE (\w+)", text, re.MULTILINE) if name.startswith("heliograph_")}
    assert exported
    documented = first_column("metrics.md")
    assert exported <= documented


def test_columns(stack: Stack) -> None:
    tables = json.loads(get(f"{stack.api}/v1/tables"))
    text = (DOCS / "tables.md").read_text()
    for table in tables["tables"]:
        section = text.split(f"## `{table['name']}`")[1].split("\n## ")[0]
        documented = re.findall(r"^\| `([^`]+)`", section, re.MULTILINE)
        assert documented == [column["name"] for column in table["columns"]], table["name"]


@pytest.mark.parametrize("door", ["proxy", "api"])
def test_endpoints(stack: Stack, door: str) -> None:
    described = json.loads(get(f"{getattr(stack, door)}/openapi.json"))
    exists = {f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods}
    documented = {entry for page in DOCS.glob("*.md") for entry in first_column(page.name) if entry.split()[0].isupper()}
    assert exists <= documented, exists - documented


def test_error_codes_are_documented() -> None:
    """Codes are class attributes or first arguments; each stands in the table of `docs/api.md`."""
    codes: set[str] = set()
    for folder in ("ingress", "storage", "runtime"):
        for path in (ROOT / folder).glob("*.py"):
            codes |= set(re.findall(r"\(\d{3}, \"([a-z_]+)\", \"", path.read_text()))
            codes |= set(re.findall(r"\bcode(?:: ClassVar\[str\])? ?= ?\"([a-z_0-9]+)\"", path.read_text()))
    assert codes
    assert codes <= first_column("api.md"), codes - first_column("api.md")


def test_faults_of_the_demo_provider() -> None:
    documented = {re.split(r"=", entry)[0] for entry in first_column("demo.md")}
    assert documented == {field.encode_name for field in structs.fields(Faults)}


def test_the_licence_is_the_one_that_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (declared["license"], declared["license-files"]) == ("Apache-2.0", ["LICENSE"])
    text = (ROOT / "LICENSE").read_text()
    for words in ("Apache License", "Version 2.0, January 2004", "END OF TERMS AND CONDITIONS"):
        assert words in text


def test_every_done_row_names_a_test_that_exists() -> None:
    """A row of the compatibility page that says *done* under a header names the test that shows it."""
    text = (DOCS / "compatibility.md").read_text().split("## Response headers")[1]
    rows = [line for line in text.splitlines() if line.startswith("| `") and "| done" in line]
    assert len(rows) > 10
    for row in rows:
        (named,) = re.findall(r"`(tests/[^`]+)`", row)
        assert (ROOT / named).exists(), row


HELICONES = """
helicone-auth helicone-jwt helicone-target-url helicone-target-provider helicone-openai-api-base helicone-fallbacks helicone-request-id
helicone-manual-access-key helicone-gateway-body-mapping x-stripe-customer-id helicone-cache-enabled helicone-cache-save
helicone-cache-read cache-control helicone-cache-control helicone-cache-bucket-max-size helicone-cache-seed helicone-cache-ignore-keys
helicone-ratelimit-policy helicone-ratelimit-cost-cents helicone-retry-enabled helicone-retry-num helicone-retry-factor
helicone-retry-min-timeout helicone-increase-timeout helicone-user-id helicone-property-<name> helicone-session-id helicone-prompt-id
helicone-prompt-mode helicone-model-override helicone-experiment-id helicone-node-id helicone-posthog-key helicone-lytix-key
helicone-webhook-enabled helicone-omit-request helicone-stream-usage helicone-stream-force-format helicone-moderations-enabled
helicone-llm-security-enabled helicone-llm-security-advanced helicone-token-limit-exception-handler __helicone-mock-response
""".split()


@pytest.mark.parametrize("header", HELICONES)
def test_every_header_of_helicone_has_a_verdict(header: str) -> None:
    text = (DOCS / "compatibility.md").read_text().split("## Request headers")[1].lower()
    rows = [line for line in text.splitlines() if line.startswith("|") and f"`{header}`" in line.split("|")[1]]
    assert len(rows) == 1
    assert rows[0].split("|")[2].strip().startswith(("done", "planned", "not planned"))
