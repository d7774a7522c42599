"""The prompts that a proxy fills in are those that the query side keeps: of one organization, by version or environment."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from eventlog.events import Organization
from ingress.stored_prompts import PromptsUnknown, UnknownPrompt, Wish
from runtime import stored_prompts
from runtime.settings import Settings
from runtime.stored_prompts import StoredPrompts
from tests.fakes.ingress import running, status_of
from tests.fakes.prompting import BODY, asking, prompting

DEFAULT = Organization("default")


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[FastAPI]:
    async with prompting(tmp_path) as app:
        yield app


async def test_what_is_kept_is_found_and_what_is_changed_is_known(app: FastAPI, tmp_path: Path) -> None:
    proxy = StoredPrompts(Settings(data_dir=tmp_path))
    async with asking(app) as api:
        made = (await api.post("/v1/prompt-2025", json={"name": "n", "promptBody": BODY})).json()["data"]
        other = (await api.post("/v1/prompt-2025", json={"name": "m", "promptBody": BODY})).json()["data"]
        prompt = made["id"]
        found = await proxy.find(DEFAULT, Wish(prompt))
        assert (found.version, json.loads(found.body)) == (made["versionId"], BODY)
        update = {"promptId": prompt, "promptVersionId": made["versionId"], "newMajorVersion": True, "commitMessage": ""}
        second = (await api.post("/v1/prompt-2025/update", json=update | {"environment": "staging", "promptBody": {}})).json()["data"]["id"]
        await proxy._follower.until(lambda kept: kept.library.version(DEFAULT, second) is not None)
        await proxy._follower.until(lambda kept: kept.library.at(kept.library.prompt(DEFAULT, prompt), "staging") is not None)
        wishes = {
            Wish(prompt): made["versionId"],
            Wish(prompt, version=second): second,
            Wish(prompt, version=made["versionId"], environment="staging"): second,
        }
        for wish, version in wishes.items():
            assert (await proxy.find(DEFAULT, wish)).version == version
        unknown = [
            (DEFAULT, Wish("nobody")),
            (Organization("other"), Wish(prompt)),
            (DEFAULT, Wish(prompt, environment="nowhere")),
            (DEFAULT, Wish(prompt, version=other["versionId"])),
        ]
        for organization, wish in unknown:
            with pytest.raises(UnknownPrompt):
                await proxy.find(organization, wish)
        call = {"prompt_id": prompt, "inputs": {"language": "Latin", "name": "Ann"}}
        async with running(stored_for=proxy.find) as world:
            answer = await world.post(body=json.dumps(call).encode(), headers=b"Helicone-Prompt-Id: %b\r\n" % prompt.encode())
            assert status_of(answer) == 200
            sent = json.loads(world.provider.requests[-1].partition(b"\r\n\r\n")[2])
            assert [each["content"] for each in sent["messages"]] == ["You greet in Latin.", "Ann"]
    await proxy.aclose()


async def test_while_the_log_is_away_a_call_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_prompts, "PATIENCE_S", 0.05)
    (tmp_path / "log").write_text("no directory")
    proxy = StoredPrompts(Settings(data_dir=tmp_path))
    with pytest.raises(PromptsUnknown):
        await proxy.find(DEFAULT, Wish("abc123"))
    await proxy.aclose()
