"""`heliograph query` and `heliograph sql`: of the running query side when there is one, else of the lake itself."""

from typing import Any

from msgspec import Struct

from eventlog.events import DEFAULT_ORGANIZATION
from runtime.lake_process import LakeProcess
from runtime.query_limits import limits_of
from runtime.query_port import QueryPort
from runtime.settings import Misconfigured, Settings
from storage.answers import pass_on
from storage.asked import WIDTH, Answer, SqlAsked, Take, Told
from storage.formats import Format
from storage.lake import Lake, NoLake
from storage.query import Questions
from storage.refusal import Refusal, Refused
from storage.whose import whose


class Wish(Struct, frozen=True, kw_only=True):
    """A question as it was typed."""

    sql: str
    form: Format
    width: int | None = None
    """Of the terminal, in characters."""
    organization: str = ""
    """Whose rows; empty: those that one sees without saying; `*`: of all."""
    here: bool = False
    """Of the lake in the data directory, whatever runs."""
    there: bool = False
    """Of what listens on the query port, and of nothing else."""


def ask(chosen: Settings, wish: Wish) -> Answer:
    """The whole answer in the form asked for. Raises Refused and Misconfigured."""
    pieces: list[bytes] = []
    told = ask_into(chosen, wish, pieces.append)
    return Answer(pieces=tuple(pieces), told=told)


def ask_into(chosen: Settings, wish: Wish, take: Take) -> Told:
    """Hands on the answer as it comes. Raises Refused, also in the midst of it, and Misconfigured."""
    if not wish.here:
        try:
            return QueryPort(chosen).ask(_said(wish), take)
        except ConnectionRefusedError:
            if wish.there:
                raise Refused(nobody(chosen)) from None
    questions = Questions(existing_lake(chosen), limits_of(chosen))
    try:
        return pass_on(questions, _of_lake(wish), take)
    finally:
        questions.close()


class Conversation:
    """Many questions, one at a time, each of what runs then; `cancel` comes from another thread. Close it at the end."""

    def __init__(self, chosen: Settings) -> None:
        self._chosen = chosen
        self.port = QueryPort(chosen)
        self._lake: LakeProcess | None = None

    def ask(self, wish: Wish, take: Take) -> Told:
        """Hands on the answer as it comes. Raises Refused, Misconfigured and Cancelled."""
        if not wish.here:
            try:
                return self.port.ask(_said(wish), take)
            except ConnectionRefusedError:
                if wish.there:
                    raise Refused(nobody(self._chosen)) from None
        if self._lake is None:
            existing_lake(self._chosen)
            self._lake = LakeProcess(self._chosen.storage(), limits_of(self._chosen))
        return self._lake.ask(_of_lake(wish), take)

    def cancel(self) -> None:
        self.port.cancel()
        if self._lake is not None:
            self._lake.cancel()

    def close(self) -> None:
        if self._lake is not None:
            self._lake.close()


def existing_lake(chosen: Settings) -> Lake:
    """The lake to read. Nothing is made where there is none: that raises Misconfigured."""
    try:
        return Lake.existing(chosen.storage())
    except NoLake as error:
        raise Misconfigured(
            f"{error} Name the directory of a Heliograph with --data-dir (HELIOGRAPH_DATA_DIR), or start one there: heliograph up."
        ) from error


def told_of_unread(told: Told) -> str:
    """What to say of an answer that lacks rows."""
    many = len(told.unread)
    what = "1 file of the lake cannot be read, and its" if many == 1 else f"{many} files of the lake cannot be read, and their"
    return f"{what} rows are missing here. `heliograph lake --check` reads all and names what is damaged."


def told_of_cut(told: Told) -> str:
    """What to say of an answer that is not whole."""
    return (
        f"only the first {told.rows} rows are here; there are more. HELIOGRAPH_QUERY__ROWS is the limit: for everything raise it where the "
        "query side runs, ask in parts, or read the files that `heliograph lake files` names."
    )


def _of_lake(wish: Wish) -> SqlAsked:
    """Who can read its files may see all."""
    organization = whose(wish.organization, DEFAULT_ORGANIZATION, sees_all=True)
    return SqlAsked(sql=wish.sql, form=wish.form, organization=organization, width=wish.width or WIDTH)


def _said(wish: Wish) -> dict[str, Any]:
    width = {} if wish.width is None else {"width": min(max(wish.width, 20), 10_000)}
    return {"sql": wish.sql, "format": wish.form.value} | width | ({"organization": wish.organization} if wish.organization else {})


def nobody(chosen: Settings) -> Refusal:
    return Refusal(
        code="unreachable",
        message=f"Nothing listens on port {chosen.api_port}.",
        fix="Name the port of a running query side, or leave --api-port away: then the lake itself is read where nothing runs.",
    )
