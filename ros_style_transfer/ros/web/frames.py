"""A camera's frames for all viewers: the newest only, paired by their stamps, each size encoded once.

Data flow::

    camera's frames --put_camera--> kept until painted --+
    painted frames --put_painted-------------------------+--> Frame --newer_than--> viewers --jpeg--> shared bytes
"""

import asyncio
import time
from collections import deque
from concurrent.futures import Executor
from typing import Any, Callable, Deque, Dict, Mapping, Optional

import cv2
import numpy as np

from ...media import images
from .. import conversions
from .pace import RUNGS, rung_for

CAMERA, PAINTED = "camera", "painted"  # kinds of pictures
MAX_KEPT = 64  # frames of a camera that wait for their painted version,
MAX_KEPT_BYTES = 2**26  # and their bytes, except for the newest
SILENCE = 1.0  # seconds without a painted frame after which the camera's frames are shown without one

_Message = Any  # sensor_msgs.msg.Image or CompressedImage


class Frame:
    """What one camera shows at a moment.

    Args:
        number: counts the frames of all cameras.
        messages: by kind; a kind may be missing.
        executor: where pictures are decoded and encoded.

    Attributes:
        time: when it was put together, in seconds since 1970.
        stamp: of the frame, in seconds of ROS's time.
    """

    def __init__(self, number: int, messages: Mapping[str, _Message], executor: Executor) -> None:
        self.number, self.messages = number, messages
        self.time = time.time()
        self.stamp = next(iter(messages.values())).header.stamp.to_sec()
        self._executor = executor
        self._results: Dict[Any, asyncio.Future[Any]] = {}

    async def rgb(self, kind: str) -> np.ndarray:
        """The picture of ``kind``, uint8 RGB ``[h, w, 3]``; raises `ImageError` if it cannot be read."""
        return await self._once(kind, lambda: conversions.to_rgb(self.messages[kind]))

    async def jpeg(self, kind: str, rung: int) -> bytes:
        """The picture of ``kind`` as a JPEG file, no larger than ``rung`` says."""
        rgb = await self.rgb(kind)
        rung = min(rung, rung_for(max(rgb.shape[:2])))
        return await self._once((kind, rung), lambda: encode_jpeg(rgb, *RUNGS[rung]))

    async def png(self, kind: str) -> bytes:
        """The picture of ``kind`` as a PNG file, at full size."""
        rgb = await self.rgb(kind)
        return await self._once((kind, "png"), lambda: encode_png(rgb))

    async def _once(self, key: Any, work: Callable[[], Any]) -> Any:
        """The result of ``work()``, which is done in another thread, and only by whoever asks first."""
        if key not in self._results:
            self._results[key] = asyncio.get_event_loop().run_in_executor(self._executor, work)
        # A viewer that leaves must not cancel what others wait for.
        return await asyncio.shield(self._results[key])


class Feed:
    """A camera's newest frame.  Everything but the constructor's arguments belongs to the event loop's thread.

    Args:
        executor: see `Frame`.
        clock: returns monotonic seconds.

    Attributes:
        newest: `Frame`; None before the first.
        camera_time, painted_time: when the camera's and the painted frame came last, by ``clock``.
    """

    _count = 0

    def __init__(self, executor: Executor, clock: Callable[[], float] = time.monotonic) -> None:
        self._executor, self._clock = executor, clock
        self._kept: Deque[_Message] = deque()
        self._changed = asyncio.Event()
        self.newest: Optional[Frame] = None
        self.camera_time = self.painted_time = -float("inf")

    def put_camera(self, message: _Message) -> None:
        """A frame of the camera has come."""
        self.camera_time = self._clock()
        self._kept.append(message)
        while len(self._kept) > 1 and (len(self._kept) > MAX_KEPT or self._bytes() > MAX_KEPT_BYTES):
            self._kept.popleft()
        if self._clock() - self.painted_time > SILENCE:
            self._show({CAMERA: message})

    def put_painted(self, message: _Message) -> None:
        """A painted frame has come."""
        self.painted_time = self._clock()
        frames = {}
        match = next((kept for kept in self._kept if kept.header.stamp == message.header.stamp), None)
        if match is None and self._kept:  # it is no longer here, or not yet
            match = self._kept[-1]
        if match is not None:
            frames[CAMERA] = match
            while self._kept[0] is not match:
                self._kept.popleft()
        self._show(dict(frames, **{PAINTED: message}))

    def clear(self) -> None:
        """Forget all frames, because nobody looks."""
        self._kept.clear()
        self.newest = None

    async def newer_than(self, number: int) -> Frame:
        """The newest frame, as soon as its number is above ``number``."""
        while self.newest is None or self.newest.number <= number:
            await self._changed.wait()
        return self.newest

    def _bytes(self) -> int:
        return sum(len(message.data) for message in self._kept)

    def _show(self, messages: Mapping[str, _Message]) -> None:
        Feed._count += 1
        self.newest = Frame(Feed._count, messages, self._executor)
        self._changed.set()
        self._changed = asyncio.Event()


def encode_jpeg(rgb: np.ndarray, side: int, quality: int) -> bytes:
    """A picture, uint8 RGB ``[h, w, 3]``, with its longer side at most ``side``, as a JPEG file."""
    bgr = cv2.cvtColor(images.limit_longest_side(rgb, side), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def encode_png(rgb: np.ndarray) -> bytes:
    """A picture, uint8 RGB ``[h, w, 3]``, as a PNG file."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()
