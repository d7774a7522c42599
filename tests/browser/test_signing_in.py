"""Signing in and out, the first call, and a page that is left open."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from eventlog.keys import Scope
from tests.browser.conftest import NOW
from tests.fakes.browser import PATIENCE_MS, Eyes, Served
from tests.fakes.keyring import READER, STRANGER, key, keyring

Windows = Callable[..., Eyes]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("signing-in")
    with Served(folder, NOW.timestamp) as made:
        yield made


def test_before_the_first_call_and_when_it_comes(eyes: Windows, served: Served) -> None:
    served.keys = {}
    window = eyes(permissions=["clipboard-read", "clipboard-write"])
    page = window.open("/dashboard")
    expect(page.get_by_role("heading", name="Send the first call")).to_be_visible()
    page.locator(".snippet", has_text="curl").first.get_by_role("button", name="Copy").click()
    assert page.evaluate("navigator.clipboard.readText()").startswith("curl http://localhost:8787/v1/chat/completions")
    served.lake.add("calls", {"call_id": "first", "created_at": NOW.isoformat().replace("15:30", "15:29"), "cost_usd": "0.000012"})
    expect(page.locator(".number").first).to_have_text("$0.000012", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Live").click()
    served.lake.add("calls", {"call_id": "second", "created_at": NOW.isoformat().replace("15:30", "15:29:30"), "cost_usd": "0.000012"})
    expect(page.locator(".number").first).to_have_text("$0.000024", timeout=PATIENCE_MS)


def test_signing_in_and_out_and_a_key_that_ends(eyes: Windows, served: Served) -> None:
    served.keys = keyring(key(READER, Scope.READ))
    served.lake.add("calls", {"call_id": "acme", "created_at": NOW.isoformat().replace("15:30", "15:29"), "organization": "acme"})
    window = eyes()
    page = window.page
    page.goto("/dashboard?range=7d&model=gpt-4o-mini")
    page.wait_for_url("**/sign-in?next=*")
    assert window.serious() == []
    page.get_by_label("Key").fill(STRANGER)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("This Heliograph key is not known here")
    window.faults.clear()  # the browser tells of a 401 on its console
    page.get_by_label("Key").fill(READER)
    page.get_by_label("Key").press("Enter")
    page.wait_for_url("**/dashboard?range=7d&model=gpt-4o-mini")
    window.settled()
    expect(page.locator(".number").nth(1)).to_have_text("1")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    page.get_by_label("Key").fill(READER)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/dashboard")
    window.settled()
    served.keys = keyring(key(STRANGER, Scope.READ))
    page.keyboard.press("r")
    page.wait_for_url("**/sign-in?next=*")
    expect(page.get_by_role("alert")).to_contain_text("is not known here")
    window.faults.clear()
