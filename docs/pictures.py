"""Takes the pictures of `docs/images/`, of a Heliograph that runs, after `demo history`: `python -m docs.pictures http://localhost:8585`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import httpx
from playwright.sync_api import Browser, expect, sync_playwright

from tests.fakes.chromium import program

IMAGES = Path(__file__).parent / "images"
LAPTOP, PHONE = {"width": 1366, "height": 860}, {"width": 390, "height": 844}
COLUMNS = "&".join(f"column={name}" for name in ("time", "model", "outcome", "user", "cost", "latency", "property.plan"))
PICTURES = {
    "overview": ("/dashboard?range=7d", LAPTOP, "light"),
    "overview-dark": ("/dashboard?range=30d", LAPTOP, "dark"),
    "overview-phone": ("/dashboard?range=7d", PHONE, "light"),
    "calls": (f"/dashboard/calls?range=7d&{COLUMNS}", LAPTOP, "light"),
    "call": ("/dashboard/calls/{call}?range=7d", LAPTOP, "light"),
    "sessions": ("/dashboard/sessions?range=7d", LAPTOP, "light"),
    "session": ("/dashboard/sessions/{session}?range=7d", LAPTOP, "light"),
    "users": ("/dashboard/users?range=7d", LAPTOP, "light"),
    "properties": ("/dashboard/properties?range=7d&key=feature", LAPTOP, "light"),
    "feedback": ("/dashboard/feedback?range=30d", LAPTOP, "dark"),
    "models": ("/dashboard/models?range=7d", LAPTOP, "light"),
    "cache": ("/dashboard/cache?range=7d", LAPTOP, "light"),
    "limits": ("/dashboard/limits?range=30d", LAPTOP, "light"),
    "sql": ("/dashboard/sql?sql={sql}", LAPTOP, "light"),
    "health": ("/dashboard/health", LAPTOP, "dark"),
}
"""By name: what is looked at, through how large a window, light or dark."""
ASKED = {
    "call": "SELECT call_id FROM calls JOIN bodies USING (call_id) WHERE side = 'response' AND assembled IS NOT NULL AND total_tokens > 500"
    " ORDER BY calls.created_at DESC LIMIT 1",
    "session": "SELECT session_id FROM calls WHERE session_id IS NOT NULL"
    " AND created_at > (SELECT max(created_at) FROM calls) - INTERVAL 2 DAY GROUP BY 1"
    " ORDER BY count(DISTINCT session_path) DESC, count(*) DESC LIMIT 1",
}
"""What stands in an address: found by asking."""
SHOWN = "SELECT date_trunc('day', created_at) AS day, sum(cost_usd) AS usd, count(*) AS calls\nFROM calls\nGROUP BY day\nORDER BY day"


def found(base: str) -> dict[str, str]:
    """What stands in the addresses of pictures."""
    with httpx.Client(base_url=base, timeout=60) as client:
        rows = {name: client.post("/v1/query", json={"sql": sql}).json()["rows"] for name, sql in ASKED.items()}
    return {name: quote(each[0][0], safe="") for name, each in rows.items()} | {"sql": quote(SHOWN)}


def take(browser: Browser, base: str, name: str, known: Mapping[str, str]) -> None:
    path, size, scheme = PICTURES[name]
    context = browser.new_context(viewport=size, color_scheme=scheme, locale="en-GB", timezone_id="Europe/Berlin")
    page = context.new_page()
    page.goto(base + path.format_map(known))
    expect(page.locator("[data-src] > [aria-busy=true]")).to_have_count(0, timeout=120_000)
    if "sql=" in path:
        expect(page.get_by_role("table")).to_be_visible(timeout=120_000)
    page.screenshot(path=IMAGES / f"{name}.png")
    context.close()


def main(base: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    known = found(base)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=["--no-sandbox"])
        for name in PICTURES:
            take(browser, base.rstrip("/"), name, known)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
