"""`make test`: every test but the docs' own, which are part of `make check`, in runs side by side.

Two cores are busy with four of them, as most of them wait now and then. The longest begin first, those that mostly wait among them. Each
tells of itself once it is over.
"""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path

PYTEST = [sys.executable, "-m", "pytest"]
AT_ONCE = 4
APART = (
    ("kafka", "eventlog"),
    ("storage",),
    ("runtime/test_[a-k]*",),
    ("runtime/test_[l-z]*",),
    ("spine", "clients"),
    (),
    ("browser",),
)
"""Folders and files of `tests`, or patterns of them. Together are those that share what takes long to start. The empty one: all others."""
CHECKED = "docs"


def runs() -> list[list[str]]:
    """Pytest's arguments, run by run."""
    there = [[str(path) for name in names for path in sorted(Path("tests").glob(name))] for names in APART]
    apart = {str(Path("tests", name.split("/")[0])) for names in APART for name in names}
    others = [f"--ignore={folder}" for folder in (*sorted(apart), f"tests/{CHECKED}")]
    return [["-p", "no:cacheprovider", *(folders or others)] for folders in there]


def run(arguments: Sequence[str]) -> tuple[int, str]:
    """The exit code, and what was said."""
    done = subprocess.run([*PYTEST, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """The exit code of a run that failed, or 0. Ctrl-C ends all: a terminal sends it to each of them too."""
    given = runs()
    tell(f"{len(given)} runs, {AT_ONCE} at once; each tells of itself once it is over.")
    codes: list[int] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun: dict[Future[tuple[int, str]], list[str]] = {pool.submit(run, arguments): arguments for arguments in given}
        try:
            for over in as_completed(begun):
                code, said = over.result()
                codes.append(code)
                tell(f"\npytest {' '.join(begun[over])}\n{said}")
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            with suppress(KeyboardInterrupt):
                pool.shutdown()
            return 130
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main())
