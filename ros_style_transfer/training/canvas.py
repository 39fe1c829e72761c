"""The canvas under the contents (`models.canvas`), for training."""

from typing import Any

import numpy as np
from keras import ops

from ..models.canvas import CANVAS_SIDE, FLATNESS_FLOOR, FLATNESS_HALF, canvas
from .networks import upsample


def canvas_crops(rng: np.random.Generator, count: int, side: int) -> np.ndarray:
    """``count`` random crops of the canvas, float32 ``[count, side, side, 1]``."""
    noise, offsets = canvas(), np.arange(side)
    starts = rng.integers(0, CANVAS_SIDE, (count, 2, 1))
    return np.stack([noise[np.ix_(*((start + offsets) % CANVAS_SIDE))] for start in starts])[..., None]


def flatness(rgb: Any) -> Any:
    """`models.canvas.flatness` of ``rgb [b, h, w, 3]`` at every pixel: ``[b, h, w, 1]``."""
    lightness = ops.mean(rgb, -1, keepdims=True)
    lightness = lightness - ops.mean(lightness, (1, 2), keepdims=True)  # squares lose fewer digits
    blocks = ops.average_pool(ops.concatenate([lightness, lightness * lightness], -1), 8, 8)
    variance = lambda moments: ops.relu(moments[..., 1:] - ops.square(moments[..., :1]))
    local = variance(ops.average_pool(blocks, 3, 1, "same"))
    whole = variance(ops.mean(blocks, (1, 2), keepdims=True))
    local = -ops.max_pool(-local, 3, 1, "same")
    result = 1.0 / (1.0 + local / ops.maximum(FLATNESS_HALF**2 * whole, FLATNESS_FLOOR**2))
    _, h, w, _ = ops.shape(rgb)
    # Interpolated at half the sides, as at run time.
    return upsample(ops.image.resize(result, (h // 2, w // 2)))
