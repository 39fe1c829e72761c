"""The newest frame of each source, between the callbacks that receive frames and the worker that paints them."""

import threading
from typing import Any, Dict, Hashable, List, NamedTuple, Optional, Tuple


class Frame(NamedTuple):
    """A received message, its arrival (`time.monotonic` seconds) and the message of its mask, if any."""

    message: Any
    arrival: float
    mask: Any = None


class FrameSlots:
    """A slot for one item of each source.  `put` replaces an item that was not taken yet; `take` empties the slot.

    A longer queue would add latency: the painted frame must show what the camera sees now.
    Sources take turns, so a fast camera cannot starve a slow one.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._items: Dict[Hashable, Any] = {}
        self._turns: List[Hashable] = []  # the source that was served longest ago comes first

    def put(self, source: Hashable, item: Any) -> bool:
        """Store ``item``; returns whether it replaced an item that was not taken yet."""
        with self._condition:
            if source not in self._turns:
                self._turns.append(source)
            replaced = source in self._items
            self._items[source] = item
            self._condition.notify()
        return replaced

    def take(self, timeout: float) -> Optional[Tuple[Any, Any]]:
        """``(source, item)`` of the source whose turn it is; None if no item arrives within ``timeout`` seconds."""
        with self._condition:
            if not self._items:
                self._condition.wait(timeout)
            for source in self._turns:
                if source in self._items:
                    self._turns.remove(source)
                    self._turns.append(source)
                    return source, self._items.pop(source)
        return None

    def drop(self, source: Hashable) -> None:
        """Discard the item of ``source``."""
        with self._condition:
            self._items.pop(source, None)

    def wake(self) -> None:
        """Make a waiting `take` return at once."""
        with self._condition:
            self._condition.notify_all()
