"""The whitening and colouring transform (Li et al. 2017, section 3.2) and its kin, in plain TensorFlow.

Features ``F`` of one picture, ``[h, w, c]``, have a mean ``m`` and a covariance ``S`` over their
``h*w`` positions.  Every method here gives the content's features the style's statistics by one
affine map ``F' = (F - m_c) M + m_s`` (row vectors):

``wct``     ``M = S_c^(-1/2) S_s^(1/2)``: whitening, then colouring (Li et al. 2017)
``ot``      the map of that effect which moves features least, the optimal transport between two
            normal distributions (Knott & Smith 1984; for style: Lu et al. 2019, Mroueh 2020):
            ``M = L^(-T) (L^T S_s L)^(1/2) L^(-1)`` for any ``L L^T = S_c``
``adain``   ``M`` is diagonal: each channel's own deviation only (Huang & Belongie 2017)
``whiten``  no style: ``M = s S_c^(-1/2)`` with ``s^2`` the mean variance, around the content's mean

Roots come from symmetric eigendecompositions.  With the strength ``a`` (the paper's
alpha) the blend ``a F' + (1 - a) F`` is again affine in ``F``: one map for each level is all.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

# Added to the content's covariance before its inverse root, as a share of the mean eigenvalue:
# directions in which a picture hardly varies hold the network's noise, and whitening would
# blow it up.  Relative, so that it means the same at every level and for every network.
RIDGE = 1e-3
# For a picture without any variation: keeps roots finite, far below any real variance.
TINY = 1e-8


class Statistics(NamedTuple):
    """Mean ``[c]`` and covariance ``[c, c]`` of features over their positions, float32."""

    mean: tf.Tensor
    covariance: tf.Tensor


class AffineMap(NamedTuple):
    """``F -> (F - centre) @ matrix + offset`` for row vectors ``F``; float32.

    Centred, since a flat picture's matrix is huge, and half precision would lose the rest.
    """

    centre: tf.Tensor
    matrix: tf.Tensor
    offset: tf.Tensor


def statistics(features, weights=None):
    """The `Statistics` of ``features [h, w, c]``, each position counted ``weights [h, w]`` times."""
    flat = tf.cast(tf.reshape(features, (-1, tf.shape(features)[-1])), tf.float32)
    if weights is None:
        mean = tf.reduce_mean(flat, 0)
        centred = flat - mean
        count = tf.cast(tf.shape(flat)[0], tf.float32)
        return Statistics(mean, tf.matmul(centred, centred, transpose_a=True) / count)
    share = tf.reshape(weights, (-1, 1))
    share = share / tf.reduce_sum(share)
    mean = tf.reduce_sum(share * flat, 0)
    centred = flat - mean
    return Statistics(mean, tf.matmul(centred * share, centred, transpose_a=True))


def blend(styles, weights):
    """The weighted mean of several `Statistics`; the weights sum to 1."""
    return Statistics(*(sum(w * part for w, part in zip(weights, parts)) for parts in zip(*styles)))


def root(covariance, exponent, ridge=0.0):
    """``(S + ridge * mean eigenvalue * I) ** exponent`` of a symmetric ``[c, c]`` matrix, float32 or float64.

    Eigenvalues below zero, which rounding makes, count as zero.
    """
    lib, linalg = _libraries(covariance)
    values, vectors = linalg.eigh(covariance)
    values = lib.maximum(values, 0.0)
    values = values + ridge * lib.mean(values) + TINY
    return lib.matmul(vectors * values**exponent, lib.transpose(vectors))


def affine_map(content, style, method="wct", strength=1.0, ridge=RIDGE):
    """The `AffineMap` that gives features with the statistics ``content`` those of ``style``.

    Of numpy's arrays it is made by numpy, which for a single frame is faster.

    Args:
        content: `Statistics`.
        style: `Statistics`; not looked at by ``whiten``.
        method: one of `controls.METHODS`.
        strength: 0 (nothing happens) to 1 (the full transform), a scalar.
        ridge: see `RIDGE`.
    """
    (mean, covariance), target = content, style.mean
    lib, linalg = _libraries(covariance)
    # The map of a nearly flat direction hangs on small differences: in float32 its rounding would be seen.
    covariance, style_covariance = (lib.asarray(c, np.float64) for c in (covariance, style.covariance))
    identity = np.eye(covariance.shape[0]) if lib is np else tf.eye(tf.shape(covariance)[0], dtype=tf.float64)
    variance = lib.mean(lib.diag(covariance))
    if method == "wct":
        matrix = lib.matmul(root(covariance, -0.5, ridge), root(style_covariance, 0.5))
    elif method == "ot":
        # A Cholesky factor is as good as the symmetric root, at a fraction of the cost.
        lower = linalg.cholesky(covariance + (ridge * variance + TINY) * identity)
        middle = root(lib.matmul(lib.transpose(lower), lib.matmul(style_covariance, lower)), 0.5)
        back = linalg.inv(lower)
        matrix = lib.matmul(lib.transpose(back), lib.matmul(middle, back))
    elif method == "adain":
        ratio = (lib.diag(style_covariance) + TINY) / (lib.diag(covariance) + ridge * variance + TINY)
        matrix = lib.diag(lib.sqrt(lib.maximum(ratio, 0.0)))
    elif method == "whiten":
        matrix, target = lib.sqrt(variance) * root(covariance, -0.5, ridge), mean
    else:
        raise ValueError(method)
    share = lib.asarray(strength, np.float64)
    return AffineMap(
        mean,
        lib.asarray(share * matrix + (1.0 - share) * identity, np.float32),
        strength * target + (1.0 - strength) * mean,
    )


def moments(statistics):
    """Mean and variance ``[c]`` of features with these `Statistics`."""
    lib, _ = _libraries(statistics.covariance)
    return statistics.mean, lib.diag(statistics.covariance)


def moved(content, affine):
    """Mean and variance ``[c]`` that features with the statistics ``content`` have after an `AffineMap` of theirs."""
    lib, _ = _libraries(content.covariance)
    return affine.offset, lib.sum(affine.matrix * lib.matmul(content.covariance, affine.matrix), 0)


def _libraries(values):
    """What computes with ``values``: numpy and its linear algebra, or TensorFlow's of the same names."""
    return (np, np.linalg) if isinstance(values, np.ndarray) else (tf.experimental.numpy, tf.linalg)


def apply(affine, features):
    """``features [h, w, c]`` through an `AffineMap`, in their own type."""
    dtype = features.dtype
    # What is lost of the centre in a short type is made good in the offset, in float32.
    centre = tf.cast(affine.centre, dtype)
    lost = tf.cast(centre, tf.float32) - affine.centre
    offset = affine.offset + tf.linalg.matvec(affine.matrix, lost, transpose_a=True)
    # A 1x1 convolution with its bias: one operation.
    product = tf.nn.conv2d((features - centre)[None], tf.cast(affine.matrix, dtype)[None, None], 1, "VALID")
    return tf.nn.bias_add(product, tf.cast(offset, dtype))[0]


def swap(content, style, patch=3, stride=1):
    """Every patch of ``content [h, w, c]`` replaced by the most alike of ``style [h', w', c]``.

    Style swap (Chen & Schmidt 2016): likeness is the normalised cross-correlation of ``patch`` x
    ``patch`` patches, taken from the style every ``stride`` positions; overlaps are averaged.
    Both are to be whitened, so that likeness is about form (Li et al. 2017, UST's ``swap5``).

    Returns:
        ``[h, w, c]`` float32.
    """
    content, style = tf.cast(content, tf.float32)[None], tf.cast(style, tf.float32)[None]
    channels = style.shape[-1]
    patches = tf.image.extract_patches(style, (1, patch, patch, 1), (1, stride, stride, 1), (1, 1, 1, 1), "VALID")
    kernels = tf.transpose(tf.reshape(patches, (-1, patch, patch, channels)), (1, 2, 3, 0))
    length = tf.sqrt(tf.reduce_sum(tf.square(kernels), (0, 1, 2), keepdims=True))
    likeness = tf.nn.conv2d(content, kernels / (length + TINY), 1, "VALID")
    chosen = tf.one_hot(tf.argmax(likeness, -1), tf.shape(kernels)[-1])
    shape = tf.shape(content)
    put = tf.nn.conv2d_transpose(chosen, kernels, shape, 1, "VALID")
    ones = tf.ones((patch, patch, 1, 1))
    overlap = tf.nn.conv2d_transpose(tf.ones_like(chosen[..., :1]), ones, (1, shape[1], shape[2], 1), 1, "VALID")
    return (put / overlap)[0]
