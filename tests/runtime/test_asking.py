"""Commands that ask the running query side: long answers, those that break off, those that are stopped, and queries that are saved."""

import asyncio
import json
from pathlib import Path

import pytest

from eventlog.control import decide
from eventlog.keys import Auth, Scope
from runtime.asking import Conversation, Wish
from runtime.deciding import opened_log
from runtime.query_port import Cancelled
from runtime.saved import SavedQueries
from runtime.settings import Asking, Misconfigured, Settings
from storage.formats import Format
from storage.refusal import Refused
from tests.fakes.keyring import READER, WRITER, key
from tests.fakes.querying import port_of
from tests.fakes.small_lake import SmallLake

LONG = "SELECT range AS n, repeat('x', 1000) AS text FROM range({})"


async def test_of_the_running_query_side(tmp_path: Path) -> None:
    SmallLake(tmp_path / "lake")
    async with port_of(tmp_path, query=Asking(rows=30_000, at_once=1)) as port:
        talk = Conversation(Settings(data_dir=tmp_path / "elsewhere", api_port=port))

        async def ask(sql: str, form: Format = Format.JSONL) -> list[int]:
            pieces: list[bytes] = []
            told = await asyncio.to_thread(talk.ask, Wish(sql=sql, form=form), pieces.append)
            found = [json.loads(line)["n"] for line in b"".join(pieces).splitlines()]
            assert told.rows in {None, len(found)}
            return found

        assert await ask(LONG.format(3)) == [0, 1, 2]
        assert await ask(LONG.format(10_000)) == list(range(10_000))
        with pytest.raises(Refused) as broken:
            await ask(LONG.format(30_001))
        assert broken.value.refusal.code == "broken_off"
        assert "rows=30000" in broken.value.refusal.message
        with pytest.raises(Refused) as wrong:
            await ask("SELECT nothing FROM calls")
        assert (wrong.value.refusal.code, wrong.value.refusal.position) == ("invalid_sql", 7)

        asking = asyncio.create_task(ask("SELECT count(*) AS n FROM range(100_000_000_000)"))
        await asyncio.sleep(0.3)
        talk.cancel()
        with pytest.raises(Cancelled):
            await asking
        assert await ask("SELECT 1 AS n") == [1]  # its only process is free again
        talk.close()


async def test_saved_queries_are_those_of_the_key(tmp_path: Path) -> None:
    SmallLake(tmp_path / "lake")
    async with opened_log(Settings(data_dir=tmp_path)) as log:
        await decide(log, [key(WRITER, Scope.READ, Scope.WRITE), key(READER, Scope.READ, organization="other")])
    async with port_of(tmp_path, auth=Auth.REQUIRED) as port:
        saved, others = (SavedQueries(Settings(data_dir=tmp_path / "elsewhere", api_port=port, api_key=by)) for by in (WRITER, READER))
        for sql in ("SELECT 1", "SELECT 2"):
            await asyncio.to_thread(saved.save, "one", sql)
        assert [each.sql for each in await asyncio.to_thread(saved.all)] == ["SELECT 2"]
        assert await asyncio.to_thread(others.all) == []
        with pytest.raises(Refused):
            await asyncio.to_thread(others.save, "mine", "SELECT 3")
        on_disk = SavedQueries(Settings(data_dir=tmp_path), organization="acme", here=True)
        assert [each.name for each in await asyncio.to_thread(on_disk.all)] == ["one"]
        await asyncio.to_thread(saved.remove, "one")
        with pytest.raises(Misconfigured, match="There are: none"):
            await asyncio.to_thread(saved.named, "one")
