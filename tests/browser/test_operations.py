"""Models, Cache, Limits and Health in a real browser: readable everywhere, with links and commands that do what they say."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NOW, history
from tests.fakes.browser import Eyes, Served
from tests.fakes.hostile_text import HOSTILE

Windows = Callable[..., Eyes]
PAGES = {"models": "models", "cache": "cache", "limits": "limits", "health": "health"}


@pytest.fixture(scope="module", autouse=True)
def calls(served: Served) -> None:
    history(served.lake)
    at = (NOW - timedelta(hours=30)).isoformat()
    served.lake.add(
        "calls",
        *(
            {
                "call_id": f"r{place}",
                "created_at": at,
                "model": text,
                "user_id": text,
                "provider": text,
                "outcome": "rejected",
                "error": text,
            }
            | {"properties": {"plan": text}}
            for place, text in enumerate(HOSTILE)
        ),
        {"call_id": "l", "created_at": at, "outcome": "rate_limited", "status": 429, "error": "rate_limited: 5;w=60 is reached"},
        {"call_id": "c", "created_at": at, "cache_hit": True, "cache_reference_id": HOSTILE[0], "cost_usd": "0", "cost_saved_usd": "9"},
    )
    letters = ({"topic": text, "partition": 0, "offset": place, "index": 0} for place, text in enumerate(HOSTILE[:40]))
    served.lake.add(
        "dead_letters", *(each | {"reason": each["topic"], "error": each["topic"], "payload": each["topic"], "at": at} for each in letters)
    )


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_everybody_can_read_it_and_names_stay_text(eyes: Windows, path: str) -> None:
    window = eyes(color_scheme="dark", viewport={"width": 1366, "height": 900})
    window.page.on("dialog", lambda _: window.faults.append("a dialog"))
    page = window.open(f"/dashboard/{path}?range=7d" if path != "health" else "/dashboard/health")
    expect(page.locator(".refused")).to_have_count(0)
    assert page.locator("main script, main iframe, main img, main [onerror], main [style]").count() == 0
    assert window.serious() == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_from_a_model_without_a_price_to_the_command_that_sets_one(eyes: Windows) -> None:
    window = eyes(permissions=["clipboard-read", "clipboard-write"])
    page = window.open("/dashboard/models?range=7d")
    case = page.locator("[data-panel=unpriced] li", has_text="own-model")
    case.get_by_role("button", name="Copy").click()
    expect(case.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "heliograph prices set input=2.5,output=10 --provider vllm --model own-model"
    page.keyboard.press("g")
    page.keyboard.press("h")
    page.wait_for_url("**/dashboard/cache?range=7d")
    window.settled()
    page.locator("[data-panel=by-model]").get_by_role("link", name="gpt-4o-mini").click()
    page.wait_for_url("**model=gpt-4o-mini")
    window.settled()
    expect(page.locator("[data-panel=figures] .plot")).to_have_count(3)
