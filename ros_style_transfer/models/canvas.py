"""The canvas: a fixed noise pattern that the cascade sees in smooth regions of a picture.

A cloudless sky gives the cascade nothing to turn into strokes, so the canvas is added to its input.
Its opacity at a pixel is the *flatness* of the picture there,
``1 / (1 + v / max(FLATNESS_HALF^2 V, FLATNESS_FLOOR^2))``: ``V`` is the variance of the lightness (mean
of R, G and B) of the whole picture, and ``v`` the smallest variance of the neighbourhoods of 3x3 blocks
of 8x8 pixels that contain the pixel's block, so that the canvas reaches up to edges and leaves no rim.
"""

import functools
from typing import Any, Callable, List

import cv2
import numpy as np

from ..media.images import to_float

CANVAS_SIDE = 1024  # pixels after which the canvas repeats itself
CANVAS_AMPLITUDE = 0.04  # standard deviation of the canvas under the cascade's input, which is 0..1
FLATNESS_HALF = 0.1  # local deviation of the lightness, relative to the picture's, at which the flatness is 1/2
FLATNESS_FLOOR = 0.005  # the same for a picture that is flat everywhere, of 0..1
ROWS_PER_STRIP = 1024  # a multiple of 8


@functools.lru_cache(maxsize=None)
def canvas() -> np.ndarray:
    """The noise: float32 ``[CANVAS_SIDE, CANVAS_SIDE]``, mean 0, deviation 1, always the same.

    Every octave of periods from 4 to 256 pixels has equal power; a visible largest scale would read as a
    repeating pattern.  It tiles seamlessly, and stands still on the screen, so it does not shimmer.
    """
    # RandomState: NumPy guarantees that these numbers are the same in all its versions.
    white = np.fft.rfft2(np.random.RandomState(16).standard_normal((CANVAS_SIDE, CANVAS_SIDE)))
    frequency = np.hypot(np.fft.fftfreq(CANVAS_SIDE)[:, None], np.fft.rfftfreq(CANVAS_SIDE)[None])
    band = (frequency >= 1 / 256) & (frequency <= 1 / 4)
    noise = np.fft.irfft2(white * band / np.maximum(frequency, 1 / 256), (CANVAS_SIDE, CANVAS_SIDE))
    noise = (noise / noise.std()).astype(np.float32)
    noise.flags.writeable = False  # all callers share the array
    return noise


def with_canvas(rgb: Any, amplitude: float, opacity: float) -> Any:
    """``rgb`` as float32 0..1, plus ``amplitude`` times its `canvas_layer`."""
    return to_float(rgb) + amplitude * canvas_layer(rgb, opacity)[..., None]


def canvas_layer(rgb: np.ndarray, opacity: float = 1.0) -> np.ndarray:
    """The `canvas` times the flatness of a picture: float32 ``[h, w]``.

    Args:
        rgb: ``[h, w, 3]``, uint8, or float32 in 0..1; sides are multiples of 16.
        opacity: a factor, 0..1.
    """
    height, width = rgb.shape[:2]
    layer = cv2.resize(opacity * flatness(rgb), (width, height), interpolation=cv2.INTER_NEAREST)
    repeated = np.tile(canvas(), (-(-height // CANVAS_SIDE), -(-width // CANVAS_SIDE)))[:height, :width]
    return np.multiply(layer, repeated, out=layer)


def flatness(rgb: np.ndarray) -> np.ndarray:
    """How flat ``rgb [h, w, 3]`` is around each pixel, see above: float32 ``[h / 2, w / 2]``, 0..1."""
    height, width = rgb.shape[:2]
    mean_weights = np.full((1, 3), 1 / (3 * 255) if rgb.dtype == np.uint8 else 1 / 3)
    means: List[np.ndarray] = []
    squares: List[np.ndarray] = []
    for top in range(0, height, ROWS_PER_STRIP):  # saves the memory of a large picture's lightness
        # Around 0, where squares lose fewer digits.
        strip: np.ndarray = np.asarray(rgb[top : top + ROWS_PER_STRIP], np.float32)
        lightness: Any = cv2.transform(strip, mean_weights) - np.float32(0.5)
        for rows, plane in ((means, lightness), (squares, lightness * lightness)):
            rows.append(cv2.resize(plane, (width // 8, lightness.shape[0] // 8), interpolation=cv2.INTER_AREA))
    mean, square = np.concatenate(means), np.concatenate(squares)
    mean_sum, square_sum, count = (
        cv2.boxFilter(plane, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
        for plane in (mean, square, np.ones_like(mean))
    )
    variance: Callable[..., Any] = lambda mean, square: np.maximum(square - mean * mean, 0.0)
    whole = variance(mean.mean(), square.mean())
    local = cv2.erode(variance(mean_sum / count, square_sum / count), np.ones((3, 3), np.uint8))
    result = 1.0 / (1.0 + local / max(FLATNESS_HALF**2 * whole, FLATNESS_FLOOR**2))
    return np.asarray(cv2.resize(result, (width // 2, height // 2)))


def canvas_layer_graph(rgb: Any) -> Any:
    """`canvas_layer` in TensorFlow operations: ``rgb [h, w, 3]`` to ``[h, w]``."""
    import tensorflow as tf  # not at the top: the training uses the rest of this module without TensorFlow

    lightness = tf.reduce_mean(rgb, -1)[None, ..., None] - 0.5
    blocks = tf.nn.avg_pool2d(tf.concat((lightness, lightness * lightness), -1), 8, 8, "VALID")
    variance: Callable[..., Any] = lambda moments: tf.nn.relu(moments[..., 1:] - tf.square(moments[..., :1]))
    whole = variance(tf.reduce_mean(blocks, (1, 2)))
    local = -tf.nn.max_pool2d(-variance(tf.nn.avg_pool2d(blocks, 3, 1, "SAME")), 3, 1, "SAME")
    result = 1.0 / (1.0 + local / tf.maximum(FLATNESS_HALF**2 * whole, FLATNESS_FLOOR**2))
    height, width = tf.shape(rgb)[0], tf.shape(rgb)[1]
    result = tf.image.resize(tf.image.resize(result, (height // 2, width // 2)), (height, width), "nearest")
    repeats = tf.stack((-(-height // CANVAS_SIDE), -(-width // CANVAS_SIDE)))
    return result[0, ..., 0] * tf.tile(tf.constant(canvas()), repeats)[:height, :width]
