"""The thread that encodes what waits and sends it, batch by batch, until Heliograph has decided on each."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from typing import Mapping, NamedTuple

from heliograph_client.answers import Answer, is_for_later, pause_s, reason_of, verdict_of
from heliograph_client.batches import LONGEST_LINE, PATH, Batch, Batches, Line
from heliograph_client.connection import Connection, Target
from heliograph_client.facts import Judged, Told
from heliograph_client.judgements import Request, judgement_of
from heliograph_client.lines import line_of
from heliograph_client.outbox import Outbox, Waiting
from heliograph_client.tally import LOG, Tally

ENCODE_EVERY_S = 0.25
"""While Heliograph is away: what waits is to be read soon, before the application changes it."""
LOG_IS_AWAY = 503
JSON = {"Content-Type": "application/json"}


class Options(NamedTuple):
    target: Target
    api_key: str | None
    most: int
    most_bytes: int
    flush_every_s: float
    timeout_s: float
    exit_s: float


class Judgement(NamedTuple):
    number: int
    request: Request


class Sender:
    """Of one logger in one process. The thread begins with the first thing to send, and is a daemon."""

    def __init__(self, options: Options) -> None:
        self.options, self.tally = options, Tally()
        self._outbox, self._batches = Outbox(options.most, options.most_bytes), Batches()
        self._judgements: deque[Judgement] = deque()
        self._connection = Connection(options.target, options.timeout_s)
        self._headers = {"User-Agent": "heliograph-client"}
        if options.api_key:
            self._headers["Authorization"] = f"Bearer {options.api_key}"
        self._starting = threading.RLock()
        self.encoding = threading.RLock()
        """Held while foreign code runs, that of an application's objects: it may import, and no import may stand still in a fork."""
        self._thread: threading.Thread | None = None
        self._closed = self._leaving = self._away = False
        self._given_up = threading.Event()
        self._flush_to = self._failures = 0
        self._settled = threading.Condition()
        self._settled_below = 1

    # The application's threads

    def put(self, item: Told | Judged, weight: int) -> None:
        if self._closed:
            self.tally.was_dropped(1, "the logger is closed")
        elif self._outbox.put(item, weight):
            if self._thread is None:
                self._start()
        else:
            self.tally.was_dropped(1, f"{self._outbox.count} wait already, {self._outbox.size} bytes; the newest gives way")

    def flush(self, timeout: float | None) -> bool:
        """Waits until all that was put before is decided on. False: the time was over before that."""
        last = self._outbox.last
        self._flush_to = max(self._flush_to, last)
        self._outbox.wake()
        if threading.current_thread() is self._thread:
            return False
        with self._settled:
            return self._settled.wait_for(lambda: self._settled_below > last, timeout)

    def close(self, timeout: float | None) -> bool:
        """Takes no more, and sends what waits. What is left after `timeout` seconds is given up and counted as dropped."""
        self._closed = True
        done = self.flush(timeout)
        self.leave()
        if not done:
            self._given_up.set()
            left = self._outbox.empty()
            if left:
                self.tally.was_dropped(left, "the logger was closed before Heliograph took them")
            self._is_settled_below(self._outbox.last + 1)
        return done

    def leave(self) -> None:
        """Sends what waits, and ends its thread then; waits for nothing."""
        self._closed = self._leaving = True
        self._outbox.wake()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="heliograph", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # no more threads now, or the process is ending: the next call tries again
                    self._thread = None

    # The thread

    def _run(self) -> None:
        try:
            while not self._given_up.is_set():
                self._gather()
                self._send_all()
                if self._leaving and self._outbox.oldest > self._outbox.last:
                    break
        finally:
            self._connection.close()
            self._thread = None

    def _gather(self) -> None:
        """Until there is enough for a batch, a while has passed since the first, or somebody flushes."""
        while self._outbox.oldest > self._outbox.last and not self._leaving:
            self._is_settled_below(self._oldest())
            self._outbox.wait(None)
        deadline = time.monotonic() + self.options.flush_every_s
        while not (self._leaving or self._outbox.is_plenty or self._flush_to >= self._settled_below):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self._outbox.wait(left)

    def _send_all(self) -> None:
        self._encode()
        while (self._batches or self._judgements) and not self._given_up.is_set():
            if self._batches:
                self._send_batch(self._batches.next())
            for _ in range(len(self._judgements)):
                self._send_judgement(self._judgements.popleft().request)
            self._is_settled_below(self._oldest())
        self._is_settled_below(self._oldest())

    def _oldest(self) -> int:
        """What is below it is decided on."""
        numbers = [self._outbox.oldest, self._batches.oldest]
        return min(number for number in (*numbers, *(each.number for each in self._judgements)) if number is not None)

    def _is_settled_below(self, number: int) -> None:
        with self._settled:
            self._settled_below = max(self._settled_below, number)
            self._settled.notify_all()

    # Encoding

    def _encode(self) -> None:
        """All that waits at this moment: more may come as fast as it goes."""
        taken = self._outbox.take()
        gone = before = after = 0
        while taken:
            waiting = taken.popleft()
            with self.encoding:
                size = self._encoded(waiting)
            gone, before, after = gone + (size is None), before + waiting.weight, after + (size or 0)
        self._outbox.settle(gone, before - after)

    def _encoded(self, waiting: Waiting) -> int | None:
        """Its bytes; None: there is nothing to send."""
        try:
            if isinstance(waiting.item, Judged):
                request = judgement_of(waiting.item, self.tally.was_misused)
                if request is None:
                    return None
                self._judgements.append(Judgement(waiting.number, request))
                return len(request.body)
            text = line_of(waiting.item, self.tally.was_misused)
            if len(text) > LONGEST_LINE:
                self.tally.was_refused(f"a call is longer than {LONGEST_LINE} characters")
                return None
            line = Line(waiting.number, text.encode("utf-8", "replace"))
            self._batches.add(line)
            return len(line.data)
        except BaseException as error:  # noqa: BLE001 an object's own code may raise anything, and this thread is to live on
            self.tally.was_misused("a call", f"cannot be encoded, {type(error).__name__}")
            return None

    # Sending

    def _send_batch(self, batch: Batch) -> None:
        """Until it is decided on. Lines that are to be sent again are a new batch, after a pause as well.

        With a number it is taken by the log alone. While that is away and room gets scarce here, it goes without: Heliograph's disk takes
        it then, and should that answer be lost, it is there twice.
        """
        verdict = None
        while verdict is None or not verdict.settled:
            answer = self._post(PATH, batch.body, batch.headers)
            verdict = None if answer is None else verdict_of(answer, len(batch.lines))
            if verdict is not None and verdict.settled and not verdict.again:
                self._failures = 0
            elif not self._pause(answer):
                return
            if answer is not None and answer.status == LOG_IS_AWAY and self._outbox.fills_up:
                batch = batch.without_number()
        again = [batch.lines[place] for place in sorted(verdict.again)]
        self._batches.send_again(again)
        for why in verdict.refused.values():
            self.tally.was_refused(why)
        decided = len(batch.lines) - len(again)
        self.tally.was_sent(decided - len(verdict.refused))
        self._outbox.settle(decided, sum(len(line.data) for line in batch.lines) - sum(len(line.data) for line in again))

    def _send_judgement(self, request: Request) -> None:
        answer = self._post(request.path, request.body, JSON)
        while answer is None or is_for_later(answer.status):
            if not self._pause(answer):
                return
            answer = self._post(request.path, request.body, JSON)
        self._failures = 0
        if 200 <= answer.status < 300:
            self.tally.was_sent(1)
        else:
            self.tally.was_refused(reason_of(answer))
        self._outbox.settle(1, len(request.body))

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer | None:
        """None: there is no answer."""
        try:
            answer = self._connection.post(path, body, {**self._headers, **headers})
        except Exception as error:  # noqa: BLE001 http.client raises OSError, HTTPException and, for odd bytes, ValueError
            self._is_away(f"{type(error).__name__}: {error}")
            return None
        if is_for_later(answer.status):
            self._is_away(str(answer.status))
        elif self._away:
            self._away = False
            LOG.info("Heliograph is back at %s.", self.options.target.host)
        return answer

    def _is_away(self, why: str) -> None:
        if not self._away:
            self._away = True
            LOG.warning("Heliograph at %s takes nothing now (%s). Calls wait, and are sent again.", self.options.target.host, why)

    def _pause(self, answer: Answer | None) -> bool:
        """False: it was given up meanwhile."""
        self._failures += 1
        end = time.monotonic() + pause_s(self._failures, answer.retry_after if answer else None, random.random())  # noqa: S311 spreads load
        while True:
            left = end - time.monotonic()
            if left <= 0 or self._given_up.wait(min(left, ENCODE_EVERY_S)):
                return not self._given_up.is_set()
            self._encode()
