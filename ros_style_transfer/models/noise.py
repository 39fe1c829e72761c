"""The noise that the live models' decoder turns into texture where the picture itself has none.

Each style decides how much of it each channel sees (noise injection, Karras et al. 2019), so a flat
style stays flat.  The noise stands still on the screen: smooth regions do not flicker.
"""

import functools

import numpy as np

SIDE = 128  # positions after which the noise repeats itself: 512 pixels at the finest level


@functools.lru_cache(maxsize=16)
def texture_noise(level, height, width):
    """The noise of a level of the decoder: float32 ``[height, width, 1]``, normal, the same every time."""
    # RandomState: numpy promises these numbers for all its versions.
    noise = np.random.RandomState(level).standard_normal((SIDE, SIDE, 1)).astype(np.float32)
    noise = np.tile(noise, (-(-height // SIDE), -(-width // SIDE), 1))[:height, :width]
    noise.flags.writeable = False  # every caller has the same array
    return noise


def noise_in_graph(level, picture, stride):
    """`texture_noise` under a picture as an operation of a graph: ``[h, w, 3]`` to ``[h / stride, w / stride, 1]``."""
    import tensorflow as tf  # the training, which uses the rest, may run without

    height, width = tf.shape(picture)[0] // stride, tf.shape(picture)[1] // stride
    repeats = tf.stack((-(-height // SIDE), -(-width // SIDE), 1))
    return tf.tile(tf.constant(texture_noise(level, SIDE, SIDE)), repeats)[:height, :width]
