"""Addresses inside the dashboard, with the state of the view that stays."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from storage.dashboard.filters import Filter
from storage.dashboard.page import BASE, Page, Panel
from storage.dashboard.state import View

_PART = re.compile(r"\{(\w+)(?::path)?\}")


class Linked:
    """Makes the links of one page that is shown, `page`, at the parts of its path, `at`."""

    def __init__(self, pages: Sequence[Page], page: Page, view: View, at: Mapping[str, str]) -> None:
        self._pages = {each.name: each for each in pages}
        self._page, self._view, self._at = page, view, at

    def here(self, view: View | None = None) -> str:
        """The page in another state."""
        return _with(path_of(self._page, self._at), (view or self._view).query())

    def own(self, **said: str | None) -> str:
        """The page with parameters of its own set anew."""
        return self.here(self._view.with_own(**said))

    def to(self, name: str, *wanted: Filter, view: View | None = None, **said: str) -> str:
        """Another page, with time range and filters kept and `wanted` added. `said`: parts of its path, else parameters of its own."""
        page = self._pages[name]
        parts = {part: said.pop(part) for part in _PART.findall(page.path)}
        shared = (view or self._view).having(*wanted)
        query = urlencode([*shared.pairs(own=False), *said.items()])
        return _with(path_of(page, parts), query)

    def call(self, call_id: str) -> str:
        """What one call was; time range and filters stay."""
        return _with(f"{BASE}/calls/{quote(call_id, safe='')}", self._view.query(own=False))

    def narrowed(self, field: str, value: str | None, key: str = "", *, page: str = "") -> str:
        """The page, or another, with one more filter. A value of None: where there is none."""
        wanted = Filter(field, value, key)
        return self.to(page, wanted) if page else self.here(self._view.having(wanted))

    def panel(self, panel: Panel, *, csv: bool = False, **said: str) -> str:
        """Where a panel is fetched, or its rows as a file. Parts of the page's path are parameters there. `said`: others set anew."""
        query = urlencode([*self._view.with_own(**said).pairs(), *self._at.items()])
        return _with(f"{BASE}/panels/{self._page.name}/{panel.name}{'.csv' if csv else ''}", query)

    def answer(self, name: str, **said: str | None) -> str:
        """What the page answers beside its panels. `said`: parameters of its own, set anew."""
        query = urlencode([*self._view.with_own(**said).pairs(), *((part, text) for part, text in self._at.items() if part not in said)])
        return _with(f"{BASE}/own/{self._page.name}/{name}", query)

    def has(self, name: str) -> bool:
        return name in self._pages


def path_of(page: Page, parts: Mapping[str, str]) -> str:
    filled = _PART.sub(lambda part: quote(parts[part[1]], safe=""), page.path)
    return f"{BASE}/{filled}" if filled else BASE


def parts_of(page: Page) -> list[str]:
    """Names of the parts of a page's path."""
    return _PART.findall(page.path)


def _with(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path
