"""`make test`: every test but the docs' own, which are part of `make check`, in runs side by side.

Those that mostly wait, for Kafka or for whole Heliographs, tell of themselves last.
"""

import contextlib
import subprocess
import sys
import tempfile

PYTEST = [sys.executable, "-m", "pytest"]
WAITING = (("tests/kafka", "tests/clients"), ("tests/spine", "tests/runtime"))
CHECKED = "tests/docs"


def main() -> int:
    """The exit code of a run that failed, or 0. Ctrl-C ends all."""
    apart = [folder for folders in WAITING for folder in folders]
    sys.stdout.write(f"{', '.join(apart)} run beside the other tests, and tell of themselves after them.\n")
    sys.stdout.flush()
    with contextlib.ExitStack() as files:
        told = [files.enter_context(tempfile.TemporaryFile("w+")) for _ in WAITING]
        waiting = [
            subprocess.Popen([*PYTEST, "-p", "no:cacheprovider", *folders], stdout=said, stderr=subprocess.STDOUT)
            for folders, said in zip(WAITING, told, strict=True)
        ]
        try:
            others = subprocess.call([*PYTEST, *(f"--ignore={folder}" for folder in (*apart, CHECKED))])
            return next((code for code in (others, *(run.wait() for run in waiting)) if code), 0)
        except KeyboardInterrupt:
            return 130
        finally:
            for run, said in zip(waiting, told, strict=True):
                run.wait()
                said.seek(0)
                sys.stdout.write(said.read())


if __name__ == "__main__":
    sys.exit(main())
