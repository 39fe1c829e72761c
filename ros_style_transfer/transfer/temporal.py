"""Steady painted video: each frame keeps what still holds of the frame before.  NumPy and OpenCV only."""

import functools

import cv2
import numpy as np

from ..errors import ImageError
from ..media import images

# Grey levels by which two views of the same thing differ: the camera's noise.  At twice as many nothing is kept.
NOISE = 9.0
# Below this mean trust the scene is another one: a cut.
CUT = 0.3
# What is kept of the frame before at smoothing 1, where nothing has changed.
MOST = 0.9
# Detail finer than this, in pixels, is what averaging dulls.
FINE = 9
# The most that their contrast is raised by to make up for it.
LIFT = 1.5


class Steady:
    """Carries a painted video along the content's optical flow: what was painted on the frame before.

    Causal, for one stream of frames, not thread-safe: `see` each frame, paint it, `keep` the painted.

    Args:
        smoothing: 0 (off) to 1, how much of the frame before is kept.
    """

    def __init__(self, smoothing: float = 0.5):
        self.smoothing = smoothing
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._flow.setFinestScale(0)  # to the very picture it is given: strokes that miss each other are dulled
        self.reset()

    def reset(self) -> None:
        """Forget the frames before: the next one shows as it is painted.  For a new style or stream."""
        self._before = self._content = None

    def see(self, content: np.ndarray) -> None:
        """Take in the camera's next frame, uint8 RGB ``[h,w,3]``.

        Raises:
            ImageError: it is not a picture.
        """
        images.check(content)
        self._content, self._carried = content, None
        if not self.smoothing:
            return
        # Flow at half the size is enough, and DIS takes nothing smaller than its patches.
        small = cv2.resize(
            content, tuple(max(16, side // 2) for side in content.shape[1::-1]), interpolation=cv2.INTER_AREA
        )
        self._grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        if self._before is None or self._before[1].shape != content.shape:
            return
        height, width = content.shape[:2]
        scale = np.float32(np.divide(content.shape[1::-1], self._grey.shape[::-1]))
        flow = cv2.resize(self._flow.calc(self._grey, self._before[0], None), (width, height)) * scale
        self._carried = self._carry(content, _grid(height, width) + flow)

    def keep(self, painted: np.ndarray) -> np.ndarray:
        """The steadied painted frame, uint8 RGB ``[h,w,3]``.

        Args:
            painted: the frame that was seen last as it was just painted, the same shape.

        Raises:
            ImageError: it is not a picture, or has another size.
        """
        images.check(painted)
        if self._content.shape != painted.shape:
            raise ImageError(
                "the painted frame must have its content's size %dx%d, not %dx%d"
                % (self._content.shape[1::-1] + painted.shape[1::-1])
            )
        if not self.smoothing:
            return painted
        result = np.float32(painted)
        if self._carried is not None:
            moved, trust = self._carried
            share = np.float32(MOST * self.smoothing) * trust
            result = _lifted(cv2.blendLinear(moved, result, share, 1 - share), result, trust)
        self._before = self._grey, self._content, result
        return cv2.convertScaleAbs(result)

    def _carry(self, content, at):
        """The painted frame before, moved to where its things are now, and how far each pixel is trusted
        (0..1); None after a cut."""
        _, content_before, painted_before = self._before
        height, width = content.shape[:2]
        # Cubic: a picture moved by fractions of pixels again and again would blur by less.
        moved = cv2.remap(painted_before, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        seen = cv2.remap(content_before, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        red, green, blue = cv2.split(cv2.blur(cv2.absdiff(seen, content), (5, 5)))
        change = np.float32(cv2.max(cv2.max(red, green), blue))
        trust = np.clip(2.0 - change / np.float32(NOISE), 0.0, 1.0) * _within(at, width, height)
        return (moved, trust) if trust.mean() >= CUT else None


def _lifted(mixed, painted, trust):
    """``mixed`` of frames whose strokes do not quite meet, with as much fine contrast as the one just ``painted``
    has, where ``trust`` says that it is mixed."""
    fine = lambda rgb: rgb - cv2.blur(rgb, (FINE, FINE))
    power = lambda detail: float(np.vdot(np.einsum("hwc,hwc->hw", detail, detail), trust))
    detail = fine(mixed)
    lift = min(LIFT, np.sqrt(power(fine(painted)) / max(power(detail), 1e-6))) - 1.0
    return np.clip(mixed + np.float32(lift) * trust[..., None] * detail, 0.0, 255.0)


@functools.lru_cache(maxsize=1)
def _grid(height, width):
    """Every pixel's place (x, y), float32 ``[h,w,2]``, the same array for all frames of a size."""
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    grid.flags.writeable = False
    return grid


def _within(places, width, height):
    """Which of the ``places`` (x, y) lie in a picture of this size, bool ``[h,w]``."""
    return cv2.inRange(places, (0, 0), (width - 1, height - 1)) > 0
