"""Filters of a view: which calls it is about. Each is a parameter of the address, and a condition with values, never text of SQL.

`model=a&model=b` are calls of either model; filters of different fields must all hold. `not.model=a` leaves out, `property.plan=pro` is a
property, `without=user` are calls that name none and `with=user` those that do.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby

from msgspec import Struct

from storage.dashboard.trouble import Trouble
from storage.rest.sql import Sql, all_of, joined, value, values

NOT, WITHOUT, WITH, PROPERTY = "not.", "without", "with", "property"
MOST = 40
VALUE_CHARACTERS = 1000
KEY_CHARACTERS = 200


class Filter(Struct, frozen=True, order=True):
    """One condition on a field; for a property, `key` is its name. A value of None: that there is none."""

    field: str
    value: str | None = None
    key: str = ""
    negated: bool = False

    @property
    def name(self) -> str:
        """The field as addresses name it."""
        return f"{self.field}.{self.key}" if self.key else self.field

    @property
    def label(self) -> str:
        return self.key or FIELDS[self.field].label

    @property
    def text(self) -> str:
        """For people."""
        if self.value is None:
            return f"{self.label} is {'known' if self.negated else 'not given'}"
        return f"{self.label} {'is not' if self.negated else 'is'} {self.value}"

    @property
    def pair(self) -> tuple[str, str]:
        """As an address has it."""
        if self.value is None:
            return (WITH if self.negated else WITHOUT, self.name)
        return (NOT + self.name if self.negated else self.name, self.value)


class Field(Struct, frozen=True, kw_only=True):
    """What may be filtered by."""

    label: str
    column: str = ""
    """Compared with values as they are."""
    choices: Mapping[str, str] = {}
    """Instead: a condition for each value there is."""
    read: Callable[[str], Sql | None] | None = None
    """Instead: a condition made of a value; None where it is no value of this field."""
    takes: str = "any text"
    null: str = ""
    """Holds where it is not known; the column is NULL unless another condition is named."""


def _status(said: str) -> Sql | None:
    if len(said) == 3 and said[0] in "12345" and said[1:].lower() == "xx":
        return "status // 100 = " + value(int(said[0]))
    if said.isascii() and said.isdigit() and len(said) == 3:
        return "status = " + value(int(said))
    return None


OUTCOMES = (
    *("completed", "provider_error", "unreachable", "timed_out", "interrupted_by_provider"),
    *("interrupted_by_client", "rate_limited", "rejected", "abandoned"),
)

FIELDS: Mapping[str, Field] = {
    "model": Field(label="Model", column="model"),
    "provider": Field(label="Provider", column="provider"),
    "user": Field(label="User", column="user_id"),
    "session": Field(label="Session", column="session_id"),
    "prompt": Field(label="Prompt", column="prompt_id"),
    "outcome": Field(label="Outcome", choices={name: f"outcome = '{name}'" for name in OUTCOMES}, null="outcome"),
    "status": Field(label="Status", read=_status, takes="a status such as 429, or a class such as 5xx", null="status"),
    "cache": Field(
        label="Cache", choices={"hit": "coalesce(cache_hit, false)", "miss": "NOT coalesce(cache_hit, false)"}, null="cache_hit"
    ),
    "rating": Field(label="Rating", choices={"good": "rating", "bad": "NOT rating"}, null="rating"),
    "path": Field(label="Path", column="path"),
    "source": Field(label="Source", column="source"),
    PROPERTY: Field(label="Property"),
}


def filters_of(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[Filter, ...], list[Trouble], list[tuple[str, str]]]:
    """The filters among the parameters, in one order and each once; what is wrong; and the parameters that are no filters."""
    found: dict[Filter, None] = {}
    troubles: list[Trouble] = []
    rest: list[tuple[str, str]] = []
    for name, said in pairs:
        read = _filter(name, said)
        if read is None:
            rest.append((name, said))
        elif isinstance(read, Trouble):
            troubles.append(read)
        elif said:
            found[read] = None
    if len(found) > MOST:
        troubles.append(Trouble("filters", f"There are {len(found)} filters; the first {MOST} hold.", "Take some away."))
    return tuple(list(found)[:MOST]), troubles, rest


def named(name: str) -> tuple[str, str] | None:
    """Field and key of a name in an address; None where it is no field's."""
    if name.startswith(f"{PROPERTY}.") and 0 < len(key := name.removeprefix(f"{PROPERTY}.")) <= KEY_CHARACTERS:
        return PROPERTY, key.lower()
    return (name, "") if name in FIELDS and name != PROPERTY else None


def _filter(name: str, said: str) -> Filter | Trouble | None:
    """None where the parameter is no filter."""
    if name in (WITHOUT, WITH):
        if not said:
            return Filter("model")
        about = named(said)
        if about is None:
            return Trouble(name, f"There is nothing to filter by called {said[:40]!r}.", _FIX)
        return Filter(about[0], None, about[1], name == WITH)
    about = named(name.removeprefix(NOT))
    if about is None:
        return None
    return _checked(Filter(about[0], said, about[1], name.startswith(NOT)))


def _checked(wanted: Filter) -> Filter | Trouble:
    said, field = wanted.value or "", FIELDS[wanted.field]
    if len(said) > VALUE_CHARACTERS or "\0" in said:
        return Trouble(
            wanted.name, f"The filter {wanted.label} is longer than {VALUE_CHARACTERS} characters, or holds a NUL.", "Shorten it."
        )
    if said and field.choices and said not in field.choices:
        return Trouble(wanted.name, f"{field.label} is never {said[:40]!r}.", f"Choose {', '.join(field.choices)}.")
    if said and field.read is not None and field.read(said) is None:
        return Trouble(wanted.name, f"{field.label} is never {said[:40]!r}.", f"Give {field.takes}.")
    return wanted


_FIX = f"Name {', '.join(name for name in FIELDS if name != PROPERTY)} or property.NAME."


def condition(filters: Iterable[Filter]) -> Sql:
    """Holds for the calls that pass."""
    by_name = sorted(filters, key=lambda each: (each.name, each.negated, each.value is None, each.value or ""))
    return all_of(_of_field(list(group)) for _, group in groupby(by_name, key=lambda each: each.name))


def _of_field(filters: list[Filter]) -> Sql:
    wanted = [each for each in filters if not each.negated]
    unwanted = [each for each in filters if each.negated]
    conditions = ["NOT coalesce(" + _any_of([each]) + ", false)" for each in unwanted]
    return all_of([*([_any_of(wanted)] if wanted else []), *conditions])


def _any_of(filters: list[Filter]) -> Sql:
    field, key = FIELDS[filters[0].field], filters[0].key
    said = [each.value for each in filters if each.value is not None]
    pieces: list[Sql] = []
    if said and not field.choices and field.read is None:
        pieces.append(expression(filters[0].field, key) + " IN " + values(said))
    for text in said:
        if field.choices:
            pieces.append(Sql(field.choices[text]))
        elif field.read is not None and (made := field.read(text)) is not None:
            pieces.append(made)
    if len(said) < len(filters):
        pieces.append((Sql(field.null) if field.null else expression(filters[0].field, key)) + " IS NULL")
    return "(" + joined(" OR ", pieces) + ")"


def expression(field: str, key: str = "") -> Sql:
    """What a field is of a call, to group by. Raises KeyError for one that has no column."""
    if field == PROPERTY:
        return "properties[" + value(key) + "]"
    return Sql(FIELDS[field].column or {"outcome": "outcome", "status": "status"}[field])
