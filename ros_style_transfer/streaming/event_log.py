"""What happened last, kept for the status and written to a log that stays readable while something stays wrong."""

import logging
import time
from typing import Callable, Dict, Hashable, Tuple


class RepeatFilter:
    """Lets a message through once per period, and at once if it changes.

    Args:
        clock: returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: Dict[Hashable, Tuple[str, float]] = {}

    def is_due(self, topic: Hashable, message: str, period: float) -> bool:
        """Whether ``message`` about ``topic`` is new, or was last let through ``period`` seconds ago."""
        now = self._clock()
        last_message, last_time = self._last.get(topic, ("", -period))
        if message == last_message and now - last_time < period:
            return False
        self._last[topic] = message, now
        return True


class EventLog:
    """The last event and the last error of a session.

    Args:
        event: the first event.
        on_change: called after each event, from the thread that reports it.
        logger: where events and problems are logged.
        clock: returns monotonic seconds.

    Attributes:
        event: the last event, for people.
        last_error: the last problem, for people, or "".
        logger: as given.
    """

    def __init__(
        self,
        event: str,
        on_change: Callable[[], None],
        logger: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.event = event
        self.last_error = ""
        self.logger = logger
        self._on_change = on_change
        self._filter = RepeatFilter(clock)

    def report(self, event: str) -> None:
        """Something has changed."""
        self.event = event
        self.logger.info("%s", event)
        self.notify()

    def warn(self, topic: Hashable, problem: str, period: float, prefix: str = "") -> None:
        """Something is wrong; equal problems of a ``topic`` are logged at most once in ``period`` seconds."""
        self.last_error = problem
        if self._filter.is_due(topic, problem, period):
            self.logger.warning("%s%s", prefix, problem)

    def fail(self, problem: str, level: int = logging.ERROR, traceback: bool = False) -> None:
        """Something has failed; logged with the traceback of the exception that is being handled, if asked."""
        self.last_error = problem
        self.logger.log(level, "%s", problem, exc_info=traceback)
        self.notify()

    def notify(self) -> None:
        """Tell the middleware that something has changed."""
        try:
            self._on_change()
        except Exception:  # a middleware that cannot report must not stop the worker
            self.logger.exception("a change could not be reported")
