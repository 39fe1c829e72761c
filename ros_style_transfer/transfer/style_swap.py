"""Style swap: each patch of features is replaced by the style's most similar one (Chen & Schmidt 2016)."""

from typing import Sequence, Tuple

import numpy as np
import tensorflow as tf

from ..controls import Controls
from ..errors import OptionError
from . import wct

MAX_SIMILARITIES = 2**29  # elements of the similarity matrix: 2 GB


def swap_patches(content: tf.Tensor, style: tf.Tensor, patch: int = 3, stride: int = 1) -> tf.Tensor:
    """Every patch of ``content [h, w, c]`` replaced by the most similar patch of ``style [h', w', c]``.

    The similarity is the normalized cross-correlation of ``patch`` x ``patch`` patches, which are taken
    from the style at every ``stride``-th position; overlaps are averaged.  Both features should be
    whitened, so that the similarity compares forms (Li et al. 2017, UST's ``swap5``).

    Returns:
        ``[h, w, c]`` float32.
    """
    content, style = tf.cast(content, tf.float32)[None], tf.cast(style, tf.float32)[None]
    channels = style.shape[-1]
    patches = tf.image.extract_patches(style, (1, patch, patch, 1), (1, stride, stride, 1), (1, 1, 1, 1), "VALID")
    kernels = tf.transpose(tf.reshape(patches, (-1, patch, patch, channels)), (1, 2, 3, 0))
    norms = tf.sqrt(tf.reduce_sum(tf.square(kernels), (0, 1, 2), keepdims=True))
    similarities = tf.nn.conv2d(content, kernels / (norms + wct.EPSILON), 1, "VALID")
    nearest = tf.one_hot(tf.argmax(similarities, -1), tf.shape(kernels)[-1])
    shape = tf.shape(content)
    sums = tf.nn.conv2d_transpose(nearest, kernels, shape, 1, "VALID")
    ones = tf.ones((patch, patch, 1, 1))
    overlaps = tf.nn.conv2d_transpose(tf.ones_like(nearest[..., :1]), ones, (1, shape[1], shape[2], 1), 1, "VALID")
    return (sums / overlaps)[0]


def transform(
    features: tf.Tensor,
    content: wct.Statistics,
    style_features: Sequence[Tuple[float, tf.Tensor]],
    style: wct.Statistics,
    strength: float,
    controls: Controls,
    ridge: float,
) -> tf.Tensor:
    """Features whitened, swapped as far as ``controls.swap`` says, and colored (the order of UST), in their own type.

    Args:
        features: of the content, ``[h, w, c]``.
        content: their statistics.
        style_features: the weight and the whitened features ``[h', w', c]`` of each style.
        style: the statistics of the style, or of the mixture of styles.
        strength: 0 (no change) to 1.
    """
    whitened = whiten(features, content, ridge)
    mixed = (1.0 - controls.swap) * whitened
    for weight, patches in style_features:
        _check(features.shape, patches.shape, controls)
        mixed += controls.swap * weight * swap_patches(whitened, patches, controls.swap_patch, controls.swap_stride)
    colored = tf.tensordot(mixed, wct.matrix_power(style.covariance, 0.5), 1) + style.mean
    return tf.cast(strength * colored + (1.0 - strength) * tf.cast(features, tf.float32), features.dtype)


def whiten(features: tf.Tensor, statistics: wct.Statistics, ridge: float) -> tf.Tensor:
    """``features [h, w, c]`` with mean 0 and covariance 1, float32."""
    matrix = wct.matrix_power(statistics.covariance, -0.5, ridge)
    return tf.tensordot(tf.cast(features, tf.float32) - statistics.mean, matrix, 1)


def _check(shape: Sequence[int], style_shape: Sequence[int], controls: Controls) -> None:
    """Raise `OptionError` if there is no room for a patch, or too little memory for the similarities."""
    positions = shape[0] * shape[1]
    patches = int(np.prod([side // controls.swap_stride + 1 for side in style_shape[:2]]))
    height, width = min((shape[:2], style_shape[:2]), key=min)
    if min(height, width) < controls.swap_patch:
        raise OptionError(
            "swap_patch %d is larger than the features at level %d, %dx%d; choose a smaller one, or a "
            "larger picture or style_scale" % (controls.swap_patch, controls.swap_level or 0, width, height)
        )
    if positions * patches > MAX_SIMILARITIES:
        raise OptionError(
            "swapping %d patches at %d positions needs too much memory; choose a larger swap_stride, a "
            "smaller style_scale or a deeper swap_level" % (patches, positions)
        )
