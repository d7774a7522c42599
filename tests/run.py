"""`make test`: every test. Those on a real Kafka, which mostly wait for it, run beside the others and tell of themselves after them."""

import subprocess
import sys
import tempfile

PYTEST = [sys.executable, "-m", "pytest"]
ON_KAFKA = "tests/kafka"


def main() -> int:
    """The exit code of whichever failed, or 0. Ctrl-C ends both."""
    sys.stdout.write(f"{ON_KAFKA} runs beside the other tests, and tells of itself after them.\n")
    sys.stdout.flush()
    with tempfile.TemporaryFile("w+") as said:
        kafka = subprocess.Popen([*PYTEST, "-p", "no:cacheprovider", ON_KAFKA], stdout=said, stderr=subprocess.STDOUT)
        try:
            others = subprocess.call([*PYTEST, f"--ignore={ON_KAFKA}"])
            return others or kafka.wait()
        except KeyboardInterrupt:
            return 130
        finally:
            kafka.wait()
            said.seek(0)
            sys.stdout.write(said.read())


if __name__ == "__main__":
    sys.exit(main())
