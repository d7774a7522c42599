"""Which properties calls have: those of the newest, as reading the properties of all would take long."""

from msgspec import structs

from storage.dashboard import figures
from storage.dashboard.page import Asking
from storage.dashboard.state import View
from storage.dashboard.zones import Period, moment
from storage.rest.sql import Row


async def property_chosen(asking: Asking, view: View, said: str) -> tuple[str, list[str]]:
    """The property that is looked at, `said` or else the most frequent, empty where there is none; and those there are."""
    names = [row["name"] for row in await property_names(asking, view, asking.period)]
    return said or (names[0] if names else ""), names


async def property_names(asking: Asking, view: View, period: Period) -> list[Row]:
    """`name`, and in how many `calls` each is, of the newest of the view; the most frequent first."""
    [found] = await asking.rows(figures.recent(view, period))
    if found["since"] is None:
        return []
    return await asking.rows(figures.property_names(view, structs.replace(period, since=moment(found["since"]))))
