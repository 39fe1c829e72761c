"""The whitening and coloring transform (WCT, Li et al. 2017, section 3.2) and related transforms.

Features ``F`` of one picture, ``[h, w, c]``, have a mean ``m`` and a covariance ``S`` over their
``h*w`` positions.  Every method transforms the content's features to the style's statistics by one
affine map ``F' = (F - m_c) M + m_s`` (row vectors):

``wct``     ``M = S_c^(-1/2) S_s^(1/2)``: whitening, then coloring (Li et al. 2017)
``ot``      the map to these statistics that changes the features least, the optimal transport between
            two normal distributions (Knott & Smith 1984; for style: Lu et al. 2019, Mroueh 2020):
            ``M = L^(-T) (L^T S_s L)^(1/2) L^(-1)`` for any ``L L^T = S_c``
``adain``   ``M`` is diagonal and matches the deviation of each channel only (Huang & Belongie 2017)
``whiten``  no style: ``M = s S_c^(-1/2)`` with ``s^2`` the mean variance, around the content's mean

Matrix powers are computed by symmetric eigendecompositions.  With the strength ``a`` (alpha in the paper)
the blend ``a F' + (1 - a) F`` is affine in ``F`` as well, so each level needs only one map.
"""

from typing import Any, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

# Added to the content's covariance before its inverse root, as a fraction of the mean eigenvalue:
# directions in which a picture hardly varies hold noise of the network, which whitening would
# amplify.  Relative, so that it means the same at every level and for every network.
RIDGE = 1e-3
# Keeps the roots of a picture without any variation finite; far below any real variance.
EPSILON = 1e-8


class Statistics(NamedTuple):
    """Mean ``[c]`` and covariance ``[c, c]`` of features over their positions, float32."""

    mean: tf.Tensor
    covariance: tf.Tensor


class AffineMap(NamedTuple):
    """``F -> (F - centre) @ matrix + offset`` for row vectors ``F``; float32.

    Centred, because the matrix of a flat picture is so large that half precision would lose the differences.
    """

    centre: tf.Tensor
    matrix: tf.Tensor
    offset: tf.Tensor


def statistics(features: tf.Tensor, weights: Optional[tf.Tensor] = None) -> Statistics:
    """The `Statistics` of ``features [h, w, c]``, weighted by ``weights [h, w]`` if given."""
    flat = tf.cast(tf.reshape(features, (-1, tf.shape(features)[-1])), tf.float32)
    if weights is None:
        mean = tf.reduce_mean(flat, 0)
        centred = flat - mean
        count = tf.cast(tf.shape(flat)[0], tf.float32)
        return Statistics(mean, tf.matmul(centred, centred, transpose_a=True) / count)
    fractions = tf.reshape(weights, (-1, 1))
    fractions = fractions / tf.reduce_sum(fractions)
    mean = tf.reduce_sum(fractions * flat, 0)
    centred = flat - mean
    return Statistics(mean, tf.matmul(centred * fractions, centred, transpose_a=True))


def color_statistics(image: tf.Tensor, floor: float = 0.0, weights: Optional[tf.Tensor] = None) -> Statistics:
    """The `Statistics` of an image's colors, RGB or folded (``[h, w, 3 n]``).

    Args:
        floor: added to the variances, so that the noise of a flat image is not amplified to a style's contrast.
        weights: of the positions, ``[h, w]``; None: equal.
    """
    count = image.shape[-1] // 3
    folded = statistics(image, weights)
    # The moments of all colors from those of the folded pixels: one matrix product instead of many narrow ones.
    square = tf.reshape(folded.covariance + folded.mean[:, None] * folded.mean[None], (count, 3, count, 3))
    same_pixel = np.eye(count, dtype=np.float32)[:, None, :, None] / count
    square = tf.reduce_sum(square * same_pixel, (0, 2))
    mean = tf.reduce_mean(tf.reshape(folded.mean, (-1, 3)), 0)
    return Statistics(mean, square - mean[:, None] * mean[None] + floor * tf.eye(3))


def blend(styles: Sequence[Statistics], weights: Sequence[Any]) -> Statistics:
    """The weighted mean of several `Statistics`; the weights sum to 1."""
    return Statistics(*(sum(w * part for w, part in zip(weights, parts)) for parts in zip(*styles)))


def matrix_power(covariance: Any, exponent: float, ridge: float = 0.0) -> Any:
    """``(S + ridge * mean eigenvalue * I) ** exponent`` of a symmetric ``[c, c]`` matrix, float32 or float64.

    Negative eigenvalues, which are rounding errors, are set to zero.
    """
    lib, linalg = _libraries(covariance)
    values, vectors = linalg.eigh(covariance)
    values = lib.maximum(values, 0.0)
    values = values + ridge * lib.mean(values) + EPSILON
    return lib.matmul(vectors * values**exponent, lib.transpose(vectors))


def affine_map(
    content: Statistics, style: Statistics, method: str = "wct", strength: Any = 1.0, ridge: float = RIDGE
) -> AffineMap:
    """The `AffineMap` from features with the statistics ``content`` to those of ``style``.

    NumPy arrays are computed by NumPy, which is faster for a single frame, tensors by TensorFlow.

    Args:
        style: unused by ``whiten``.
        method: one of `controls.METHODS`.
        strength: 0 (no change) to 1 (the full transform), a scalar.
        ridge: see `RIDGE`.
    """
    (mean, covariance), target = content, style.mean
    lib, linalg = _libraries(covariance)
    # In nearly flat directions the map depends on small differences: rounding to float32 would be visible.
    covariance, style_covariance = (lib.asarray(c, np.float64) for c in (covariance, style.covariance))
    identity = np.eye(covariance.shape[0]) if lib is np else tf.eye(tf.shape(covariance)[0], dtype=tf.float64)
    variance = lib.mean(lib.diag(covariance))
    if method == "wct":
        matrix = lib.matmul(matrix_power(covariance, -0.5, ridge), matrix_power(style_covariance, 0.5))
    elif method == "ot":
        # A Cholesky factor replaces the symmetric root at a fraction of the cost.
        lower = linalg.cholesky(covariance + (ridge * variance + EPSILON) * identity)
        middle = matrix_power(lib.matmul(lib.transpose(lower), lib.matmul(style_covariance, lower)), 0.5)
        inverse = linalg.inv(lower)
        matrix = lib.matmul(lib.transpose(inverse), lib.matmul(middle, inverse))
    elif method == "adain":
        ratio = (lib.diag(style_covariance) + EPSILON) / (lib.diag(covariance) + ridge * variance + EPSILON)
        matrix = lib.diag(lib.sqrt(lib.maximum(ratio, 0.0)))
    elif method == "whiten":
        matrix, target = lib.sqrt(variance) * matrix_power(covariance, -0.5, ridge), mean
    else:
        raise ValueError("unknown method %r" % method)
    weight = lib.asarray(strength, np.float64)
    return AffineMap(
        mean,
        lib.asarray(weight * matrix + (1.0 - weight) * identity, np.float32),
        strength * target + (1.0 - strength) * mean,
    )


def mean_and_variance(statistics: Statistics) -> Tuple[Any, Any]:
    """Mean and variance ``[c]`` of features with these `Statistics`."""
    lib, _ = _libraries(statistics.covariance)
    return statistics.mean, lib.diag(statistics.covariance)


def plan_transform(
    content: Statistics, style: Statistics, method: str, strength: Any, ridge: float
) -> Tuple[AffineMap, Tuple[Any, Any]]:
    """`affine_map`, and the mean and variance ``[c]`` of the content's features after it."""
    affine = affine_map(content, style, method, strength, ridge)
    lib, _ = _libraries(content.covariance)
    variance = lib.sum(affine.matrix * lib.matmul(content.covariance, affine.matrix), 0)
    # A flat picture's covariance has rounding errors below zero, which its map amplifies.
    return affine, (affine.offset, lib.maximum(variance, 0.0))


def _libraries(values: Any) -> Tuple[Any, Any]:
    """NumPy and its linear algebra for arrays, TensorFlow's functions of the same names for tensors."""
    return (np, np.linalg) if isinstance(values, np.ndarray) else (tf.experimental.numpy, tf.linalg)


def apply(affine: AffineMap, features: tf.Tensor) -> tf.Tensor:
    """``features [h, w, c]`` transformed by an `AffineMap`, in their own type."""
    dtype = features.dtype
    # The float32 offset compensates for the rounding of the centre to half precision.
    centre = tf.cast(affine.centre, dtype)
    rounding = tf.cast(centre, tf.float32) - affine.centre
    offset = affine.offset + tf.linalg.matvec(affine.matrix, rounding, transpose_a=True)
    # A 1x1 convolution with bias is a single operation.
    product = tf.nn.conv2d((features - centre)[None], tf.cast(affine.matrix, dtype)[None, None], 1, "VALID")
    return tf.nn.bias_add(product, tf.cast(offset, dtype))[0]


def apply_to_colors(affine: AffineMap, image: tf.Tensor) -> tf.Tensor:
    """The colors of ``image [h, w, 3 n]``, RGB or folded, transformed by an `AffineMap`."""
    flat = tf.matmul(tf.reshape(image, (-1, 3)) - affine.centre, affine.matrix) + affine.offset
    return tf.reshape(flat, tf.shape(image))
