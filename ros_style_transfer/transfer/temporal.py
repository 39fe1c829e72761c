"""Temporal smoothing of stylized video: each frame is blended with the previous one, warped along the content's
optical flow.  NumPy and OpenCV only."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from ..errors import ImageError
from ..media import images

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rgb = NDArray[np.uint8]
    Plane = NDArray[np.float32]

MAX_WEIGHT = 0.96  # of the previous frame, at smoothing 1, where nothing has changed
# Difference, in grey levels, between two views of the same thing: the camera's noise.  Where it is twice as large, the
# previous frame gets no weight.
NOISE = 11.0
MIN_CONFIDENCE = 0.3  # mean; below it the scene has changed: a cut
# Optical flow and confidence are computed on a smaller copy of the frame, whose longest side is at least this, pixels.
MIN_FLOW_SIDE = 160
FLOW_SCALE = 3  # pixels of the frame to one of the copy
MIN_SIDE = 16  # DIS takes nothing smaller than its patches
PATCH_STRIDE = 6  # pixels of the copy between the patches that DIS matches
DETAIL_SIZE = 9  # pixels; averaging softens detail that is finer
BAND, BAND_STEP = 16, 48  # rows that are measured for that, of how many
MAX_GAIN = 1.5  # of its contrast, to compensate for that
MIN_GAIN = 1.02  # a smaller one is not worth its time


class _Previous(NamedTuple):
    """What the next frame is compared with: the small content, colour and grey, and the smoothed stylized frame."""

    small: Rgb
    grey: Rgb
    smoothed: Plane


class TemporalSmoother:
    """Smooths the stylized frames of one stream.  Causal, not thread-safe.

    For each frame, call `warp` with the camera's frame, then `blend` with the stylized one.

    Args:
        smoothing: 0 (off) to 1, the weight of the previous frame.
    """

    def __init__(self, smoothing: float = 0.5) -> None:
        self.smoothing = smoothing
        create: Any = cv2.DISOpticalFlow_create  # type: ignore[attr-defined]
        self._flow = create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._flow.setFinestScale(0)  # the copy is small already
        self._flow.setPatchStride(PATCH_STRIDE)
        self.reset()

    def reset(self) -> None:
        """Forget the previous frame, so that the next one remains as it is: for a new style or stream."""
        self._previous: Optional[_Previous] = None
        self._shape: Tuple[int, ...] = ()

    def warp(self, content: Rgb) -> None:
        """Take the camera's next frame, uint8 RGB ``[h,w,3]``, and warp the previous stylized frame to it.

        Raises:
            ImageError: it is not a picture.
        """
        images.check(content)
        previous = self._previous if content.shape == self._shape else None
        self._shape = content.shape
        self._warped: Optional[Tuple[Plane, Plane]] = None
        if not self.smoothing:
            return
        self._small = _small(content)
        self._grey = cv2.cvtColor(self._small, cv2.COLOR_RGB2GRAY)
        if previous is not None:
            self._warped = self._warp(previous)

    def blend(self, stylized: Rgb) -> Rgb:
        """The smoothed frame, uint8 RGB ``[h,w,3]``.

        Args:
            stylized: the stylized frame of the content that `warp` has taken, of the same size.

        Raises:
            ImageError: it is not a picture, or has another size.
        """
        images.check(stylized)
        if self._shape != stylized.shape:
            raise ImageError(
                "the stylized frame must have its content's size %dx%d, not %dx%d"
                % (*self._shape[1::-1], *stylized.shape[1::-1])
            )
        if not self.smoothing:
            return stylized
        smoothed: Plane = np.float32(stylized)  # type: ignore[assignment]
        if self._warped is not None:
            warped, confidence = self._warped
            weight = confidence * np.float32(MAX_WEIGHT * self.smoothing)
            blended = cv2.blendLinear(warped, smoothed, weight, 1 - weight)
            smoothed = _sharpened(blended, smoothed, confidence)
        self._previous = _Previous(self._small, self._grey, smoothed)
        return cv2.convertScaleAbs(smoothed)

    def _warp(self, previous: _Previous) -> Optional[Tuple[Plane, Plane]]:
        """The previous stylized frame, moved to where its things are now, and how far each pixel is the same thing,
        0..1; None after a cut."""
        rows, columns = self._grey.shape
        flow = self._flow.calc(self._grey, previous.grey, None)
        confidence = self._confidence(previous, cv2.add(flow, _grid(rows, columns)))
        if cv2.mean(confidence)[0] < MIN_CONFIDENCE:
            return None
        height, width = self._shape[:2]
        flow *= np.array([width / columns, height / rows], np.float32)
        places = cv2.resize(flow, (width, height))
        places = cv2.add(places, _grid(height, width), dst=places)
        warped = cv2.remap(previous.smoothed, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return warped, cv2.resize(confidence, (width, height))

    def _confidence(self, previous: _Previous, places: Plane) -> Plane:
        """How far each pixel of the small content shows what was at its place in the previous one, 0..1."""
        expected = cv2.remap(previous.small, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        red, green, blue = cv2.split(cv2.blur(cv2.absdiff(expected, self._small), (5, 5)))
        change = cv2.max(cv2.max(red, green), blue).astype(np.float32)
        confidence: Plane = np.clip(2.0 - change / np.float32(NOISE), 0.0, 1.0)
        rows, columns = change.shape
        confidence[cv2.inRange(places, (0, 0), (columns - 1, rows - 1)) == 0] = 0.0  # it has come into the picture
        return confidence


def _small(content: Rgb) -> Rgb:
    """The copy on which optical flow and confidence are computed."""
    height, width = content.shape[:2]
    scale = min(FLOW_SCALE, max(1.0, max(height, width) / MIN_FLOW_SIDE))
    size = (max(MIN_SIDE, round(width / scale)), max(MIN_SIDE, round(height / scale)))
    if scale >= 2:  # in two steps, because OpenCV is fast at exact halves
        content = cv2.resize(content, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(content, size, interpolation=cv2.INTER_LINEAR)


def _sharpened(blended: Plane, stylized: Plane, confidence: Plane) -> Plane:
    """``blended`` with as much contrast of fine detail as ``stylized`` has, where ``confidence`` says it was blended:
    strokes that do not quite meet have lost some of it."""
    lost = _detail_power(stylized, confidence) / max(_detail_power(blended, confidence), 1e-6)
    gain = min(MAX_GAIN, np.sqrt(lost))
    if gain < MIN_GAIN:
        return blended
    weight = confidence * np.float32(gain - 1.0)
    # blended + weight * (blended - blurred)
    result = cv2.blendLinear(blended, cv2.blur(blended, (DETAIL_SIZE, DETAIL_SIZE)), 1 + weight, -weight)
    return np.clip(result, 0.0, 255.0, out=result)


def _detail_power(picture: Plane, confidence: Plane) -> float:
    """The squares of a picture's fine detail in grey, weighted by ``confidence`` and summed over some bands of rows."""
    power = 0.0
    for top in range(0, picture.shape[0], BAND_STEP):
        grey = cv2.cvtColor(picture[top : top + BAND], cv2.COLOR_RGB2GRAY)
        detail = cv2.subtract(grey, cv2.blur(grey, (DETAIL_SIZE, DETAIL_SIZE)))
        power += float(np.vdot(cv2.multiply(detail, detail, dst=detail), confidence[top : top + BAND]))
    return power


@functools.lru_cache(maxsize=4)
def _grid(height: int, width: int) -> Plane:
    """Each pixel's place (x, y), float32 ``[h,w,2]``."""
    grid: Plane = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    grid.flags.writeable = False
    return grid
