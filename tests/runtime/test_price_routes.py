"""Prices of one's own over HTTP: who sees them, who sets them, what is refused and how; and the invoice of a call."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from eventlog.control import decide
from eventlog.keys import Auth, Scope
from eventlog.own_prices import OwnPrice
from runtime import decider, deciding
from runtime.deciding import opened_log
from runtime.explaining import explain
from runtime.settings import Settings
from storage.formats import Format
from tests.fakes.keyring import READER, STRANGER, WRITER, key
from tests.fakes.querying import bearing, serving
from tests.fakes.small_lake import SmallLake

ADMIN = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ggggggg"
SAID: dict[str, Any] = {"model": "gpt-4o*", "provider": "openai", "from": "2026-01-01", "rates": {"input": "2.5", "output": "10"}}
RATES = {"input": "1", "output": "2"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(tmp_path) as client:
        yield client


async def listed(api: httpx.AsyncClient, **headers: str) -> list[dict[str, Any]]:
    answer = await api.get("/v1/prices", headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["prices"]
    return found


class TestSetting:
    async def test_set_listed_replaced_and_taken_away(self, api: httpx.AsyncClient) -> None:
        assert await listed(api) == []
        answer = await api.put("/v1/prices", json=SAID | {"organization": None, "until": None})
        assert answer.status_code == 200, answer.text
        price = answer.json()
        assert price == {
            "id": price["id"],
            "organization": None,
            "provider": "openai",
            "model": "gpt-4o*",
            "from": "2026-01-01T00:00:00+00:00",
            "until": None,
            "rates": {"input": "2.5", "output": "10"},
            "by": "set",
        }
        assert await listed(api) == [price]  # whoever set it sees it with the next request
        again = (await api.put("/v1/prices", json=SAID | {"rates": RATES})).json()
        assert again == price | {"rates": RATES}
        assert await listed(api) == [again]
        gone = await api.delete(f"/v1/prices/{price['id']}")
        assert (gone.status_code, gone.json()) == (200, again)
        assert await listed(api) == []
        assert (await api.delete(f"/v1/prices/{price['id']}")).json()["error"]["code"] == "price_not_found"

    @pytest.mark.parametrize(
        ("sent", "kept"),
        [("0.1", "0.1"), ("2", "2"), ("2.50", "2.50"), ("0.123456789", "0.123456789"), ("1e-7", "0.0000001"), ('"0.15"', "0.15")],
    )
    async def test_an_amount_keeps_its_digits(self, api: httpx.AsyncClient, sent: str, kept: str) -> None:
        body = f'{{"rates": {{"input": {sent}, "output": 10}}}}'
        answer = await api.put("/v1/prices", content=body, headers={"content-type": "application/json"})
        assert answer.json()["rates"] == {"input": kept, "output": "10"}

    async def test_the_most_specific_first_and_those_of_the_file_beside(self, tmp_path: Path) -> None:
        (tmp_path / "prices.toml").write_text('[[price]]\nmodel = "gpt*"\nrates = { input = 1, output = 2 }\n')
        async with serving(tmp_path) as api:
            for model in ("*", "gpt*", "gpt-4o"):
                assert (await api.put("/v1/prices", json={"model": model, "rates": RATES})).status_code == 200
            found = await listed(api)
            assert [(each["model"], each["by"]) for each in found] == [("gpt-4o", "set"), ("gpt*", "set"), ("gpt*", "file"), ("*", "set")]
            assert [each["id"] is None for each in found] == [False, False, True, False]

    async def test_one_that_stands_in_the_file_is_not_taken_away_here(self, tmp_path: Path) -> None:
        (tmp_path / "prices.toml").write_text('[[price]]\nmodel = "gpt*"\nrates = { input = 1, output = 2 }\n')
        async with serving(tmp_path) as api:
            answer = await api.delete(f"/v1/prices/{OwnPrice(model='gpt*', rates={}).id}")
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["field"]) == (404, "price_in_file", "id")
            assert str(tmp_path / "prices.toml") in error["message"]

    async def test_a_contradiction_names_both(self, api: httpx.AsyncClient) -> None:
        await api.put("/v1/prices", json={"model": "gpt-4*", "rates": RATES})
        answer = await api.put("/v1/prices", json={"model": "gpt*-4", "rates": RATES})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (409, "prices_contradict")
        assert "*/gpt-4*" in error["message"]
        assert "*/gpt*-4" in error["message"]
        assert len(await listed(api)) == 1
        ended = await api.put("/v1/prices", json={"model": "gpt*-4", "until": "2026-01-01", "rates": RATES})
        assert ended.status_code == 409
        began = await api.put("/v1/prices", json={"model": "gpt-4*", "from": "2026-01-01", "rates": RATES})
        assert began.status_code == 409  # another key: the one without a beginning still holds then

    async def test_the_longest_patterns_are_compared(self, api: httpx.AsyncClient) -> None:
        assert (await api.put("/v1/prices", json={"model": "*" + "a" * 255, "rates": RATES})).status_code == 200
        assert (await api.put("/v1/prices", json={"model": "b" * 255 + "*", "rates": RATES})).status_code == 409

    async def test_two_at_once_do_not_contradict_each_other(self, api: httpx.AsyncClient) -> None:
        models = ("gpt-4*", "gpt*-4")
        both = await asyncio.gather(*(api.put("/v1/prices", json={"model": model, "rates": RATES}) for model in models))
        assert sorted(answer.status_code for answer in both) == [200, 409]

    async def test_what_another_process_set_is_known(self, api: httpx.AsyncClient, tmp_path: Path) -> None:
        price = OwnPrice(model="gpt-4*", rates=RATES)
        async with opened_log(Settings(data_dir=tmp_path)) as log:
            await decide(log, [price])
        assert (await api.put("/v1/prices", json={"model": "gpt*-4", "rates": RATES})).status_code == 409
        assert (await api.delete(f"/v1/prices/{price.id}")).status_code == 200


WRONG: dict[str, tuple[Any, str, str]] = {
    "no rates": ({"model": "a"}, "rates", "Field required"),
    "a field nobody knows": ({"rates": RATES, "price": 1}, "price", "not permitted"),
    "a model that is a number": ({"rates": RATES, "model": 4}, "model", "string"),
    "a list": ([], "body", ""),
    "rates that are a list": ({"rates": [1]}, "rates", "dictionary"),
    "no rate": ({"rates": {}}, "rates", "says no rate"),
    "a rate nobody knows": ({"rates": {"inputs": 1}}, "rates", "no rate named 'inputs'"),
    "half of what is needed": ({"rates": {"input": 1}}, "rates", "both input and output"),
    "less than nothing": ({"rates": {"input": -1, "output": 1}}, "rates", "plain digits"),
    "a price beyond all bounds": ({"rates": {"input": 10**9, "output": 1}}, "rates", "plain digits"),
    "true": ({"rates": {"input": True, "output": 1}}, "rates", "is a number"),
    "null": ({"rates": {"input": None, "output": 1}}, "rates", "is a number"),
    "a pattern with a blank": ({"rates": RATES, "model": "gpt 4"}, "model", "without blanks"),
    "half of a character": ({"rates": RATES, "model": "\ud800"}, "model", "half of a character"),
    "of an organization": ({"rates": RATES, "organization": "\udfff"}, "organization", "half of a character"),
    "an organization without a name": ({"rates": RATES, "organization": ""}, "organization", "1 to 256"),
    "one without end": ({"rates": RATES, "organization": "a" * 300}, "organization", "1 to 256"),
    "a provider without a name": ({"rates": RATES, "provider": " "}, "provider", "lower-case name"),
    "no time": ({"rates": RATES, "from": "tomorrow"}, "from", "2026-03-01"),
    "a time that is a number": ({"rates": RATES, "from": 2026}, "from", "string"),
    "a time before all": ({"rates": RATES, "until": "0001-01-01T00:00:00+14:00"}, "until", "2026-03-01"),
    "an end before its beginning": ({"rates": RATES, "from": "2026-02-01", "until": "2026-01-01"}, "from", "before until"),
}


async def test_what_is_wrong_is_named(api: httpx.AsyncClient) -> None:
    for name, (said, field, words) in WRONG.items():
        body = json.dumps(said).encode()
        answer = await api.put("/v1/prices", content=body, headers={"content-type": "application/json"})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["field"]) == (422, "invalid_field", field), (name, answer.text)
        assert words in error["message"], (name, error)
        assert error["fix"], name
    assert await listed(api) == []


UNREAD = {
    "no JSON": (b"{", 400, "invalid_json"),
    "no UTF-8": (b'{"model":"\xff"}', 400, "bad_request"),
    "not a number": (b'{"rates":{"input":NaN,"output":1}}', 422, "invalid_field"),
    "a number beyond all bounds": (b'{"rates":{"input":1e999999999,"output":1}}', 422, "invalid_field"),
    "one beyond those": (b'{"rates":{"input":1e99999999999999999999,"output":1}}', 400, "bad_request"),
    "one of too many digits": (b'{"rates":{"input":' + b"9" * 5000 + b',"output":1}}', 400, "bad_request"),
    "a field that is half of a character": (b'{"\\ud800":1,"rates":{"request":1}}', 422, "invalid_field"),
    "a body without end": (b'{"model":"' + b"x" * (1 << 20) + b'"}', 413, "body_too_large"),
}


async def test_what_cannot_be_read_is_told_as_elsewhere(api: httpx.AsyncClient) -> None:
    for name, (body, status, code) in UNREAD.items():
        answer = await api.put("/v1/prices", content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), (name, answer.text)
    typeless = await api.put("/v1/prices", content=b"{}")
    assert (typeless.status_code, typeless.json()["error"]["code"]) == (415, "unsupported_media_type")


class TestWho:
    """acme's reader and writer, globex's reader, and the operator."""

    GLOBEX = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-hhhhhhh"

    async def keys(self, folder: Path) -> None:
        made = (
            key(WRITER, Scope.WRITE, Scope.READ),
            key(READER, Scope.READ),
            key(self.GLOBEX, Scope.READ, organization="globex"),
            key(ADMIN, Scope.ADMIN, organization="ours"),
        )
        async with opened_log(Settings(data_dir=folder)) as log:
            await decide(log, made)

    async def test_the_operator_sets_and_each_sees_its_own(self, tmp_path: Path) -> None:
        await self.keys(tmp_path)
        async with serving(tmp_path) as api:
            for organization in ("acme", "globex", None):
                said = {"organization": organization, "rates": RATES}
                assert (await api.put("/v1/prices", json=said, headers=bearing(ADMIN))).status_code == 200
            seen = {each: [price["organization"] for price in await listed(api, **bearing(each))] for each in (READER, self.GLOBEX, ADMIN)}
            assert {who: sorted(map(str, of)) for who, of in seen.items()} == {
                READER: ["None", "acme"],
                self.GLOBEX: ["None", "globex"],
                ADMIN: ["None", "acme", "globex"],
            }

    @pytest.mark.parametrize("auth", [None, Auth.OPEN, Auth.PERMISSIVE])
    async def test_nobody_else_sets_or_takes_away(self, tmp_path: Path, auth: Auth | None) -> None:
        await self.keys(tmp_path)
        async with serving(tmp_path, auth=auth) as api:
            said = {"organization": "acme", "rates": RATES}
            price = (await api.put("/v1/prices", json=said, headers=bearing(ADMIN))).json()
            for who in (WRITER, READER, self.GLOBEX):
                for answer in (
                    await api.put("/v1/prices", json=said | {"rates": {"request": "0"}}, headers=bearing(who)),
                    await api.delete(f"/v1/prices/{price['id']}", headers=bearing(who)),
                ):
                    error = answer.json()["error"]
                    assert (answer.status_code, error["code"]) == (403, "scope_missing")
                    assert "operator" in error["message"]
                    assert "`admin`" in error["fix"]
            for headers in ({}, bearing(STRANGER)):
                answer = await api.put("/v1/prices", json=said, headers=headers)
                assert answer.status_code == (403 if auth is Auth.OPEN else 401)
            assert await listed(api, **bearing(ADMIN)) == [price]


class TestPages:
    """A web page is let in, or not, by the guard, as everywhere on this port."""

    async def test_of_another_site(self, api: httpx.AsyncClient) -> None:
        for method in ("PUT", "DELETE"):
            answer = await api.request(method, "/v1/prices", json=SAID, headers={"origin": "https://evil.example"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "foreign_origin")
        assert await listed(api) == []

    async def test_of_our_own(self, api: httpx.AsyncClient) -> None:
        answer = await api.put("/v1/prices", json=SAID, headers={"origin": "http://localhost", "sec-fetch-site": "same-origin"})
        assert answer.status_code == 200

    async def test_the_description_is_one_that_they_can_show(self, api: httpx.AsyncClient) -> None:
        described = (await api.get("/openapi.json")).json()
        assert set(described["paths"]["/v1/prices"]) == {"get", "put"}
        assert {"/v1/prices/{id}", "/v1/calls/{id}/price"} <= described["paths"].keys()
        assert described["components"]["schemas"]["PriceSaid"]["properties"].keys() == SAID.keys() | {"organization", "until"}
        assert '"type": "null"' not in json.dumps(described)


class TestAway:
    async def test_a_log_that_went_away(self, tmp_path: Path) -> None:
        async with serving(tmp_path) as api:
            price = (await api.put("/v1/prices", json=SAID)).json()
            log = Settings(data_dir=tmp_path).log_dir
            log.rename(log.with_suffix(".gone"))
            log.write_text("no directory")
            for answer in (await api.put("/v1/prices", json=SAID), await api.delete(f"/v1/prices/{price['id']}")):
                error = answer.json()["error"]
                assert (answer.status_code, error["code"]) == (503, "log_unavailable"), answer.text
                assert "event log" in error["message"]
            assert await listed(api) == [price]

    async def test_one_that_does_not_answer(self, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(decider, "PATIENCE_S", 0.0)
        answer = await api.put("/v1/prices", json=SAID)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "log_unavailable")

    async def test_one_that_was_never_reached(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody is refused for want of a key that nobody knows of."""
        monkeypatch.setattr(deciding, "PATIENCE_S", 0.0)
        log = Settings(data_dir=tmp_path).log_dir
        log.write_text("no directory")
        async with serving(tmp_path) as api:
            for answer in (await api.get("/v1/prices"), await api.put("/v1/prices", json=SAID)):
                assert (answer.status_code, answer.json()["error"]["code"]) == (503, "log_unavailable"), answer.text


PRICED: dict[str, Any] = {
    "call_id": "priced",
    "request_id": "a/b",
    "cost_usd": "0.004500000001",
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "total_tokens": 1200,
    "usage_source": "provider",
    "price_source": "own price for */*: input=2.5,output=10,request=0.000000000001",
    "price_basis": "own",
    "rates": {"input_mtok": "2.5", "output_mtok": "10"},
}


class TestInvoice:
    async def test_as_the_command_prints_it(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HELIOGRAPH_DATA_DIR", str(tmp_path))  # and taken back: the command says it to whatever it starts
        world = SmallLake(tmp_path / "lake")
        unpriced = {"call_id": "unpriced", "price_source": "unpriced: nobody knows the model"}
        cached = {"call_id": "cached", "cost_usd": "0", "price_basis": "cache", "price_source": "cache", "cost_saved_usd": "0.0045"}
        world.add("calls", PRICED, unpriced, cached)
        async with serving(tmp_path) as api:
            for call in ("priced", "unpriced", "cached"):
                answer = await api.get(f"/v1/calls/{call}/price")
                assert answer.status_code == 200, answer.text
                await asyncio.to_thread(explain, call, form=Format.JSON, data_dir=tmp_path)
                assert answer.json() == json.loads(capsys.readouterr().out)
            found = (await api.get("/v1/calls/priced/price")).json()
            assert [(line["for"], line["count"], line["amount_usd"]) for line in found["lines"]] == [
                ("prompt", "1000", "0.0025"),
                ("answer", "200", "0.002"),
            ]
            assert (found["total_usd"], found["cost_usd"], found["reason"]) == ("0.0045", "0.004500000001", None)
            assert (await api.get("/v1/calls/unpriced/price")).json()["reason"] == "unpriced: nobody knows the model"

    async def test_by_request_id_and_the_call_beside(self, tmp_path: Path) -> None:
        world = SmallLake(tmp_path / "lake")
        world.add("calls", PRICED, {"call_id": "x", "request_id": "a"})
        async with serving(tmp_path) as api:
            assert (await api.get("/v1/calls/a/b/price")).json()["call_id"] == "priced"
            assert (await api.get("/v1/calls/a/b")).json()["cost_usd"] == 0.004500000001
            for call in ("nobody", "%00"):
                missing = await api.get(f"/v1/calls/{call}/price")
                assert (missing.status_code, missing.json()["error"]["code"]) == (404, "call_not_found"), missing.text

    async def test_of_another_organization(self, tmp_path: Path) -> None:
        world = SmallLake(tmp_path / "lake")
        world.add("calls", PRICED | {"organization": "globex"})
        await TestWho().keys(tmp_path)
        async with serving(tmp_path) as api:
            for who, query, status in (
                (READER, "", 404),
                (READER, "?organization=globex", 403),
                (ADMIN, "?organization=*", 200),
                (STRANGER, "", 401),
            ):
                assert (await api.get(f"/v1/calls/priced/price{query}", headers=bearing(who))).status_code == status
