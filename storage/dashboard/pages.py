"""All pages, in the order of the navigation. A page of one's own is a line here."""

from storage.dashboard import calls, inspector, overview
from storage.dashboard.page import Page

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    calls.PAGE,
    inspector.PAGE,
)  # fmt: skip
