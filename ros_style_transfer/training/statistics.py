"""Whitening and coloring for training: in batches, with finite gradients."""

from typing import Any, Tuple

from keras import ops


def statistics(features: Any) -> Tuple[Any, Any]:
    """Mean ``[b, 1, c]`` and covariance ``[b, c, c]`` of ``features [b, h, w, c]`` over their positions, float32."""
    b, h, w, c = ops.shape(features)
    flat = ops.cast(ops.reshape(features, (b, h * w, c)), "float32")
    mean = ops.mean(flat, 1, keepdims=True)
    centred = flat - mean
    return mean, ops.matmul(ops.transpose(centred, (0, 2, 1)), centred) / (h * w)


def roots(covariance: Any, ridge: float) -> Tuple[Any, Any]:
    """``(S + ridge * mean eigenvalue * I)`` to the powers 1/2 and -1/2, ``[b, c, c]`` each.

    The gradient of an eigendecomposition divides by differences of eigenvalues and explodes if
    two are similar.  The gradient of the root itself, the solution X of ``R X + X R = dS``, divides in
    the basis of the eigenvectors only by sums of R's eigenvalues.  So the decomposition is treated as
    constant, and a first-order term, whose value is zero, carries the gradient.
    """
    c = covariance.shape[-1]
    scale = ops.trace(covariance, axis1=1, axis2=2) / c
    regular = covariance + (ridge * scale + 1e-8)[:, None, None] * ops.eye(c)
    fixed = ops.stop_gradient(regular)
    values, vectors = (ops.stop_gradient(x) for x in ops.eigh(fixed))
    root = ops.sqrt(ops.maximum(values, 1e-9))
    transposed = ops.transpose(vectors, (0, 2, 1))
    change = ops.matmul(ops.matmul(transposed, regular - fixed), vectors)
    change = change / (root[:, :, None] + root[:, None, :])
    inverse_change = -change / (root[:, :, None] * root[:, None, :])
    eye = ops.eye(c)
    compose = lambda values, rest: ops.matmul(ops.matmul(vectors, values[:, None, :] * eye + rest), transposed)
    return compose(root, change), compose(1.0 / root, inverse_change)


def transport(features: Any, style_mean: Any, style_covariance: Any, ridge: float, floor: float = 1e-8) -> Any:
    """``features [b, h, w, c]`` with the style's mean and covariance, changed as little as possible.

    The optimal map between two normal distributions (Knott & Smith 1984; Lu et al. 2019 for
    style), ``Sc^(-1/2) (Sc^(1/2) Ss Sc^(1/2))^(1/2) Sc^(-1/2)``: a whitening and coloring as well.
    """
    b, h, w, c = ops.shape(features)
    mean, covariance = statistics(features)
    # Any L with L L' = Sc is sufficient (`transfer.wct`); a Cholesky factor needs no eigendecomposition.
    scale = ops.trace(covariance, axis1=1, axis2=2) / c
    eye = ops.eye(c)
    lower = ops.cholesky(covariance + (ridge * scale + floor)[:, None, None] * eye)
    middle, _ = roots(ops.matmul(ops.transpose(lower, (0, 2, 1)), ops.matmul(style_covariance, lower)), 1e-6)
    inverse = ops.solve_triangular(lower, ops.broadcast_to(eye, ops.shape(lower)), lower=True)
    matrix = ops.matmul(ops.transpose(inverse, (0, 2, 1)), ops.matmul(middle, inverse))
    flat = ops.cast(ops.reshape(features, (b, h * w, c)), "float32") - mean
    return ops.cast(ops.reshape(ops.matmul(flat, matrix) + style_mean, (b, h, w, c)), features.dtype)
