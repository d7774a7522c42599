"""`heliograph export`: rows of the lake as files for others, whole or not at all."""

import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from eventlog.events import Organization, Outcome
from runtime.asking import existing_lake
from runtime.moments import moment
from runtime.options import ALL
from runtime.settings import Misconfigured, settings_by
from runtime.whole_files import WholeFiles, whole_files
from storage.export_forms import Form, writer_of
from storage.exporting import TIMES, Export, Part, Wanted
from storage.memory import frugal

SUFFIXES = {".parquet": Form.PARQUET, ".csv": Form.CSV, ".jsonl": Form.JSONL, ".ndjson": Form.JSONL}
INTERRUPTED = 130


def export(
    output: Annotated[str, typer.Option(metavar="FILE|DIR", help="A new file; of a directory (DIR/), a file for each day.")],
    form: Annotated[
        Form | None, typer.Option("--format", help="Default: by the file's name. helicone: what `heliograph import` reads.")
    ] = None,
    table: Annotated[str, typer.Option(help=f"One of {', '.join(TIMES)}.")] = "calls",
    columns: Annotated[str, typer.Option(help="Only these, in this order: call_id,model,cost_usd.")] = "",
    with_bodies: Annotated[bool, typer.Option("--with-bodies", help="What was asked and answered, beside each call.")] = False,
    since: Annotated[str | None, typer.Option(help="Rows of then or later: 2026-03-01, UTC.", show_default=False)] = None,
    before: Annotated[str | None, typer.Option(help="Rows of before then.", show_default=False)] = None,
    organization: Annotated[str, typer.Option(help="Whose rows; default: those of all.", show_default=False)] = ALL,
    model: Annotated[list[str] | None, typer.Option(help="This model, or pattern with * and ?; may be repeated.")] = None,
    provider: Annotated[list[str] | None, typer.Option(help="Calls to this provider; may be repeated.")] = None,
    user: Annotated[list[str] | None, typer.Option(help="Calls of this user; may be repeated.")] = None,
    session: Annotated[list[str] | None, typer.Option(help="Calls of this session, by its id; may be repeated.")] = None,
    outcome: Annotated[list[Outcome] | None, typer.Option(case_sensitive=False, help="Calls that ended so; may be repeated.")] = None,
    properties: Annotated[list[str] | None, typer.Option("--property", help="KEY=VALUE; each one that is given must hold.")] = None,
    where: Annotated[str | None, typer.Option(help="A condition in SQL: \"status >= 400 AND model LIKE 'gpt%'\".")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Where the lake lies (HELIOGRAPH_DATA_DIR).")] = None,
) -> None:
    """Write rows of the lake to a file, as the tables of SQL say them, as of now, whoever else writes. Nothing need run.

    An export that is interrupted leaves no file.
    """
    frugal()
    place, folder = Path(output), output.endswith("/") or Path(output).is_dir()
    chosen = form or SUFFIXES.get(place.suffix)
    if chosen is None:
        raise Misconfigured(f"--output {output}: its name tells no format. Say --format {'|'.join(each.value for each in Form)}.")
    equal = {
        "provider": tuple(each.lower() for each in provider or ()),
        "user_id": tuple(user or ()),
        "session_id": tuple(session or ()),
        "outcome": tuple(each.value for each in outcome or ()),
    }
    span = moment(since, "--since"), moment(before, "--before")
    if span[0] is not None and span[1] is not None and span[1] <= span[0]:
        raise Misconfigured(f"--before {before}: it has to lie after --since.")
    wanted = Wanted(
        table=table,
        columns=tuple(name.strip() for name in columns.split(",") if name.strip()),
        bodies=with_bodies,
        organization=None if organization == ALL else Organization(organization),
        since=span[0],
        before=span[1],
        models=tuple(model or ()),
        equal={name: values for name, values in equal.items() if values},
        properties=tuple(map(_property, properties or ())),
        where=where,
    )
    with _interruptible(), closing(Export(existing_lake(settings_by(data_dir=data_dir)), wanted, chosen)) as exporting:
        try:
            with whole_files(force=force) as files:
                written = Written(files, exporting, chosen)
                written.write(place, table if folder else None)
        except OSError as error:
            raise Misconfigured(f"--output {output}: {error.strerror or error}. Choose a place that can be written.") from None
        where_to = f"{len(written.sizes)} files in {place}" if folder else str(place)
        typer.echo(f"{where_to}: {written.rows:,} rows, {decimal(written.bytes)}.", err=True)


def _property(said: str) -> tuple[str, str]:
    key, equals, value = said.partition("=")
    if not key or not equals:
        raise Misconfigured(f"--property {said}: write KEY=VALUE, such as feature=search.")
    return key, value


@contextmanager
def _interruptible() -> Iterator[None]:
    """Told to end, it ends as by Ctrl-C: what is not finished is removed."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("heliograph: interrupted; nothing was exported.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


class Written:
    """What has been written."""

    def __init__(self, files: WholeFiles, exporting: Export, form: Form) -> None:
        self._files, self._exporting, self._form = files, exporting, form
        self.rows = 0
        self.sizes: dict[Path, int] = {}
        """Bytes of each file."""

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())

    def write(self, place: Path, table: str | None) -> None:
        """To one file at `place`, or of a `table` to a file for each day in the directory there.

        Raises Refused, Misconfigured and OSError.
        """
        if table is None:
            self._files.free(place)
        else:
            place.mkdir(parents=True, exist_ok=True)
            for part in self._exporting.parts:
                self._files.free(self._path(place, table, part))
        with _bar() as shown:
            task = shown.add_task("rows", total=self._counted(shown), size="")
            if table is None:
                with self._files.open(place) as file:
                    self._fill(place, file, self._exporting.parts, shown, task)
                return
            for part in self._exporting.parts:
                path = self._path(place, table, part)
                with self._files.open(path) as file:
                    self._fill(path, file, (part,), shown, task)

    def _path(self, place: Path, table: str, part: Part) -> Path:
        return place / f"{table}-{part.day or 'all'}{_SUFFIX[self._form]}"

    def _counted(self, shown: Progress) -> int | None:
        """How many rows there will be. Nobody asks where no bar is shown."""
        if shown.disable:
            return None
        task = shown.add_task("days counted", total=len(self._exporting.parts), size="")
        total = 0
        for rows in self._exporting.count():
            total += rows
            shown.advance(task)
        shown.remove_task(task)
        return total

    def _fill(self, path: Path, file: BinaryIO, parts: tuple[Part, ...], shown: Progress, task: Any) -> None:
        with closing(writer_of(self._form, file, self._exporting.schema)) as writer:
            for part in parts:
                for batch in self._exporting.batches(part):
                    writer.write(batch)
                    self.rows += batch.num_rows
                    self.sizes[path] = file.tell()
                    shown.update(task, completed=self.rows, size=decimal(self.bytes))
        self.sizes[path] = file.tell()


_SUFFIX = {Form.PARQUET: ".parquet", Form.CSV: ".csv", Form.JSONL: ".jsonl", Form.HELICONE: ".jsonl"}


def _bar() -> Progress:
    """Of rows and bytes; silent where nobody looks."""
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f}")),
        *(TextColumn("{task.fields[size]}"), TimeRemainingColumn()),
    )
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
