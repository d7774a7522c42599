"""`make test`: every test, in two runs side by side. Those that mostly wait, for Kafka or a whole Heliograph, tell of themselves last."""

import subprocess
import sys
import tempfile

PYTEST = [sys.executable, "-m", "pytest"]
WAITING = ("tests/kafka", "tests/spine")


def main() -> int:
    """The exit code of whichever failed, or 0. Ctrl-C ends both."""
    sys.stdout.write(f"{' and '.join(WAITING)} run beside the other tests, and tell of themselves after them.\n")
    sys.stdout.flush()
    with tempfile.TemporaryFile("w+") as said:
        waiting = subprocess.Popen([*PYTEST, "-p", "no:cacheprovider", *WAITING], stdout=said, stderr=subprocess.STDOUT)
        try:
            others = subprocess.call([*PYTEST, *(f"--ignore={folder}" for folder in WAITING)])
            return others or waiting.wait()
        except KeyboardInterrupt:
            return 130
        finally:
            waiting.wait()
            said.seek(0)
            sys.stdout.write(said.read())


if __name__ == "__main__":
    sys.exit(main())
