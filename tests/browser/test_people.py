"""Sessions, users, properties and feedback in a real browser."""

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NOW, history
from tests.fakes.browser import Eyes, Served

Windows = Callable[..., Eyes]


@pytest.fixture(scope="module", autouse=True)
def calls(served: Served) -> None:
    history(served.lake)
    began = NOW - timedelta(minutes=30)
    steps = [
        ("/plan", 0, "completed"),
        ("/plan/flights", 2, "completed"),
        ("/plan/flights", 3, "timed_out"),
        ("/plan/hotels", 900, "completed"),
    ]
    served.lake.add(
        "calls",
        *(
            {
                "call_id": f"step-{number}",
                "created_at": (began + timedelta(seconds=seconds)).isoformat(),
                "session_id": "trip 1",
                "session_name": "Trip",
                "session_path": path,
                "user_id": "ada",
                "outcome": outcome,
                "latency_ms": 4000.0,
                "cost_usd": None if outcome == "timed_out" else "0.25",
            }
            for number, (path, seconds, outcome) in enumerate(steps)
        ),
    )  # fmt: skip
    at = NOW.isoformat()
    served.lake.add(
        "feedback",
        {"feedback_id": "1", "request_id": "step-0", "given_at": at, "rating": False, "comment": "Wrong city."},
        {"feedback_id": "2", "request_id": "step-1", "given_at": at, "rating": True, "scores": {"tone": 0.4}},
        {"feedback_id": "3", "request_id": "step-3", "given_at": at, "scores": {"tone": 0.9}},
    )


def said(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


@pytest.mark.parametrize("path", ["sessions", "sessions/trip%201", "users", "users/ada", "properties", "feedback"])
def test_everybody_can_read_it(eyes: Windows, path: str) -> None:
    window = eyes()
    window.open(f"/dashboard/{path}")
    assert window.serious() == []
    window.page.set_viewport_size({"width": 360, "height": 740})
    assert window.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_from_the_list_to_a_session_and_its_branches(eyes: Windows) -> None:
    window = eyes()
    page = window.open("/dashboard/sessions?range=7d")
    page.get_by_role("link", name="Cost", exact=True).click()
    window.settled()
    assert said(page) == {"range": ["7d"], "sort": ["cost"]}
    page.get_by_role("link", name="Trip trip 1").click()
    window.settled()
    assert urlsplit(page.url).path == "/dashboard/sessions/trip%201"
    bars = page.locator(".call-bar")
    expect(bars).to_have_count(4)
    expect(page.locator(".lane a[href='/dashboard/calls/step-2?range=7d']")).to_have_count(1)
    assert len({each.bounding_box()["y"] for each in bars.all() if each.bounding_box()}) == 4  # type: ignore[index]
    narrow = (bars.first.bounding_box() or {})["width"]
    page.get_by_role("switch", name="Squeeze pauses").click()
    window.settled()
    assert said(page)["idle"] == ["shown"]
    assert (page.locator(".call-bar").first.bounding_box() or {})["width"] < narrow / 4
    plan = page.locator("summary", has_text="plan").first
    expect(plan).to_contain_text("$0.750")
    flights = page.locator("summary", has_text="flights")
    expect(flights).to_contain_text("33.3")
    flights.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".tree-call[href*='step-2']")).to_be_hidden()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".tree-call[href*='step-1']")).to_be_focused()
    page.get_by_role("button", name="Close all").click()
    expect(flights).to_be_hidden()


def test_from_users_to_one_and_from_a_property_to_the_overview(eyes: Windows) -> None:
    window = eyes()
    page = window.open("/dashboard/users?range=7d&model=gpt-4o-mini")
    page.get_by_role("region", name="Ranking").get_by_role("link", name="Calls", exact=True).click()
    window.settled()
    assert said(page)["rank"] == ["calls"]
    page.get_by_role("link", name="ada", exact=True).click()
    window.settled()
    assert said(page) == {"range": ["7d"], "model": ["gpt-4o-mini"]}
    expect(page.get_by_role("heading", level=1)).to_contain_text("ada")
    expect(page.locator(".number").first).to_have_text("$0.750")
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.wait_for_url("**/properties**")
    window.settled()
    page.get_by_role("link", name="plan", exact=True).click()
    window.settled()
    with page.expect_download() as file:
        page.get_by_role("link", name="Save as CSV", exact=True).click()
    rows = file.value.path().read_text().splitlines()
    assert {row.split(",")[0] for row in rows} == {"value", "free", "pro", ""}
    page.get_by_role("link", name="pro", exact=True).click()
    window.settled()
    assert said(page)["property.plan"] == ["pro"]


def test_feedback_leads_to_the_worst_calls(eyes: Windows) -> None:
    window = eyes()
    page = window.open("/dashboard/feedback")
    expect(page.locator(".number").first).to_have_text("50\u202f%")
    expect(page.locator("[data-panel=worst] tbody tr")).to_contain_text(["Wrong city."])
    page.get_by_role("link", name="Lowest ›").click()
    window.settled()
    assert said(page)["worst"] == ["tone"]
    expect(page.locator("[data-panel=worst] tbody tr").first).to_contain_text("0.4")
    page.locator("[data-chart=score-spread] [data-table]").click()
    expect(page.locator("[data-chart=score-spread] td").first).to_be_visible()
