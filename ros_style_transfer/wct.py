"""The whitening and colouring transform (Li et al. 2017, section 3.2), in plain TensorFlow.

Features ``F`` of one picture, ``[h, w, c]``, have a mean ``m`` and a covariance ``S`` over their
``h*w`` positions.  Whitening takes the content's statistics away, colouring gives the style's::

    W = S_c^(-1/2)            K = S_s^(1/2)
    F' = K W (F - m_c) + m_s

Both roots come from symmetric eigendecompositions (ZCA), in float32.  With the strength ``a``
(the paper's alpha) the blend ``a F' + (1 - a) F`` is again affine in ``F``, so each level needs
one affine map only: `affine_map`.
"""
from typing import NamedTuple

import tensorflow as tf

# Added to the content's covariance before its inverse root, as a share of the mean eigenvalue:
# directions in which a picture hardly varies hold the network's noise, and whitening would
# blow it up.  Relative, so that it means the same at every level and for every network.
RIDGE = 1e-3
# For a picture without any variation: keeps roots finite, far below any real variance.
TINY = 1e-8


class Style(NamedTuple):
    """What colouring needs of a style at one level: mean ``[c]`` and ``S^(1/2)`` ``[c, c]``, float32."""

    mean: tf.Tensor
    root: tf.Tensor


def statistics(features):
    """The mean ``[c]`` and the covariance ``[c, c]`` of ``features [h, w, c]``, in float32."""
    flat = tf.cast(tf.reshape(features, (-1, features.shape[-1])), tf.float32)
    mean = tf.reduce_mean(flat, 0)
    centred = flat - mean
    count = tf.cast(tf.shape(flat)[0], tf.float32)
    return mean, tf.matmul(centred, centred, transpose_a=True) / count


def root(covariance, exponent, ridge=0.0):
    """``(S + ridge * mean eigenvalue * I) ** exponent`` of a symmetric ``[c, c]`` matrix, float32.

    Eigenvalues below zero, which rounding makes, count as zero.
    """
    values, vectors = tf.linalg.eigh(covariance)
    values = tf.maximum(values, 0.0)
    values = values + ridge * tf.reduce_mean(values) + TINY
    return tf.matmul(vectors * values**exponent, vectors, transpose_b=True)


def style_of(features):
    """The `Style` of ``features [h, w, c]``."""
    mean, covariance = statistics(features)
    return Style(mean, root(covariance, 0.5))


class AffineMap(NamedTuple):
    """``F -> (F - centre) @ matrix + offset`` for row vectors ``F``; float32.

    Centred, since a flat picture's matrix is huge, and half precision would lose the rest.
    """

    centre: tf.Tensor
    matrix: tf.Tensor
    offset: tf.Tensor


def affine_map(features, style, strength, ridge=RIDGE):
    """The `AffineMap` that gives ``features`` the statistics of ``style``.

    Args:
        features: the content's, ``[h, w, c]``, any float type.
        style: `Style`.
        strength: 0 (nothing happens) to 1 (the full transform), a scalar.
        ridge: see `RIDGE`.
    """
    mean, covariance = statistics(features)
    whiten_colour = tf.matmul(root(covariance, -0.5, ridge), style.root)
    identity = tf.eye(tf.shape(covariance)[0])
    return AffineMap(mean, strength * whiten_colour + (1.0 - strength) * identity,
                     strength * style.mean + (1.0 - strength) * mean)


def transform(features, style, strength=1.0, ridge=RIDGE):
    """Whitened and coloured ``features [h, w, c]``, in their own type."""
    affine = affine_map(features, style, strength, ridge)
    dtype = features.dtype
    centred = tf.cast(tf.cast(features, tf.float32) - affine.centre, dtype)
    # A 1x1 convolution: what folds into the decoder's next one.
    return tf.nn.conv2d(centred[None], tf.cast(affine.matrix, dtype)[None, None], 1, "VALID")[0] + tf.cast(
        affine.offset, dtype)
