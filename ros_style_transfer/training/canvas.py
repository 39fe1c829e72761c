"""The canvas under the contents (`models.canvas`), for training."""

import numpy as np
from keras import ops

from ..models.canvas import CANVAS_SIDE, EVEN, EVEN_LEAST, canvas
from .networks import upsample


def crops_of_canvas(rng, count, side):
    """``count`` pieces of the canvas from anywhere, float32 ``[count, side, side, 1]``."""
    grain, places = canvas(), np.arange(side)
    starts = rng.integers(0, CANVAS_SIDE, (count, 2, 1))
    return np.stack([grain[np.ix_(*((start + places) % CANVAS_SIDE))] for start in starts])[..., None]


def evenness(rgb):
    """How much of the canvas shows under ``rgb [b,h,w,3]``, ``[b,h,w,1]``; see `models.canvas.canvas`."""
    light = ops.mean(rgb, -1, keepdims=True)
    light = light - ops.mean(light, (1, 2), keepdims=True)  # squares lose fewer digits
    blocks = ops.average_pool(ops.concatenate([light, light * light], -1), 8, 8)
    variance = lambda moments: ops.relu(moments[..., 1:] - ops.square(moments[..., :1]))
    here = variance(ops.average_pool(blocks, 3, 1, "same"))
    whole = variance(ops.mean(blocks, (1, 2), keepdims=True))
    here = -ops.max_pool(-here, 3, 1, "same")
    shown = 1.0 / (1.0 + here / ops.maximum(EVEN**2 * whole, EVEN_LEAST**2))
    _, h, w, _ = ops.shape(rgb)
    # As the runtime does, at half the sides.
    return upsample(ops.image.resize(shown, (h // 2, w // 2)))
