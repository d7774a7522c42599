"""What the shell completes: tables, columns, keys of properties, the words and functions of the engine."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import duckdb
import msgspec
from msgspec import Struct

from storage.sandbox import FORBIDDEN_FUNCTIONS, FORBIDDEN_PREFIXES
from storage.views import VIEWS

_COMMON = (
    "SELECT FROM WHERE GROUP BY ORDER LIMIT HAVING JOIN LEFT USING ON AS AND OR NOT IN IS NULL LIKE ILIKE BETWEEN DISTINCT CASE WHEN THEN "
    "ELSE END WITH UNION ALL DESC ASC OFFSET INTERVAL FILTER OVER PARTITION QUALIFY EXCLUDE DESCRIBE SUMMARIZE EXISTS"
)
COMMON = tuple(_COMMON.split())
_WORD = re.compile(r"[A-Za-z_]\w*\Z")
_PLAIN = re.compile(r"[a-z]\w+\Z")
_KEY = re.compile(r"\bproperties\s*\[\s*'([^']*)\Z", re.IGNORECASE)
_MEMBER = re.compile(r"([A-Za-z_]\w*)\.(\w*)\Z")
_BEFORE_TABLE = re.compile(r"\b(FROM|JOIN|DESCRIBE|SUMMARIZE)\s+\w*\Z", re.IGNORECASE)
_NAMED = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)(?:\s+(?:AS\s+)?(\w+))?", re.IGNORECASE)


class Word(Struct, frozen=True):
    """What may take the place of what is typed."""

    text: str
    about: str
    replaces: int
    """Characters before the cursor."""


class Vocabulary:
    """What there is to complete. What takes a moment to learn comes later."""

    def __init__(self, columns: Mapping[str, Sequence[tuple[str, str]]] | None = None) -> None:
        """`columns`: of each table, names and types."""
        self.columns = columns or {view.name: [(each.name, each.type) for each in view.columns] for view in VIEWS.values()}
        self.functions: Sequence[str] = ()
        self.keywords: Sequence[str] = COMMON
        self.keys: Sequence[str] = ()

    def learn(self) -> None:
        """What the engine knows: the same one answers."""
        with duckdb.connect() as engine:
            functions = engine.execute("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
            keywords = engine.execute("SELECT upper(keyword_name) FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'").fetchall()
        self.functions = sorted(name for (name,) in functions if _PLAIN.match(name) and not _is_forbidden(name))
        self.keywords = (*COMMON, *sorted({word for (word,) in keywords} - set(COMMON)))

    def learn_keys(self, lines: bytes) -> None:
        """Of properties, as lines of JSON with a `key` each. Those with a quote in them would need more than completion."""
        found = [msgspec.json.decode(line)["key"] for line in lines.splitlines()]
        self.keys = [key for key in found if "'" not in key]

    def words(self, before: str, whole: str) -> Iterator[Word]:
        """What fits behind `before`, in the statement `whole`."""
        if key := _KEY.search(before):
            yield from (Word(f"{each}']", "property", len(key[1])) for each in self.keys if each.startswith(key[1]))
        elif member := _MEMBER.search(before):
            table = dict(named(whole)).get(member[1].lower(), member[1].lower())
            yield from _fitting(self.columns.get(table, ()), member[2])
        elif _BEFORE_TABLE.search(before):
            typed = _typed(before)
            yield from _fitting([(name, "table") for name in self.columns], typed)
        elif typed := _typed(before):
            yield from self._anywhere(typed, whole)

    def _anywhere(self, typed: str, whole: str) -> Iterator[Word]:
        tables = [table for _, table in named(whole) if table in self.columns] or list(self.columns)
        columns = {name: kind for table in tables for name, kind in self.columns[table]}
        yield from _fitting(columns.items(), typed)
        yield from _fitting([(word, "") for word in self.keywords], typed, upper=True)
        yield from _fitting([(name, "table") for name in self.columns], typed)
        yield from _fitting([(f"{name}(", "function") for name in self.functions], typed)


def _is_forbidden(function: str) -> bool:
    return function in FORBIDDEN_FUNCTIONS or function.startswith(FORBIDDEN_PREFIXES)


def named(sql: str) -> Iterator[tuple[str, str]]:
    """The names by which a statement calls its tables, and the tables: `FROM calls c` is c and calls."""
    for table, alias in _NAMED.findall(sql):
        if alias and alias.upper() not in COMMON:
            yield alias.lower(), table.lower()
        yield table.lower(), table.lower()


def _typed(before: str) -> str:
    match = _WORD.search(before)
    return match[0] if match else ""


def _fitting(words: Iterable[tuple[str, str]], typed: str, *, upper: bool = False) -> Iterator[Word]:
    lower = typed.lower()
    for name, about in words:
        if name.lower().startswith(lower) and name.lower() != lower:
            yield Word(name.lower() if upper and typed.islower() else name, about, len(typed))
