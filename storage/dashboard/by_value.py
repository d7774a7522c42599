"""A question whose figures are told for each value of a field: a panel for one field, and one for a property that can be chosen."""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from storage.dashboard.filters import PROPERTY
from storage.dashboard.page import Asking, Panel, Shown
from storage.dashboard.property_names import property_chosen
from storage.dashboard.ranked import more
from storage.rest.sql import Row, Sql

KEY = "key"
"""The parameter of the page by which a property is chosen."""
MOST_FILE = 100_000


class ByValue(Struct, frozen=True, kw_only=True):
    """How the panels are made."""

    template: str
    question: Callable[..., Sql]
    """Of a view, a period, a field and its key; `limit`: of so many values."""
    ranks: Callable[[Sequence[Row], str, str], Sequence[Any]]
    """The rows as the template shows them, of a field and its key."""

    def panel(self, field: str, title: str) -> Panel:
        async def draw(asking: Asking) -> Shown:
            return await self._shown(asking, field, "", [])

        def csv(asking: Asking) -> Sql:
            return self.question(asking.view, asking.period, field, limit=MOST_FILE)

        return Panel(name=f"by-{field}", title=title, template=self.template, draw=draw, size="third", csv=csv)

    def of_a_property(self) -> Panel:
        async def draw(asking: Asking) -> Shown:
            key, names = await property_chosen(asking, asking.view, asking.view.get(KEY).lower())
            return await self._shown(asking, PROPERTY, key, names)

        return Panel(name="by-property", title="By property", template=self.template, draw=draw, size="third")

    async def _shown(self, asking: Asking, field: str, key: str, names: Sequence[str]) -> Shown:
        known = field != PROPERTY or key
        rows = await asking.rows(self.question(asking.view, asking.period, field, key)) if known else []
        return {"ranks": self.ranks(rows, field, key), "keys": names, "key": key, "more": more(rows)}
