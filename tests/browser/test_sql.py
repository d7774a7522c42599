"""SQL in a real browser: asking, reading, drawing, keeping."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NOW, history
from tests.fakes import browser
from tests.fakes.browser import Eyes
from tests.fakes.hostile_text import HOSTILE

Windows = Callable[..., Eyes]
BY_MODEL = "SELECT model, count(*) AS calls\nFROM calls\nGROUP BY model\nORDER BY calls DESC, model"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Served]:
    with browser.Served(tmp_path_factory.mktemp("served"), NOW.timestamp, keeping=True) as made:
        history(made.lake)
        made.lake.add("calls", *({"call_id": f"h{at}", "created_at": "2026-01-01", "model": text} for at, text in enumerate(HOSTILE)))
        yield made


def asked(page: Page, sql: str) -> None:
    page.get_by_label("Question in SQL").fill(sql)
    page.keyboard.press("Control+Enter")


def cells(page: Page, row: int) -> list[str]:
    return page.locator(".grid-table tbody tr").nth(row).locator("td").all_inner_texts()


def test_asked_by_keys_drawn_and_shared(eyes: Windows) -> None:
    window = eyes()
    page = window.open("/dashboard/sql")
    asked(page, BY_MODEL + " LIMIT 4")
    expect(page.locator("[data-count]")).to_have_text("4 rows, 2 columns")
    assert cells(page, 0) == ["1", "claude-sonnet-4-5", "303"]
    page.locator(".grid-table").get_by_role("button", name="calls").click()
    page.get_by_role("button", name="Chart", exact=True).click()
    expect(page.locator("[data-chart=query] .bar")).to_have_count(4)
    page.locator("[data-picks] [name=draw]").select_option("lines")
    expect(page.locator("[data-chart=query] .line")).to_have_count(1)
    assert parse_qs(urlsplit(page.url).query) == {"sql": [BY_MODEL + " LIMIT 4"], "show": ["chart"], "draw": ["lines"]}
    other = eyes(color_scheme="dark", viewport={"width": 390, "height": 844}).open(page.url)
    expect(other.locator("[data-chart=query] .line")).to_have_count(1)
    assert other.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert window.serious() == []


def test_many_rows_are_paged_sorted_and_text(eyes: Windows) -> None:
    window = eyes()
    window.page.on("dialog", lambda _: window.faults.append("a dialog"))
    page = window.open("/dashboard/sql")
    asked(page, "SELECT model, 12345678901234567890123 AS n FROM calls WHERE call_id LIKE 'h%' ORDER BY CAST(call_id[2:] AS INT)")
    expect(page.locator("[data-page-text]")).to_have_text(f"1 to 100 of {len(HOSTILE)}")
    place = next(place for place, text in enumerate(HOSTILE[:100]) if "<script" in text)
    assert "<script" in cells(page, place)[1]
    assert cells(page, place)[2] == "12345678901234567890123"
    page.get_by_role("button", name="Next").click()
    expect(page.locator("[data-page-text]")).to_contain_text("101 to 200")
    assert page.locator(".grid-table script, .grid-table img, .grid-table iframe").count() == 0


def test_files_history_and_saved_questions(eyes: Windows) -> None:
    window = eyes()
    page = window.open("/dashboard/sql")
    asked(page, BY_MODEL)
    expect(page.locator("[data-found]")).to_be_visible()
    for form, begins in (("CSV", b"model,calls"), ("Parquet", b"PAR1"), ("JSON", b'{"columns"')):
        with page.expect_download() as file:
            page.get_by_role("button", name=form, exact=True).click()
        assert Path(file.value.path()).read_bytes().startswith(begins)
    page.get_by_role("button", name="Save", exact=True).first.click()
    page.get_by_label("Name").fill("models")
    page.keyboard.press("Enter")
    expect(page.locator("[data-saved-list] li")).to_have_count(1)
    page.reload()
    page.locator("[data-history] summary").click()
    expect(page.locator("[data-history-list] li")).to_have_count(1)
    page.locator("[data-saved] summary").click()
    page.get_by_role("button", name="models", exact=False).first.click()
    expect(page.locator("[data-found]")).to_be_visible()
    page.get_by_role("button", name="Delete models").click()
    page.get_by_role("button", name="Delete models").click()
    expect(page.locator("[data-saved-none]")).to_be_visible()


def test_mistakes_are_shown_where_they_are_and_asking_is_cancelled(eyes: Windows) -> None:
    window = eyes()
    page = window.open("/dashboard/sql")
    asked(page, "SELECT model\nFROM calls\nGRUOP BY 1")
    expect(page.locator("[data-message]")).to_contain_text("Line 3: syntax error")
    expect(page.locator(".sql-fault")).to_have_text("BY")
    asked(page, "SELECT 1,\n  modle FROM calls")
    expect(page.locator(".sql-fault")).to_have_text("modle")
    page.get_by_role("button", name="Go there").click()
    page.get_by_label("Question in SQL").press("End")
    page.locator(".table-of").first.locator("[data-insert=cost_usd]").click()
    expect(page.get_by_label("Question in SQL")).to_have_value("SELECT 1,\n  modle FROM calls cost_usd")
    window.faults[:] = [fault for fault in window.faults if "400" not in fault]  # a browser tells of each answer that is none
    page.route("**/send/v1/query", lambda _: None)
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator("[data-state]")).to_contain_text("Cancelled after")
