"""`heliograph alerts …`: what must not go beyond a limit, and which webhook is told when it does."""

from datetime import timedelta
from typing import Annotated

import typer

from eventlog.alerts import Aggregation, Alert, AlertMetric
from eventlog.control import Decided, decide, retract
from eventlog.events import DEFAULT_ORGANIZATION
from eventlog.port import Log
from runtime.keys_cli import with_control
from runtime.options import ALL, LogDir
from runtime.settings import Misconfigured
from runtime.webhooks import Unfit, alerts_of, new_alert, without_alert
from runtime.webhooks_cli import Id, Whose, WhoseAll, misconfigured, now, organization_of, organization_or_all, pair, show

app = typer.Typer(help="What must not go beyond a limit, and which webhook is told when it does.", no_args_is_help=True)

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What people call it.", show_default=False)],
    metric: Annotated[AlertMetric, typer.Option(help="What is measured: USD, percent, milliseconds.", show_default=False)],
    above: Annotated[float, typer.Option(help="It goes on while the metric is above this.", show_default=False)],
    webhook: Annotated[str, typer.Option(help="The id of the webhook that is told.", show_default=False)],
    window: Annotated[str, typer.Option(help="Calls of so long count: `5m`, `1h`, `30d`.")] = "1h",
    aggregation: Annotated[Aggregation, typer.Option(help="What is made of latencies.")] = Aggregation.P95,
    minimum_calls: Annotated[int, typer.Option(help="With fewer calls it does not go on.")] = 1,
    cool_down: Annotated[str, typer.Option(help="It begins or ends at most once in so long.")] = "5m",
    user: Annotated[str | None, typer.Option(help="Only this user's calls.", show_default=False)] = None,
    property_: Annotated[str | None, typer.Option("--property", help="Only calls with it: `plan=pro`.", show_default=False)] = None,
    organization: Whose = DEFAULT_ORGANIZATION,
    data_dir: LogDir = None,
) -> None:
    """Make an alert. Its webhook is told once when it begins, and once when it is over."""
    spans = _span("--window", window), _span("--cool-down", cool_down)

    async def work(log: Log, decided: Decided) -> Alert:
        try:
            alert = new_alert(
                decided,
                organization_of(organization),
                name,
                metric=metric,
                threshold=above,
                aggregation=aggregation,
                window=spans[0],
                minimum_calls=minimum_calls,
                cool_down=spans[1],
                user_id=user,
                property_=None if property_ is None else pair("--property", property_),
                webhook=webhook,
                now=now(),
            )
        except Unfit as error:
            raise misconfigured(error) from None
        await decide(log, [alert])
        return alert

    alert = with_control(data_dir, work)
    typer.echo(f"{alert.id} ({alert.name}) of organization {alert.organization} is watched from now on.")


@app.command("list")
def list_(organization: WhoseAll = ALL, data_dir: LogDir = None) -> None:
    """Print the alerts, and which of them go on."""

    async def work(_log: Log, decided: Decided) -> list[tuple[str, ...]]:
        return [_row(alert, decided) for alert in alerts_of(decided, organization_or_all(organization)).values()]

    rows = with_control(data_dir, work)
    if not rows:
        typer.echo("There is no alert. `heliograph alerts add` makes one.")
        return
    show(("id", "organization", "name", "above", "of", "window", "webhook", "stands"), rows)


@app.command("remove")
def remove(which: Id, data_dir: LogDir = None) -> None:
    """Take an alert away. One that goes on is not told to be over."""

    async def work(log: Log, decided: Decided) -> None:
        if (alert := decided.alerts.get(which)) is None:
            raise Misconfigured(f"There is no alert {which!r}. `heliograph alerts list` shows those there are.")
        await retract(log, without_alert(decided, alert))

    with_control(data_dir, work)
    typer.echo(f"{which} is not watched any more.")


def _row(alert: Alert, decided: Decided) -> tuple[str, ...]:
    state = decided.alert_states.get(alert.id)
    stands = "" if state is None else f"{'on' if state.on else 'over'} since {state.since:%Y-%m-%d %H:%M}"
    measured = f"{alert.metric.value} ({alert.aggregation.value})" if alert.metric is AlertMetric.LATENCY else alert.metric.value
    of = [
        *([f"user {alert.user_id}"] if alert.user_id is not None else []),
        *([f"{alert.property.key}={alert.property.value}"] if alert.property is not None else []),
    ]
    window = str(timedelta(seconds=alert.window_s))
    return (
        alert.id,
        alert.organization,
        alert.name,
        f"{measured} {alert.threshold:g}",
        "\n".join(of) or "all calls",
        window,
        alert.webhook,
        stands,
    )


def _span(option: str, text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS or not (number.isascii() and number.isdecimal() and len(number) < 9):
        raise Misconfigured(f"{option} {text[:60]!r}: expected a number and s, m, h or d, such as 15m.")
    return timedelta(seconds=int(number) * UNITS[unit])
