"""The canvas: the grain under the paint, and how much of it shows under a picture."""

import functools

import cv2
import numpy as np

CANVAS_SIDE = 1024  # pixels after which the canvas repeats
CANVAS_DEPTH = 0.04  # what the cascade, which sees three colours alone, has of it under its content, of 0..1
EVEN = 0.1  # the lightness's deviation nearby, as a share of the whole picture's, at which half of the canvas shows
EVEN_LEAST = 0.005  # the same in a picture that is even all over, of 0..1
STRIP = 1024  # rows, a multiple of 8


@functools.lru_cache(maxsize=None)
def canvas():
    """The grain under the paint: float32 ``[CANVAS_SIDE, CANVAS_SIDE]``, mean 0, deviation 1, always the same.

    A cloudless sky gives the cascade nothing to turn into strokes, so this noise is added to smooth
    regions of its input.  The opacity is ``1 / (1 + v / max(EVEN^2 V, EVEN_LEAST^2))``: ``V`` is the
    variance of the lightness (mean of R, G and B), and ``v`` the smallest variance of all neighbourhoods
    of three by three 8x8 blocks that contain the block, so that the canvas reaches up to edges and leaves
    no rim.  It is fixed to the frame and does not shimmer.  Every octave of periods from 4 to 256 pixels
    has equal power; a visible largest scale would read as a repeating pattern.  It tiles seamlessly.
    """
    # RandomState: numpy promises these numbers for all its versions.
    white = np.fft.rfft2(np.random.RandomState(16).standard_normal((CANVAS_SIDE, CANVAS_SIDE)))
    frequency = np.hypot(np.fft.fftfreq(CANVAS_SIDE)[:, None], np.fft.rfftfreq(CANVAS_SIDE)[None])
    band = (frequency >= 1 / 256) & (frequency <= 1 / 4)
    grain = np.fft.irfft2(white * band / np.maximum(frequency, 1 / 256), (CANVAS_SIDE, CANVAS_SIDE))
    grain = (grain / grain.std()).astype(np.float32)
    grain.flags.writeable = False  # every caller has the same array
    return grain


def ground(rgb, share=1.0):
    """The `canvas` as far as it shows under a picture: float32 ``[h, w]``.

    Args:
        rgb: ``[h, w, 3]``, uint8, or float32 in 0..1; sides are multiples of 16.
        share: how much of it, 0..1.
    """
    height, width = rgb.shape[:2]
    shown = cv2.resize(share * evenness(rgb), (width, height), interpolation=cv2.INTER_NEAREST)
    repeated = np.tile(canvas(), (-(-height // CANVAS_SIDE), -(-width // CANVAS_SIDE)))[:height, :width]
    return np.multiply(shown, repeated, out=shown)


def evenness(rgb):
    """How much of the canvas shows under ``rgb [h, w, 3]`` (`canvas`): float32 ``[h/2, w/2]``, 0..1."""
    height, width = rgb.shape[:2]
    grey = np.full((1, 3), 1 / (3 * 255) if rgb.dtype == np.uint8 else 1 / 3)
    blocks = [[], []]
    for top in range(0, height, STRIP):  # a large picture's lightness need not be there at once
        light = cv2.transform(np.float32(rgb[top : top + STRIP]), grey) - 0.5  # squares lose fewer digits
        for rows, plane in zip(blocks, (light, light * light)):
            rows.append(cv2.resize(plane, (width // 8, light.shape[0] // 8), interpolation=cv2.INTER_AREA))
    blocks = [np.concatenate(rows) for rows in blocks]
    variance = lambda mean, square: np.maximum(square - mean * mean, 0.0)
    sums = [
        cv2.boxFilter(plane, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
        for plane in (*blocks, np.ones_like(blocks[0]))
    ]
    here, whole = variance(sums[0] / sums[2], sums[1] / sums[2]), variance(*(plane.mean() for plane in blocks))
    here = cv2.erode(here, np.ones((3, 3), np.uint8))  # the least of all neighbourhoods that a block is in
    shown = 1.0 / (1.0 + here / max(EVEN**2 * whole, EVEN_LEAST**2))
    return cv2.resize(shown, (width // 2, height // 2))


def ground_in_graph(rgb):
    """`ground` as operations of a graph: ``rgb [h, w, 3]`` to ``[h, w]``."""
    import tensorflow as tf  # the training, which uses the rest, may run without

    light = tf.reduce_mean(rgb, -1)[None, ..., None] - 0.5
    blocks = tf.nn.avg_pool2d(tf.concat((light, light * light), -1), 8, 8, "VALID")
    variance = lambda moments: tf.nn.relu(moments[..., 1:] - tf.square(moments[..., :1]))
    here, whole = variance(tf.nn.avg_pool2d(blocks, 3, 1, "SAME")), variance(tf.reduce_mean(blocks, (1, 2)))
    here = -tf.nn.max_pool2d(-here, 3, 1, "SAME")
    shown = 1.0 / (1.0 + here / tf.maximum(EVEN**2 * whole, EVEN_LEAST**2))
    height, width = tf.shape(rgb)[0], tf.shape(rgb)[1]
    shown = tf.image.resize(tf.image.resize(shown, (height // 2, width // 2)), (height, width), "nearest")
    repeats = tf.stack((-(-height // CANVAS_SIDE), -(-width // CANVAS_SIDE)))
    return shown[0, ..., 0] * tf.tile(tf.constant(canvas()), repeats)[:height, :width]
