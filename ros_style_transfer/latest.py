"""The newest frame only: what stands between a camera's callback and the worker."""
import threading
from typing import Any, NamedTuple


class Frame(NamedTuple):
    """A frame and when it came (`time.monotonic` seconds)."""

    message: Any
    arrival: float


class LatestSlot:
    """A slot for one item.  Putting replaces what was not taken yet; taking empties it.

    A queue of any length would show the past: what is painted must be what the camera sees now.
    """

    def __init__(self):
        self._condition = threading.Condition()
        self._item = None

    def put(self, item):
        """Store ``item``; True if it replaced one that nobody had taken."""
        with self._condition:
            replaced, self._item = self._item is not None, item
            self._condition.notify()
        return replaced

    def take(self, timeout):
        """The newest item, waiting up to ``timeout`` seconds for one; None if none came."""
        with self._condition:
            if self._item is None:
                self._condition.wait(timeout)
            item, self._item = self._item, None
        return item

    def wake(self):
        """Let a waiting `take` return at once."""
        with self._condition:
            self._condition.notify_all()
