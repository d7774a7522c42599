"""What is counted of webhooks and alerts."""

from prometheus_client import Counter, Gauge

from processors.webhooks.deliveries import Lost

TRIES = Counter("heliograph_webhook_tries", "Messages sent to webhooks, by what came of it.", ["result"])
LOST = Counter("heliograph_webhook_dead_letters", "Messages to webhooks that were given up, by reason.", ["reason"])
WAITING = Gauge("heliograph_webhook_waiting", "Messages that wait for their webhook.", multiprocess_mode="livesum")
ALERTS_ON = Gauge("heliograph_alerts_on", "Alerts that go on.", multiprocess_mode="livemostrecent")

for _result in ("delivered", "failed"):
    TRIES.labels(_result)
for _reason in Lost:
    LOST.labels(_reason.value)
