"""What the README shows is run, with only host and port replaced."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.stack import Stack
from tests.fakes.stack import stack as running

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


def block_with(language: str, text: str) -> str:
    (found,) = [block for block in blocks(language) if text in block]
    return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("readme")) as made:
        yield made


def here(text: str, stack: Stack) -> str:
    return text.replace("localhost:8787", f"127.0.0.1:{stack.port}").replace("localhost:8585", f"127.0.0.1:{stack.api_port}")


def run_python(code: str, stack: Stack) -> str:
    command = [sys.executable, "-c", here(code, stack)]
    done = subprocess.run(command, check=False, cwd=stack.folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_snippets_make_calls_and_the_sql_shows_them(stack: Stack) -> None:
    assert run_python(block_with("python", "from openai"), stack).strip()
    assert run_python(block_with("python", "from anthropic"), stack).strip()
    stack.rows("true", count=3)
    (command,) = [line for block in blocks("sh") for line in block.splitlines() if " query " in line]
    arguments = shlex.split(command)[1:]
    environment = stack.environment() | {"HELIOGRAPH_API_PORT": str(stack.api_port), "HELIOGRAPH_DATA_DIR": str(stack.data_dir)}
    done = subprocess.run(
        [sys.executable, "-m", "runtime.cli", *arguments], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert "gpt-4o-mini" in done.stdout
    assert "claude-3-5-sonnet-20241022" in done.stdout


def test_the_sql_of_the_readme_is_sql(stack: Stack) -> None:
    for sql in blocks("sql"):
        stack.query(sql)


def test_every_reader_reads_the_lake(stack: Stack) -> None:
    run_python(block_with("python", "from openai"), stack)
    stack.rows("true", count=2)
    printed = run_python(block_with("python", "DeltaTable("), stack)
    assert printed.count("gpt-4o-mini") >= 3


def test_the_ports_and_folders_it_names_are_the_defaults() -> None:
    text = README.read_text()
    folders = re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE)
    assert {"eventlog", "ingress", "processors", "storage", "runtime"} == set(folders)
    for folder in folders:
        assert (README.parent / folder / "__init__.py").exists()


def test_every_link_leads_somewhere() -> None:
    for page in (README, *sorted((README.parent / "docs").glob("*.md")), *sorted((README.parent / "clients").glob("*/README.md"))):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_make_targets_it_names_exist() -> None:
    makefile = (README.parent / "Makefile").read_text()
    for target in set(re.findall(r"`?make (\w+)", README.read_text())) - {"up"} | {"up"}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


def test_the_environment_of_this_test_has_no_heliograph_settings() -> None:
    assert not [name for name in os.environ if name.startswith("HELIOGRAPH_")]
