"""The query port as a whole: what it takes besides JSON, whose rows its REST API answers from, and that no request brings a 5xx."""

import json
from pathlib import Path
from typing import Any

import httpx

from eventlog.control import decide
from eventlog.keys import Auth, Scope
from runtime.deciding import opened_log
from runtime.settings import Settings
from tests.fakes.keyring import READER, WRITER, key
from tests.fakes.querying import serving
from tests.fakes.small_lake import SmallLake

CALL: dict[str, Any] = {
    "providerRequest": {"url": "x", "json": {"model": "m"}, "meta": {}},
    "providerResponse": {"status": 200, "headers": {}, "json": {}},
}


async def test_logs_come_in_as_lines_and_longer_than_questions(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        lines = "\n".join([json.dumps(CALL)] * 2)
        answer = await client.post("/v1/log/batch", content=lines, headers={"content-type": "application/x-ndjson"})
        assert (answer.status_code, len(answer.json()["accepted"])) == (200, 2), answer.text
        long = CALL | {"providerRequest": CALL["providerRequest"] | {"json": {"model": "m", "input": "x" * (3 << 20)}}}
        assert (await client.post("/custom/v1/log", json=long)).text == "ok"


async def test_whose_rows(tmp_path: Path) -> None:
    lake = SmallLake(tmp_path / "lake")
    for organization in ("acme", "other"):
        lake.add("calls", {"call_id": organization, "request_id": organization, "created_at": "2026-03-01", "organization": organization})
    async with opened_log(Settings(data_dir=tmp_path)) as log:
        await decide(log, [key(READER, Scope.READ, organization="acme"), key(WRITER, Scope.WRITE, organization="other")])
    async with serving(tmp_path, auth=Auth.REQUIRED) as client:

        async def asked(text: str, path: str = "/v1/request/query") -> httpx.Response:
            return await client.post(path, json={"filter": "all"}, headers={"authorization": f"Bearer {text}"} if text else {})

        [call] = (await asked(READER)).json()["data"]
        assert call["request_id"] == "acme"
        assert (await client.get(call["signed_body_url"])).status_code == 200  # without a key
        assert (await asked(READER, "/v1/request/count/query")).json()["data"] == 1
        for text, status in ((WRITER, 403), ("", 401), ("sk-helicone-none", 401)):
            answer = await asked(text)
            assert (answer.status_code, answer.json()["data"]) == (status, None)
        assert (await asked("")).json()["trace"] == "isAuthenticated.error"
