"""The table of calls and one call in a real browser: columns, order, pages, keys, what arrives, and hostile text that stays text."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from eventlog.admission import Admission
from eventlog.events import FeedbackGiven
from ingress.feedback import feedback_routes
from tests.browser.conftest import NOW, history
from tests.fakes.browser import PATIENCE_MS, Eyes, Served
from tests.fakes.hostile_text import HOSTILE

Windows = Callable[..., Eyes]
LARGE = 3 << 20
REQUEST = "0190c5d4-9c8b-7b1e-8f3a-0123456789ab"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """With the routes that feedback goes to, which comes to rest at once."""
    made = Served(tmp_path_factory.mktemp("served"), NOW.timestamp)

    async def judge(given: FeedbackGiven) -> bool:
        row = {"rating": given.rating, "comment": given.comment, "scores": dict(given.scores or {}), "properties": {}}
        at = given.given_at + timedelta(seconds=len(served_feedback))
        served_feedback.append(given.request_id)
        made.lake.add("feedback", {"feedback_id": given.feedback_id, "request_id": given.request_id, "given_at": at.isoformat(), **row})
        return True

    served_feedback: list[str] = []
    made.app.include_router(feedback_routes(judge, Admission(known=lambda: made.keys), NOW.timestamp))
    history(made.lake)
    talk(made, "talk")
    with made:
        yield made


def ago(**time: float) -> str:
    at: datetime = NOW - timedelta(**time)
    return at.isoformat()


def talk(served: Served, call_id: str, **more: Any) -> None:
    """A call with a conversation, of twenty days ago, which no other test shows."""
    at = ago(days=20)
    asked = {
        "model": "gpt-4o",
        "tools": [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}],
        "messages": [{"role": "system", "content": "You help."}, {"role": "user", "content": "Where is order 7? " + "x" * LARGE}],
    }
    answer = {
        "choices": [{"message": {"role": "assistant", "reasoning": "I look.", "content": "It is on its way."}, "finish_reason": "stop"}]
    }
    attempts = [
        {"origin": "https://a.example", "status": status, "failure": None, "began_ms": began, "took_ms": 300.0}
        for status, began in ((500, 0.0), (200, 400.0))
    ]
    row = {
        "call_id": call_id,
        "request_id": REQUEST,
        "created_at": at,
        "user_id": "ada",
        "session_id": "s1",
        "tries": attempts,
        "attempts": 2,
        "latency_ms": 900.0,
    }
    served.lake.add("calls", row | {"ttft_ms": 700.0, "cost_usd": "0.000125", "status": 200, "method": "POST"} | more)
    for side, body in (("request", asked), ("response", answer)):
        served.lake.add("bodies", {"call_id": call_id, "created_at": at, "side": side, "text": json.dumps(body), "size": 9})


def said(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def column(page: Page, place: int) -> list[str]:
    return page.locator(f"[data-calls] tbody tr td:nth-child({place})").all_inner_texts()


@pytest.mark.parametrize(
    "context",
    [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": {"width": 360, "height": 740}}],
    ids=["light", "dark", "phone"],
)
def test_everybody_can_read_the_table_and_a_call(eyes: Windows, context: dict[str, object]) -> None:
    window = eyes(**context)
    page = window.open("/dashboard/calls?range=7d")
    assert len(column(page, 1)) == 50
    assert window.serious() == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page = window.open("/dashboard/calls/talk")
    for tab in ("Time and cost", "Facts", "Raw", "Conversation"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.evaluate("document.querySelectorAll('.call-pane').forEach((pane) => { pane.hidden = false; })")
    assert window.serious() == []


def test_columns_order_and_pages_are_in_the_address_and_columns_are_remembered(eyes: Windows) -> None:
    window = eyes()
    page = window.open("/dashboard/calls?range=7d")
    page.get_by_text("Columns", exact=True).click()
    page.locator("[data-property-picks]").get_by_text("plan").click()
    page.get_by_label("First token").uncheck()
    page.get_by_role("button", name="Show").last.click()
    window.settled()
    assert said(page)["column"] == ["time", "model", "outcome", "user", "input", "output", "cost", "latency", "property.plan"]
    assert set(column(page, 9)) == {"free", "pro"}
    page.get_by_role("link", name="Latency").click()
    window.settled()
    assert said(page)["sort"] == ["latency"]
    first = column(page, 8)
    assert first[0] == "499\u202fms"
    page.get_by_role("link", name="Next").click()
    window.settled()
    assert column(page, 8) != first
    address = page.url
    page.get_by_role("link", name="Previous").click()
    window.settled()
    assert column(page, 8) == first
    page.goto(address)
    page.get_by_role("link", name="1h", exact=True).click()  # another view begins at its own first page
    window.settled()
    assert len(column(page, 1)) == 3
    page.goto("/dashboard/calls?range=1h")
    window.settled()
    assert said(page)["column"][-1] == "property.plan"
    assert page.locator("[data-calls] th").last.inner_text() == "plan"
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert (
        download.value.path().read_text().splitlines()[0] == "call_id,created_at,model,outcome,user,input,output,cost,latency,property.plan"
    )


def test_keys_open_calls_beside_the_table(eyes: Windows) -> None:
    window = eyes()
    page = window.open("/dashboard/calls?range=7d")
    ids = page.locator("[data-calls] tbody tr").evaluate_all("rows => rows.slice(0, 3).map(row => row.dataset.call)")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    beside = page.locator("[data-beside]")
    expect(beside.locator("[data-call-shown]")).to_have_attribute("data-call-shown", ids[1])
    page.keyboard.press("j")
    expect(beside.locator("[data-call-shown]")).to_have_attribute("data-call-shown", ids[2])
    assert said(page)["call"] == [ids[2]]
    assert window.serious() == []
    page.reload()
    window.settled()
    expect(beside.locator("[data-call-shown]")).to_have_attribute("data-call-shown", ids[2])
    expect(page.locator("tr[aria-selected=true]")).to_have_attribute("data-call", ids[2])
    page.keyboard.press("k")
    expect(beside.locator("[data-call-shown]")).to_have_attribute("data-call-shown", ids[1])
    page.keyboard.press("Escape")
    expect(beside).to_be_hidden()
    assert "call" not in said(page)
    page.locator("[data-calls] tbody tr").first.click()
    expect(beside.locator("[data-call-shown]")).to_have_attribute("data-call-shown", ids[0])
    page.get_by_role("link", name="Open as a page").click()
    page.wait_for_url(f"**/dashboard/calls/{ids[0]}*")


def test_calls_arrive_on_top_and_wait_while_it_is_paused(eyes: Windows, served: Served) -> None:
    window = eyes()
    page = window.open("/dashboard/calls?model=live-model")
    expect(page.get_by_text("No calls here")).to_be_visible()

    def arrive(call_id: str, began: float, ended: float) -> None:
        times = {"created_at": ago(seconds=began), "completed_at": ago(seconds=ended)}
        served.lake.add("calls", {"call_id": call_id, "model": "live-model", **times})

    with page.expect_response("**/own/calls/tail*"):
        page.get_by_role("button", name="Live").click()
    arrive("live-1", 50, 10)
    rows = page.locator("[data-calls] tbody tr")
    expect(rows).to_have_count(1, timeout=PATIENCE_MS)
    arrive("live-2", 60, 12)  # began and ended before the other, and comes to rest after it
    expect(rows).to_have_count(2, timeout=PATIENCE_MS)
    page.get_by_role("button", name="Pause").click()
    arrive("live-3", 40, 9)
    arrive("live-4", 39, 8)
    waiting = page.get_by_role("button", name="2 new calls")
    expect(waiting).to_be_visible(timeout=PATIENCE_MS)
    expect(rows).to_have_count(2)
    assert said(page)["tail"] == ["on"]
    waiting.click()
    expect(rows).to_have_count(4)
    assert rows.first.get_attribute("data-call") == "live-4"


def test_a_search_in_what_was_said(eyes: Windows) -> None:
    window = eyes()
    page = window.open("/dashboard/calls?range=30d")
    page.get_by_text("In what was said").click()
    page.get_by_label("Text in prompts and answers").fill("ORDER 7")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("[data-search-text]")).to_have_text("1 call in the whole time range", timeout=PATIENCE_MS)
    assert page.locator("[data-calls] tbody tr").get_attribute("data-call") == "talk"
    assert said(page)["said"] == ["ORDER 7"]
    assert window.serious() == []


def test_a_call_with_its_time_its_bodies_and_what_is_said_of_it(eyes: Windows) -> None:
    window = eyes(permissions=["clipboard-read", "clipboard-write"])
    page = window.open("/dashboard/calls/talk")
    expect(page.locator(".turn.answer .text").last).to_have_text("It is on its way.")
    expect(page.get_by_text("I look.")).to_be_hidden()
    page.get_by_text("Thinking").click()
    expect(page.get_by_text("I look.")).to_be_visible()
    page.get_by_role("button", name="Copy as curl").click()
    assert '-H "Authorization: Bearer $OPENAI_API_KEY"' in page.evaluate("navigator.clipboard.readText()")
    page.get_by_label("Comment").fill("Late.")
    page.get_by_role("button", name="Bad").click()
    expect(page.get_by_text("Kept. It shows here in a moment.")).to_be_visible()
    expect(page.locator(".given li")).to_contain_text("“Late.”", timeout=PATIENCE_MS)
    page.get_by_label("Name of the score").fill("accuracy")
    page.get_by_label("Value of the score").fill("0.5")
    page.get_by_role("button", name="Add score").click()
    expect(page.locator(".given li")).to_have_count(2, timeout=PATIENCE_MS)
    page.get_by_role("tab", name="Time and cost").click()
    expect(page.locator(".fall-name")).to_have_text(["Attempt 1", "Attempt 2", "To the first token", "Answer", "Whole call"])
    page.get_by_role("tab", name="Raw").click()
    page.locator(".call-raw > summary", has_text="As it was sent").first.click()
    raw = page.locator(".call-raw").first
    more = raw.get_by_role("button", name="Show more")
    more.click()
    expect(raw.locator(".cut")).to_contain_text("262 k of")
    page.locator(".call-raw > summary", has_text="As it was sent").last.click()
    tree = page.locator(".tree")
    expect(tree).to_contain_text("choices")
    expect(tree.get_by_text("It is on its way.")).to_have_count(0)
    tree.get_by_text("0:", exact=False).first.click()
    page.get_by_role("tab", name="Facts").click()
    page.get_by_role("link", name="ada").last.click()
    page.wait_for_url("**/dashboard/calls?user=ada")


def test_hostile_text_stays_text(eyes: Windows, served: Served) -> None:
    at = ago(days=40)
    names = [text.replace("\0", "") for text in HOSTILE]
    rows = [
        {
            "call_id": f"hostile-{number}",
            "created_at": at,
            "status": 500,
            "outcome": "provider_error",
            **dict.fromkeys(("model", "user_id", "session_id", "error", "finish_reason", "path", "provider", "prompt_id"), text),
            "properties": {"plan": text, text.lower(): text},
        }
        for number, text in enumerate(names)
    ]
    hostile = "hostile-call"
    served.lake.add("calls", *rows, rows[0] | {"call_id": hostile, "prompt_inputs": {text: text for text in names}})
    asked = {
        "model": names[0],
        "messages": [
            {"role": names[0], "name": names[1], "content": [{"type": "text", "text": text} for text in names]},
            {"role": "assistant", "tool_calls": [{"id": text, "function": {"name": text, "arguments": text}} for text in names]},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": text}} for text in names]},
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": text} for text in names] + [{"type": "text", "text": "\ud800"}],
            },
        ],
        "tools": [{"type": "function", "function": {"name": text, "description": text}} for text in names],
        **{f"setting {text}": text for text in names},
    }
    answer = {
        "choices": [
            {"finish_reason": names[3], "message": {"role": "assistant", "content": [{"type": "text", "text": text} for text in names]}}
        ]
    }
    for side, body in (("request", asked), ("response", answer)):
        served.lake.add("bodies", {"call_id": hostile, "created_at": at, "side": side, "text": json.dumps(body), "content_type": names[4]})
    served.lake.add(
        "feedback",
        {"feedback_id": "f", "request_id": hostile, "given_at": at, "rating": True, "comment": names[4], "scores": {names[4]: 1.0}},
    )

    window = eyes()
    window.page.on("dialog", lambda dialog: window.faults.append(f"dialog {dialog.message}"))
    window.page.add_init_script(
        "document.addEventListener('securitypolicyviolation', e => console.error('policy', e.violatedDirective, e.blockedURI))"
    )
    since = "since=2026-01-01T00:00&until=2026-02-20T00:00&zone=UTC&rows=200&sort=time.asc"
    columns = "&".join(
        f"column={name}" for name in ("model", "user", "error", "property.plan", "properties", "session", "finish", "endpoint")
    )
    page = window.open(f"/dashboard/calls?{since}&{columns}&call={hostile}")
    injected = "[data-calls] tbody td *:not(a):not(bdi), .call-pane .text *, .call-pane pre *, .call-pane bdi *, .call-pane dd a *:not(bdi)"
    assert page.locator("[data-calls] tbody tr").count() == 200
    assert page.locator(injected).count() == 0
    assert set(page.locator("[data-calls] tbody td:first-child").all_text_contents()) <= {shown(text) for text in names}
    texts = page.locator(".turn.answer .text").all_text_contents()
    assert texts == [line(text) for text in names]
    page.get_by_role("tab", name="Raw").click()
    page.locator(".call-raw > summary", has_text="As it was sent").last.click()
    expect(page.locator(".tree, .raw pre").first).to_be_visible()
    page.locator(".call-raw > summary", has_text="All columns").click()
    expect(page.locator(".tree, .raw pre")).to_have_count(2)
    assert (
        page.locator(
            "script:not([src]), iframe, object, embed, base, form[action], link[href*=evil], [onerror], [onload], [onclick]"
        ).count()
        == 0
    )
    assert page.locator("a[href^='javascript'], a[href^='data'], img").count() == 0
    assert page.title() == "Calls · Heliograph"
    window.open(f"/dashboard/calls/{hostile}")
    assert page.locator(injected).count() == 0


def line(text: str) -> str:
    """As HTML has it: its parser knows one end of a line."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def shown(text: str) -> str:
    told = " ".join(text.split())
    return told if len(told) <= 300 else f"{told[:300]}…"
