"""The newest frames only: what stands between the cameras' callbacks and the worker."""
import threading
from typing import Any, NamedTuple


class Frame(NamedTuple):
    """A frame, what came with it, and when it came (`time.monotonic` seconds)."""

    message: Any
    arrival: float
    mask: Any = None


class LatestSlots:
    """A slot for one item of each source.  Putting replaces what was not taken yet; taking empties it.

    A queue of any length would show the past: what is painted must be what the camera sees now.
    Sources take turns: a fast camera does not keep a slow one waiting.
    """

    def __init__(self):
        self._condition = threading.Condition()
        self._items = {}  # by source; the one that was taken longest ago first
        self._turns = []

    def put(self, source, item):
        """Store ``item``; True if it replaced one that nobody had taken."""
        with self._condition:
            if source not in self._turns:
                self._turns.append(source)
            replaced = source in self._items
            self._items[source] = item
            self._condition.notify()
        return replaced

    def take(self, timeout):
        """``(source, item)``, the newest of the source whose turn it is, waiting up to ``timeout`` seconds for one;
        None if none came."""
        with self._condition:
            if not self._items:
                self._condition.wait(timeout)
            for source in self._turns:
                if source in self._items:
                    self._turns.remove(source)
                    self._turns.append(source)
                    return source, self._items.pop(source)
        return None

    def drop(self, source):
        """Forget what ``source`` has put."""
        with self._condition:
            self._items.pop(source, None)

    def wake(self):
        """Let a waiting `take` return at once."""
        with self._condition:
            self._condition.notify_all()
