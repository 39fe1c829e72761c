"""Steady painted video: each frame keeps what still holds of the frame before.  NumPy and OpenCV only."""
import cv2
import numpy as np

from . import images
from .errors import ImageError

# Grey levels by which two views of the same thing differ: the camera's noise.  At twice as many nothing is kept.
NOISE = 9.0
# Below this mean trust the scene is another one: a cut.
CUT = 0.3
# What is kept of the frame before at smoothing 1, where nothing has changed.
MOST = 0.9


class Steady:
    """Blends a painted frame with the one before, moved along with the content's optical flow.

    Causal, for one stream of frames, not thread-safe.

    Args:
        smoothing: 0 (off) to 1, how much of the frame before is kept.
    """

    def __init__(self, smoothing=0.5):
        self.smoothing = smoothing
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self.reset()

    def reset(self):
        """Forget the frames before: the next one shows as it was painted.  For a new style or stream."""
        self._before = None

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
        # Flow at half the size is enough, and DIS takes nothing smaller than its patches.
        small = cv2.resize(content, tuple(max(16, side // 2) for side in content.shape[1::-1]),
                           interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        result = np.float32(painted)
        if self._before is not None and self._before[2].shape == painted.shape:
            keep = self._carry(content, grey)
            if keep is not None:
                moved, trust = keep
                share = np.float32(MOST * self.smoothing) * trust
                result = cv2.blendLinear(moved, result, share, 1 - share)
        self._before = grey, content, result
        return cv2.convertScaleAbs(result)

    def _carry(self, content, grey):
        """The painted frame before, moved to where its things are now, and how far each pixel is trusted
        (0..1); None after a cut."""
        grey_before, content_before, painted_before = self._before
        height, width = content.shape[:2]
        flow = self._flow.calc(grey, grey_before, None)
        flow = cv2.resize(flow, (width, height)) * np.float32([width / grey.shape[1], height / grey.shape[0]])
        # Whole pixels: a picture moved by fractions of them again and again would blur.
        at = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32) + np.rint(flow)
        moved = cv2.remap(painted_before, at, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        seen = cv2.remap(content_before, at, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        inside = np.all((at >= 0) & (at <= np.float32([width - 1, height - 1])), -1)
        change = cv2.blur(cv2.absdiff(seen, content), (5, 5)).max(2)
        trust = np.float32(np.clip(2.0 - change / NOISE, 0.0, 1.0) * inside)
        return (moved, trust) if trust.mean() >= CUT else None
