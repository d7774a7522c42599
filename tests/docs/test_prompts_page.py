"""What docs/prompts.md shows is true: its prompt is made, its program runs, its call is filled in, its question has an answer."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.stack import Stack
from tests.fakes.stack import stack as running

TEXT = (Path(__file__).parents[2] / "docs" / "prompts.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def body_of(command: str, **variables: str) -> Any:
    words = shlex.split(re.sub(r"\$(\w+)", lambda found: variables.get(found[1], "x"), command.replace("\\\n", " ")))
    (said,) = [word for flag, word in pairwise(words) if flag == "-d"]
    return json.loads(said)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("prompts")) as made:
        yield made


def test_what_it_shows_works(stack: Stack) -> None:
    make, call = blocks("sh")
    made = httpx.post(f"{stack.api}/v1/prompt-2025", json=body_of(make), timeout=20).json()
    assert list(made) == ["data", "error"]
    assert list(made["data"]) == ["id", "versionId"]
    prompt = made["data"]["id"]
    here = {"PROMPTS_URL": stack.api, "OPENAI_BASE_URL": f"{stack.proxy}/v1", "PROMPT_ID": prompt, "OPENAI_API_KEY": "sk-test"}
    (program,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | here, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    filled = httpx.post(
        f"{stack.proxy}/v1/chat/completions",
        json=body_of(call, PROMPT_ID=prompt),
        headers={"helicone-prompt-id": prompt, "authorization": "Bearer sk-test"},
        timeout=20,
    )
    assert filled.status_code == 200, filled.text
    row = stack.row(f"request_id = '{filled.headers['helicone-id']}'")
    assert (row["prompt_version"], row["prompt_inputs"]) == (made["data"]["versionId"], {"name": "Ann", "language": "Latin"})
    (question,) = blocks("sql")
    assert len(stack.query(question.replace("k3Xp9a", prompt))) == 2  # filled in by the program, and by the proxy


def test_its_endpoints_are_documented() -> None:
    reference = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    for path in re.findall(r"`(?:GET|POST) (/v1/[^`?]+)", TEXT):
        assert f" {path}`" in reference
