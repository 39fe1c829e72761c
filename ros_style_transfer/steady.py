"""Steadier painted video: what stays the same in front of the camera keeps its brush strokes.  NumPy and OpenCV only.

A network paints every frame anew, and the same wall gets other strokes each time.  Averaging would calm
them but also blur them away, so strokes are *held*: the painted frame before, moved along with the scene,
stands wherever the scene still looks as it did when those strokes were painted.  Elsewhere the new one shows.
"""
import numbers

import cv2
import numpy as np

from . import images
from .errors import ImageError, OptionError

# How far, at smoothing 1, the scene may stray (mean of three channels, of 255) before it is painted anew.
TOLERANCE = 18.0
# Below this share of held pixels the scene is another one: a cut.
CUT = 0.3
# Strokes that the motion has stretched by about this factor are painted anew ...
STRETCH = 1.0
# ... but less than this per frame is the camera's noise.
STILL = 0.01
# The share of the new frame's broad tones that held strokes take on with each frame.
TONE = 0.05
BROAD = 32
EDGE = 8
BLUR = 3
GRAD = 0.2
# The golden ratio's two-dimensional kin: its multiples fill the unit square evenly.
WALK = np.array((0.7548777, 0.5698403), np.float32)


class Steady:
    """Steadies one stream of painted frames.  Causal, not thread-safe.

    Args:
        smoothing: 0 (off) to 1; how much the scene may change before its strokes do.

    Raises:
        OptionError: ``smoothing`` is out of range.
    """

    def __init__(self, smoothing=0.5):
        if isinstance(smoothing, bool) or not isinstance(smoothing, numbers.Real) or not 0.0 <= smoothing <= 1.0:
            raise OptionError("smoothing must be a number from 0 to 1, not %r" % (smoothing,))
        self.smoothing = smoothing
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._flow.setVariationalRefinementIterations(2)
        self._flow.setFinestScale(1)
        self._random = np.random.RandomState(0)
        self.reset()

    def reset(self):
        """Forget the frames before: the next one shows as it was painted.  For a new style or stream."""
        self._painted = None
        self._count = 0

    def follow(self, content, painted):
        """The steadied painted frame, uint8 RGB ``[h,w,3]``.

        Args:
            content: the camera's frame, uint8 RGB ``[h,w,3]``.
            painted: the same frame as it was just painted, the same shape.

        Raises:
            ImageError: one of them is not a picture, or their sizes differ.
        """
        images.check(content)
        images.check(painted)
        if content.shape != painted.shape:
            raise ImageError("the painted frame must have its content's size %dx%d, not %dx%d"
                             % (content.shape[1::-1] + painted.shape[1::-1]))
        if not self.smoothing:
            return painted
        height, width = content.shape[:2]
        small = shrink(content, 2)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        if self._painted is None or self._painted.shape != painted.shape:
            return self._start(content, painted, grey)
        flow = self._flow.calc(grey, self._grey, None)

        # Whole pixels only: interpolating a picture again and again would blur it.  Where rounding changes
        # over walks from frame to frame, so that slow motion is followed too; below a quarter pixel is rest.
        self._count += 1
        step = np.floor(2 * cv2.resize(flow, (width, height)) + (0.25 + 0.5 * (self._count * WALK % 1)))
        at = self._grid + step
        before = cv2.remap(self._painted, at, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        seen = cv2.remap(self._content, at, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=[1e4] * 3)

        difference = cv2.transform(cv2.absdiff(shrink(seen, 2), np.float32(small)), np.full((1, 3), 1 / 3, np.float32))
        if GRAD:
            kern = np.ones((3, 3), np.uint8)
            span = cv2.subtract(cv2.dilate(grey, kern), cv2.erode(grey, kern))
            difference = np.maximum(difference - GRAD * span.astype(np.float32), 0)
        if BLUR: difference = cv2.blur(difference, (BLUR, BLUR))
        hold = np.maximum(1 - difference * (0.5 / (TOLERANCE * self.smoothing)), 0)
        if (hold > 0.5).mean() < CUT:
            return self._start(content, painted, grey)
        hold = np.minimum(self._worn(flow, hold), hold)
        hold = np.clip(EDGE * (cv2.resize(hold, (width, height)) - 0.5) + 0.5, 0, 1)
        fresh = np.float32(painted)
        tone = cv2.resize(TONE * (shrink(fresh, BROAD) - shrink(before, BROAD)), (width, height))
        self._painted = cv2.blendLinear(before + tone, fresh, hold, 1 - hold)
        self._content = cv2.blendLinear(seen, np.float32(content), hold, 1 - hold)
        self._grey = grey
        return cv2.convertScaleAbs(self._painted)

    def _start(self, content, painted, grey):
        self._painted, self._content, self._grey = np.float32(painted), np.float32(content), grey
        height, width = grey.shape
        self._grid = grid(*painted.shape[:2])
        self._wear = None
        return painted

    def _worn(self, flow, hold):
        coarse = shrink(flow, 4)
        size = hold.shape[1::-1]
        if self._wear is None:
            self._wear = self._random.uniform(0, STRETCH / 2, coarse.shape[:2]).astype(np.float32)
            self._coarse = grid(*coarse.shape[:2])
        strain = sum(cv2.absdiff(cv2.Sobel(coarse, cv2.CV_32F, *d, scale=1 / 32), 0) for d in ((1, 0), (0, 1)))
        strain = np.maximum(strain.sum(2) - STILL, 0)
        wear = cv2.remap(self._wear, self._coarse + coarse / 4, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) + strain
        keep = np.maximum(1 - 0.5 * wear / STRETCH, 0)
        k = np.minimum(keep, cv2.resize(hold, coarse.shape[1::-1], interpolation=cv2.INTER_AREA))
        self._wear = np.where(k > 0.5, wear, self._random.uniform(0, STRETCH / 2, wear.shape)).astype(np.float32)
        return cv2.resize(keep.astype(np.float32), size)


def shrink(picture, factor):
    height, width = picture.shape[:2]
    return cv2.resize(picture, (max(1, width // factor), max(1, height // factor)), interpolation=cv2.INTER_AREA)


def grid(height, width):
    return np.stack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)), -1)
