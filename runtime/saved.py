"""Queries that are saved, for commands: of the running query side when there is one, else on the log itself."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

from msgspec import Struct

from eventlog.control import Decided, decide, retract
from eventlog.events import DEFAULT_ORGANIZATION, Organization
from eventlog.kept import SavedQuery
from eventlog.port import Log
from runtime.asking import nobody
from runtime.deciding import decided_on
from runtime.moments import now
from runtime.observing import observed
from runtime.query_port import QueryPort
from runtime.settings import Misconfigured, Settings
from storage.refusal import Refused

T = TypeVar("T")

LIST, ONE = "/v1/helicone-sql/saved-queries", "/v1/helicone-sql/saved-query"


class Kept(Struct, frozen=True):
    """One of them."""

    id: str
    name: str
    sql: str
    updated_at: datetime


class SavedQueries:
    """Of one organization; over HTTP, of the key's. Each method raises Refused and Misconfigured."""

    def __init__(self, chosen: Settings, *, organization: str = "", here: bool = False, there: bool = False) -> None:
        self._chosen, self._here, self._there = chosen, here, there
        self._organization = Organization(organization or DEFAULT_ORGANIZATION)
        self._named = bool(organization)
        self._port = QueryPort(chosen)

    def all(self) -> list[Kept]:
        """By name."""
        found = self._over_http("GET", LIST)
        kept = self._on_log(self._listed) if found is None else [_told(each) for each in found]
        return sorted(kept, key=lambda each: each.name)

    def named(self, name: str) -> Kept:
        kept = self.all()
        for each in kept:
            if each.name == name:
                return each
        there_are = ", ".join(each.name for each in kept) or "none"
        raise Misconfigured(f"No query is saved as {name!r}. There are: {there_are}.")

    def save(self, name: str, sql: str) -> None:
        """Under a new name, or in the place of what has it."""
        before = next((each for each in self.all() if each.name == name), None)
        said = {"name": name, "sql": sql}
        sent = ("POST", ONE) if before is None else ("PUT", f"{ONE}/{quote(before.id)}")
        if self._over_http(*sent, said) is None:
            self._on_log(lambda log, decided: self._write(log, decided, name, sql))

    def remove(self, name: str) -> None:
        found = self.named(name)
        if not self._reached("DELETE", f"{ONE}/{quote(found.id)}"):
            self._on_log(lambda log, decided: retract(log, [decided.saved_queries[found.id]]))

    def _over_http(self, method: str, path: str, said: dict[str, Any] | None = None) -> Any:
        """None where nobody listens, or the log is meant."""
        if self._here or self._named:
            return None
        try:
            return self._port.rest(method, path, said)
        except ConnectionRefusedError:
            if self._there:
                raise Refused(nobody(self._chosen)) from None
            return None

    def _reached(self, method: str, path: str) -> bool:
        if self._here or self._named:
            return False
        try:
            self._port.rest(method, path)
        except ConnectionRefusedError:
            return False
        return True

    def _on_log(self, work: Callable[[Log, Decided], Awaitable[T]]) -> T:
        async def working() -> T:
            async with observed(self._chosen, makes=True) as log:
                return await work(log, await decided_on(log))

        return asyncio.run(working())

    async def _listed(self, _: Log, decided: Decided) -> list[Kept]:
        return [Kept(each.id, each.name, each.sql, each.updated_at) for each in self._own(decided)]

    async def _write(self, log: Log, decided: Decided, name: str, sql: str) -> None:
        at = now()
        before = next((each for each in self._own(decided) if each.name == name), None)
        made = (str(uuid4()), at) if before is None else (before.id, before.created_at)
        await decide(log, [SavedQuery(id=made[0], organization=self._organization, name=name, sql=sql, created_at=made[1], updated_at=at)])

    def _own(self, decided: Decided) -> list[SavedQuery]:
        return [each for each in decided.saved_queries.values() if each.organization == self._organization]


def _told(said: dict[str, Any]) -> Kept:
    return Kept(said["id"], said["name"], said["sql"], datetime.fromisoformat(said["updated_at"]))
