"""Noise that the decoder of a live model turns into texture where the picture has none.

The style determines how much of it each channel receives (noise injection, Karras et al. 2019), so a
flat style stays flat.  The noise is fixed to the frame, so smooth regions do not flicker.
"""

import functools
from typing import Any

import numpy as np

NOISE_SIDE = 128  # positions after which the noise repeats itself: 512 pixels at the finest level


@functools.lru_cache(maxsize=16)
def texture_noise(level: int, height: int, width: int) -> np.ndarray:
    """The noise at a level of the decoder: float32 ``[height, width, 1]``, standard normal, always the same."""
    # RandomState: NumPy guarantees that these numbers are the same in all its versions.
    square: np.ndarray = np.random.RandomState(level).standard_normal((NOISE_SIDE, NOISE_SIDE, 1)).astype(np.float32)
    noise: np.ndarray = np.tile(square, (-(-height // NOISE_SIDE), -(-width // NOISE_SIDE), 1))[:height, :width]
    noise.flags.writeable = False  # all callers share the array
    return noise


def texture_noise_graph(level: int, picture: Any, stride: int) -> Any:
    """`texture_noise` in TensorFlow operations for ``picture [h, w, 3]``: ``[h / stride, w / stride, 1]``."""
    import tensorflow as tf  # not at the top: the training uses the rest of this module without TensorFlow

    height, width = tf.shape(picture)[0] // stride, tf.shape(picture)[1] // stride
    repeats = tf.stack((-(-height // NOISE_SIDE), -(-width // NOISE_SIDE), 1))
    return tf.tile(tf.constant(texture_noise(level, NOISE_SIDE, NOISE_SIDE)), repeats)[:height, :width]
