"""Frames and masks that belong together, by their stamps."""

import threading
import time
from collections import deque
from typing import Any, Callable, Deque, Tuple

QUEUE_SIZE = 10  # frames, and masks, that wait for their counterparts
MASK_TIMEOUT = 1.0  # seconds without a matching mask after which frames are painted whole


class MaskPairing:
    """Gives each frame the mask whose stamp is nearest.  Thread-safe.

    Args:
        put: called with a frame and its mask, or with None for a mask if none has matched for `MASK_TIMEOUT`.
        tolerance: largest difference between the stamps of a pair in seconds.
        clock: returns monotonic seconds.
    """

    def __init__(
        self, put: Callable[[Any, Any], Any], tolerance: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._put = put
        self._tolerance = tolerance
        self._clock = clock
        self._lock = threading.Lock()
        self._frames: Deque[Tuple[float, Any]] = deque(maxlen=QUEUE_SIZE)  # with their stamps
        self._masks: Deque[Tuple[float, Any]] = deque(maxlen=QUEUE_SIZE)
        self._last_stamp = 0.0
        self._last_pair = clock()

    def add_frame(self, stamp: float, frame: Any) -> None:
        """A frame has arrived, with its stamp in seconds."""
        with self._lock:
            if stamp < self._last_stamp:  # a clip has restarted: what waits will never be paired
                self._frames.clear()
                self._masks.clear()
            self._last_stamp = stamp
            self._frames.append((stamp, frame))
            if not self._pair() and self._clock() - self._last_pair > MASK_TIMEOUT:
                self._frames.clear()
                self._put(frame, None)

    def add_mask(self, stamp: float, mask: Any) -> None:
        """A mask has arrived, with its stamp in seconds."""
        with self._lock:
            self._masks.append((stamp, mask))
            self._pair()

    def _pair(self) -> bool:
        """Put the newest frame that has a mask; older ones are late."""
        for index in reversed(range(len(self._frames))):
            stamp, frame = self._frames[index]
            near = [(abs(other - stamp), mask) for other, mask in self._masks if abs(other - stamp) <= self._tolerance]
            if near:
                for _ in range(index + 1):
                    self._frames.popleft()
                self._last_pair = self._clock()
                self._put(frame, min(near, key=lambda pair: pair[0])[1])
                return True
        return False
