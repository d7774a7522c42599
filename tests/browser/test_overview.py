"""The overview in a real browser, as people use it."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import history
from tests.fakes.browser import Eyes, Served
from tests.fakes.hostile_text import HOSTILE

Windows = Callable[..., Eyes]


@pytest.fixture(scope="module", autouse=True)
def calls(served: Served) -> None:
    history(served.lake)


def number(page: Page, name: str) -> str:
    return page.locator(".card", has=page.get_by_role("heading", name=name, exact=True)).locator(".number").inner_text()


def said(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


@pytest.mark.parametrize(
    "context",
    [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": {"width": 360, "height": 740}}],
    ids=["light", "dark", "phone"],
)
def test_figures_that_everybody_can_read(eyes: Windows, context: dict[str, object]) -> None:
    window = eyes(**context)
    page = window.open("/dashboard")
    assert number(page, "Calls") == "74"  # from 15:00 on the day before
    assert number(page, "Errors") == "6.8\u202f%"
    expect(page.get_by_text("calls are unpriced")).to_be_visible()
    expect(page.locator(".chart .plot")).to_have_count(7)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert window.serious() == []
    sent = page.evaluate("performance.getEntriesByType('resource').reduce((sum, each) => sum + each.transferSize, 0)")
    assert sent < 60_000


def test_time_ranges_filters_and_links_are_in_the_address(eyes: Windows) -> None:
    window = eyes()
    page = window.open("/dashboard")
    page.get_by_role("link", name="7d", exact=True).click()
    window.settled()
    assert said(page) == {"range": ["7d"]}
    assert number(page, "Calls") == "506"
    page.get_by_role("link", name="claude-sonnet-4-5").first.click()
    window.settled()
    assert said(page) == {"range": ["7d"], "model": ["claude-sonnet-4-5"]}
    expect(page.locator(".chip", has_text="Model is claude-sonnet-4-5")).to_be_visible()
    narrowed = int(number(page, "Calls"))
    assert 0 < narrowed < 506
    page.keyboard.press("f")
    page.locator("[name='add.field']:visible").select_option("property")
    page.locator("[name='add.key']:visible").fill("plan")
    page.locator("[name='add.how']:visible").select_option("not")
    page.locator("[name='add.value']:visible").fill("free")
    page.get_by_role("button", name="Add").click()
    window.settled()
    assert said(page)["not.property.plan"] == ["free"]
    assert 0 < int(number(page, "Calls")) < narrowed
    page.get_by_role("switch").click()
    window.settled()
    assert said(page)["compare"] == ["off"]
    expect(page.locator(".delta")).to_have_count(0)
    page.locator(".chip", has_text="Model is").click()
    window.settled()
    assert "model" not in said(page)
    page.get_by_role("link", name="Clear all").click()
    window.settled()
    assert said(page) == {"range": ["7d"], "compare": ["off"]}
    page.keyboard.press("/")
    page.keyboard.type("user-3")
    page.keyboard.press("Enter")
    page.wait_for_url("**search=user-3*")
    window.settled()
    assert said(page)["search"] == ["user-3"]
    assert 0 < int(number(page, "Calls")) < 506


def test_a_time_range_is_written_and_dragged(eyes: Windows) -> None:
    window = eyes()
    page = window.open("/dashboard?range=7d")
    page.get_by_text("Custom").click()
    page.locator("[name='since']:visible").fill("2026-03-10T01:00")
    page.locator("[name='until']:visible").fill("2026-03-10T13:00")
    page.get_by_role("button", name="Show").click()
    window.settled()
    assert said(page) == {"since": ["2026-03-10T01:00"], "until": ["2026-03-10T13:00"], "zone": ["Europe/Berlin"]}
    assert number(page, "Calls") == "36"
    box = page.locator("[data-chart=calls] .plot").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.26, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.49, box["y"] + 60, steps=4)
    page.mouse.up()
    page.wait_for_url("**since=2026-03-10T0*")
    window.settled()
    assert 6 <= int(number(page, "Calls")) <= 12
    page.goto("/dashboard?since=1026-01-01T00:00&until=2026-01-01T00:00")
    expect(page.get_by_role("alert")).to_contain_text("The range lies outside the years 1990 to 2200.")


def test_charts_are_read_by_pointer_keys_and_as_tables_and_saved(eyes: Windows, tmp_path: Path) -> None:
    window = eyes()
    page = window.open("/dashboard?range=24h")
    plot = page.locator("[data-chart=cost] .plot")
    plot.hover()
    expect(page.locator(".tip")).to_contain_text("Cost")
    plot.focus()
    page.keyboard.press("End")
    expect(page.locator(".tip")).to_contain_text("until now")
    page.keyboard.press("Home")
    expect(page.locator(".tip")).to_contain_text("10 Mar, 16:00–17:00")
    page.locator("[data-chart=cost] [data-table]").click()
    expect(page.locator("[data-chart=cost] td").first).to_be_visible()
    with page.expect_download() as picture:
        page.locator("[data-chart=cost] [data-png]").click()
    picture.value.save_as(tmp_path / "cost.png")
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "cost.png").stat().st_size > 5_000
    with page.expect_download() as file:
        page.get_by_role("link", name="Save Cost as CSV").click()
    rows = Path(file.value.path()).read_text().splitlines()
    assert rows[0].startswith("begins,calls,errors,cost_usd")
    assert len(rows) == 26


def test_light_dark_and_zone_are_kept(eyes: Windows) -> None:
    window = eyes(color_scheme="light")
    page = window.open("/dashboard")
    expect(page.locator(".foot")).to_contain_text("Europe/Berlin")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.get_by_role("button", name="Use UTC").click()
    expect(page.locator(".period")).to_contain_text("15:30 UTC")
    window.settled()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_a_panel_that_takes_long_is_given_up_and_asked_again(eyes: Windows) -> None:
    window = eyes()
    held = "**/panels/overview/by-model*"
    window.page.route(held, lambda _: None)
    window.page.goto("/dashboard")
    panel = window.page.locator("[data-panel=by-model]")
    expect(panel.locator("[data-elapsed]")).to_contain_text(" s")
    panel.get_by_role("button", name="Cancel").click()
    expect(panel).to_contain_text("You gave it up.")
    window.page.unroute(held)
    panel.get_by_role("button", name="Ask again").click()
    window.settled()
    expect(panel).to_contain_text("claude-sonnet-4-5")


def test_what_others_named_stays_text(eyes: Windows, served: Served) -> None:
    at = "2026-03-11T15:10:00Z"
    assert len(HOSTILE) > 200
    served.lake.add(
        "calls",
        *(
            {"call_id": f"h{place}", "created_at": at, "model": text, "user_id": text, "properties": {text.lower(): text}}
            for place, text in enumerate(HOSTILE)
        ),
    )
    window = eyes()
    window.page.on("dialog", lambda _: window.faults.append("a dialog"))
    page = window.open("/dashboard?since=2026-03-11T16:10&until=2026-03-11T16:11&zone=Europe/Berlin")
    assert int(number(page, "Calls")) >= len(HOSTILE)
    assert page.locator("main script, main iframe, main img, main [onerror], main [style]").count() == 0
    links = page.locator("[data-panel=by-user] .rank-name")
    shown = links.all_inner_texts()
    assert any("<" in text for text in shown)
    links.nth(next(place for place, text in enumerate(shown) if "<" in text)).click()
    window.settled()
    assert number(page, "Calls") == "1"
