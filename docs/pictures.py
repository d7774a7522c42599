"""Takes the pictures of `docs/images/`, of a Heliograph that runs, after `demo history`: `python -m docs.pictures http://localhost:8585`."""

import sys
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from tests.fakes.chromium import program

IMAGES = Path(__file__).parent / "images"
LAPTOP, PHONE = {"width": 1366, "height": 860}, {"width": 390, "height": 844}
PICTURES = {
    "overview": ("/dashboard?range=7d", LAPTOP, "light"),
    "overview-dark": ("/dashboard?range=30d", LAPTOP, "dark"),
    "calls": (
        "/dashboard/calls?range=7d&column=time&column=model&column=outcome&column=user&column=cost&column=latency&column=property.plan",
        LAPTOP,
        "light",
    ),
    "overview-phone": ("/dashboard?range=7d", PHONE, "light"),
}
"""By name: what is looked at, through how large a window, light or dark."""


def take(browser: Browser, base: str, name: str) -> None:
    path, size, scheme = PICTURES[name]
    context = browser.new_context(viewport=size, color_scheme=scheme, locale="en-GB", timezone_id="Europe/Berlin")
    page = context.new_page()
    page.goto(base + path)
    expect(page.locator("[data-src] > [aria-busy=true]")).to_have_count(0, timeout=120_000)
    page.screenshot(path=IMAGES / f"{name}.png")
    context.close()


def main(base: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=["--no-sandbox"])
        for name in PICTURES:
            take(browser, base.rstrip("/"), name)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
