"""One stream of a session: what the middleware does for it, and what is known about it."""

import time
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from ..errors import ImageError
from ..transfer import masks
from .appearance import Appearance, KnownFrame
from .frame_slots import Frame, FrameSlots
from .stream_stats import FrameTiming, StreamStats

FRAME_TIMEOUT = 5.0  # seconds without a frame after which a stream is reported as silent


class StreamClosed(Exception):
    """Raised by `StreamCallbacks.publish` if the middleware shuts down."""


def _identity(message: Any) -> Any:
    return message


class StreamCallbacks(NamedTuple):
    """What a middleware does for a stream.  All but ``explain_silence`` are called from the worker thread.

    Attributes:
        publish: called with what ``encode`` returned, the message of the frame, and the factors ``(x, y)`` by which
            the painted picture is smaller than the frame.  May raise `StreamClosed`.
        decode: the picture of a message, RGB uint8 ``[h, w, 3]``; raises `StyleTransferError` if it has none.
        decode_mask: the labels of a mask's message, uint8 ``[h, w]``.
        encode: what ``publish`` needs of a painted picture, called with the picture and the frame's message.
        explain_silence: a clause that may help if no frame arrives, such as who publishes the topic, or "".  May
            take its time: it is called from `StreamSession.check_streams` and from requests.
    """

    publish: Callable[[Any, Any, Tuple[float, float]], None]
    decode: Callable[[Any], np.ndarray] = _identity
    decode_mask: Callable[[Any], np.ndarray] = _identity
    encode: Callable[[np.ndarray, Any], Any] = lambda painted, message: painted
    explain_silence: Callable[[], str] = lambda: ""


class PaintedFrame(NamedTuple):
    """A frame that was painted and published.

    Attributes:
        content: the frame at the size at which it was painted, RGB uint8 ``[h, w, 3]``.
        painted: its painting, of the same size.
        appearance: how it was painted.
        time: when it was published last.
        labels: of its mask, uint8 ``[h, w]``; None: no mask.
    """

    content: np.ndarray
    painted: np.ndarray
    appearance: Appearance
    time: float
    labels: Optional[np.ndarray] = None

    def is_like(self, content: np.ndarray, labels: Optional[np.ndarray], max_change: float) -> bool:
        """Whether ``content`` with the mask ``labels`` differs from this frame by less than ``max_change`` on average.

        Args:
            max_change: mean absolute difference of all values, 0..1 for black to white.
        """
        if content.shape != self.content.shape:
            return False
        if labels is None or self.labels is None:
            if labels is not self.labels:
                return False
        elif not np.array_equal(labels, self.labels):
            return False
        return cv2.norm(content, self.content, cv2.NORM_L1) < max_change * 255 * content.size


class Stream:
    """One stream of a session.  `open`, `close` and `put` may be called from any thread.

    Args:
        name: of the stream; the empty name is allowed.
        topic: where its frames come from, for people.
        output: where its painted frames go, for people.
        callbacks: `StreamCallbacks`.
        slots: where `put` stores frames.
        clock: returns monotonic seconds.

    Attributes:
        stats: `StreamStats`.
        newest: the `PaintedFrame` that was published last, or None.
        shape: ``(height, width)`` of the newest frame as it is painted; None if unknown.
        failure: why the newest frame could not be painted, or "".
        silence_notice: that no frame arrives, or "".
        mask_notice: why the newest frame was painted without the mask in force, or "".
    """

    def __init__(
        self,
        name: str,
        topic: str,
        output: str,
        callbacks: StreamCallbacks,
        slots: FrameSlots,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.topic = topic
        self.output = output
        self.callbacks = callbacks
        self.stats = StreamStats(clock=clock)
        self.newest: Optional[PaintedFrame] = None
        self._slots = slots
        self._clock = clock
        self._opened: Optional[float] = None
        self._scaled_mask: Tuple[Any, Any, Any] = (None, None, None)  # labels, shape, labels of that shape
        self._forget()

    def _forget(self) -> None:
        self.shape: Optional[Tuple[int, int]] = None
        self.failure = ""
        self.silence_notice = ""
        self.mask_notice = ""
        self._last_arrival = 0.0

    # --- input --------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return self._opened is not None

    def open(self) -> None:
        """Expect frames from now on."""
        if self._opened is None:
            self._forget()
            self._opened = self._clock()

    def close(self) -> None:
        """Expect no more frames, and drop the one that waits."""
        self._opened = None
        self._forget()
        self._slots.drop(self)

    def put(self, message: Any, mask: Any = None) -> None:
        """Store the message of a frame, and that of its mask, for the worker."""
        if not self.is_open:
            return
        self._last_arrival = self._clock()
        self.silence_notice = ""
        self.stats.count_received()
        if self._slots.put(self, Frame(message, self._last_arrival, mask)):
            self.stats.count_dropped()

    def check(self) -> None:
        """Update ``silence_notice``; may take as long as ``explain_silence`` does."""
        if not self._is_silent():
            self.silence_notice = ""
            return
        notice = no_frame_message(self.topic, self.callbacks.explain_silence())
        if self._is_silent():  # a frame may have arrived meanwhile
            self.silence_notice = notice

    def _is_silent(self) -> bool:
        opened = self._opened
        return opened is not None and self._clock() - max(opened, self._last_arrival) >= FRAME_TIMEOUT

    def notices(self) -> List[str]:
        """What is wrong with an open stream."""
        notices = (self.failure, self.silence_notice, self.mask_notice) if self.is_open else ()
        return [notice for notice in notices if notice]

    def known_frame(self) -> Optional[KnownFrame]:
        """The size of an open stream's newest frame; None if no frame is known."""
        shape = self.shape
        return KnownFrame(self.topic, shape) if self.is_open and shape is not None else None

    # --- painting; only the worker calls these --------------------------------------------------

    def fit_mask(self, labels: np.ndarray, shape: Tuple[int, int], styles: int) -> Tuple[Optional[np.ndarray], str]:
        """``labels`` at the size ``shape`` of a frame, and ""; or None and why they do not fit.

        Raises:
            OptionError: a label has no style.
        """
        if labels.shape == shape:
            return labels, ""
        known, known_shape, scaled = self._scaled_mask
        if known is labels and known_shape == shape:
            return scaled, ""
        try:
            scaled = masks.check(labels, *shape, styles)
        except ImageError as error:
            return None, "the mask does not fit the frames of %s, which are painted whole: %s" % (self.topic, error)
        self._scaled_mask = labels, shape, scaled
        return scaled, ""

    def count_published(self, frame: PaintedFrame, arrival: float, timing: FrameTiming) -> None:
        """A frame was published: newly painted, or the newest one again."""
        if self.newest is not None and frame.painted is self.newest.painted:
            self.stats.count_skipped()
        self.newest = frame
        self.failure = ""
        self.stats.count_published(frame.time - arrival, timing)

    def count_failed(self, reason: str) -> None:
        """A frame could not be painted."""
        self.failure = reason
        self.stats.count_failed()


def no_frame_message(topic: str, explanation: str = "", seconds: float = FRAME_TIMEOUT) -> str:
    """That no frame arrives on ``topic``, for people."""
    return "no frame on %s for %g s%s" % (topic, seconds, " (%s)" % explanation if explanation else "")
