"""What a view shows, as its address says it: time range, filters, search, comparison, organization, and what a page takes beside. Pure.

`read(pairs)` and `View.query()` are each other's inverse. What cannot be meant is left out and told, so every address shows a page.
"""

from collections.abc import Collection, Iterable
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from storage.dashboard import filters, span
from storage.dashboard.filters import Filter
from storage.dashboard.span import Span
from storage.dashboard.trouble import Trouble
from storage.rest.sql import EVERY, Sql, all_of, value

SEARCH, COMPARE, ORGANIZATION = "search", "compare", "organization"
SHARED = span.NAMES | {SEARCH, COMPARE, ORGANIZATION}
ADDED = ("add.field", "add.key", "add.how", "add.value")
"""What the form sends that adds one filter."""
SEARCH_CHARACTERS = 200
OWN_CHARACTERS = 8000
"""Of a parameter of a page's own: a question in SQL is one."""
SEARCHED = (
    "call_id, request_id, model, provider, user_id, session_id, session_name, session_path, prompt_id, path, outcome, error, finish_reason"
)


class View(Struct, frozen=True, kw_only=True):
    """The state of a view."""

    span: Span = Span()
    filters: tuple[Filter, ...] = ()
    search: str = ""
    compare: bool = True
    """With the period before."""
    organization: str = ""
    """Whose rows; empty: the caller's own."""
    own: tuple[tuple[str, str], ...] = ()
    """What the page alone understands, such as the order of a table."""

    def pairs(self, *, own: bool = True) -> list[tuple[str, str]]:
        """As an address has them. Without `own`: what stays while going to another page."""
        written = [*self.span.pairs(), *(each.pair for each in self.filters)]
        written += [(SEARCH, self.search)] if self.search else []
        written += [] if self.compare else [(COMPARE, "off")]
        written += [(ORGANIZATION, self.organization)] if self.organization else []
        return [*written, *(self.own if own else ())]

    def query(self, *, own: bool = True) -> str:
        return urlencode(self.pairs(own=own))

    def get(self, name: str, default: str = "") -> str:
        """What the page was given under a name of its own."""
        return next((said for each, said in self.own if each == name), default)

    def all(self, name: str) -> list[str]:
        return [said for each, said in self.own if each == name]

    def having(self, *wanted: Filter) -> "View":
        """With filters added. What a page was paged to is for other rows, and stays behind: see `without_own`."""
        kept = tuple(each for each in self.filters if each not in wanted)
        return replace(self, filters=(*kept, *wanted))

    def lacking(self, *unwanted: Filter) -> "View":
        return replace(self, filters=tuple(each for each in self.filters if each not in unwanted))

    def with_own(self, **said: str | None) -> "View":
        """With the page's own parameters set anew; None takes one away."""
        kept = tuple(pair for pair in self.own if pair[0] not in said)
        return replace(self, own=(*kept, *((name, text) for name, text in said.items() if text is not None)))

    def without_own(self, *names: str) -> "View":
        return replace(self, own=tuple(pair for pair in self.own if pair[0] not in names))

    def condition(self) -> Sql:
        """Holds for the calls it is about, whenever they were."""
        return all_of([filters.condition(self.filters), searched(self.search)])


def searched(text: str) -> Sql:
    """Holds for calls of which a name, an id or the error has the text in it, in whatever case."""
    if not text:
        return EVERY
    return f"contains(lower(concat_ws(chr(31), {SEARCHED})), lower(" + value(text) + "))"


class Read(Struct, frozen=True):
    """An address that was read, and what of it could not be meant."""

    view: View
    troubles: tuple[Trouble, ...] = ()
    canonical: bool = True
    """False: it came from a form, and is written otherwise in links."""


def read(pairs: Iterable[tuple[str, str]], zone: ZoneInfo, own: Collection[str] = ()) -> Read:
    """`own`: names that the page takes beside. `zone` is meant for times that name none."""
    listed = list(pairs)
    added, listed = _added([pair for pair in listed if pair[0] in ADDED]), [pair for pair in listed if pair[0] not in ADDED]
    found, troubles, rest = filters.filters_of([*listed, *added])
    shared = {name: said for name, said in rest if name in SHARED}
    over, more = span.span_of(shared, zone)
    troubles += more
    search = shared.get(SEARCH, "").strip().replace("\0", "")
    if len(search) > SEARCH_CHARACTERS:
        troubles.append(Trouble(SEARCH, f"The search is longer than {SEARCH_CHARACTERS} characters.", "Shorten it."))
        search = ""
    unknown = {name: None for name, _ in rest if name not in SHARED and name not in own}
    troubles += [Trouble(name, f"This page takes nothing called {name[:40]!r}.", "It was left out.") for name in list(unknown)[:3]]
    view = View(
        span=over,
        filters=found,
        search=search,
        compare=shared.get(COMPARE, "") != "off",
        organization=shared.get(ORGANIZATION, ""),
        own=tuple((name, said[:OWN_CHARACTERS]) for name, said in rest if name in own and name not in SHARED and said),
    )
    return Read(view, tuple(troubles), canonical=not added and all(said for name, said in listed))


def _added(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The filter that a form adds, as an address has it."""
    said = dict(pairs)
    name = said.get("add.field", "")
    if name == filters.PROPERTY:
        name = f"{name}.{said.get('add.key', '').strip()}"
    if not name:
        return []
    match said.get("add.how"):
        case "without":
            return [(filters.WITHOUT, name)]
        case "with":
            return [(filters.WITH, name)]
        case "not":
            return [(filters.NOT + name, said.get("add.value", ""))]
        case _:
            return [(name, said.get("add.value", ""))]
