"""Whitening and colouring for training: batches, and gradients that stay finite."""

from keras import ops


def statistics(features):
    """Mean ``[b,1,c]`` and covariance ``[b,c,c]`` over positions of ``features [b,h,w,c]``, float32."""
    b, h, w, c = ops.shape(features)
    flat = ops.cast(ops.reshape(features, (b, h * w, c)), "float32")
    mean = ops.mean(flat, 1, keepdims=True)
    centred = flat - mean
    return mean, ops.matmul(ops.transpose(centred, (0, 2, 1)), centred) / (h * w)


def roots(covariance, ridge):
    """``(S + ridge * mean eigenvalue * I)`` to the powers 1/2 and -1/2, ``[b,c,c]`` each.

    The gradient of an eigendecomposition divides by differences of eigenvalues and explodes where
    two are alike.  That of the root itself, the solution X of ``R X + X R = dS``, divides in the
    eigenvectors' basis by sums of R's eigenvalues only; so the decomposition is held constant and
    the first-order term, whose value is zero, carries the gradient.
    """
    c = covariance.shape[-1]
    scale = ops.trace(covariance, axis1=1, axis2=2) / c
    regular = covariance + (ridge * scale + 1e-8)[:, None, None] * ops.eye(c)
    fixed = ops.stop_gradient(regular)
    values, vectors = (ops.stop_gradient(x) for x in ops.eigh(fixed))
    root = ops.sqrt(ops.maximum(values, 1e-9))
    turned = ops.transpose(vectors, (0, 2, 1))
    change = ops.matmul(ops.matmul(turned, regular - fixed), vectors)
    change = change / (root[:, :, None] + root[:, None, :])
    inverse_change = -change / (root[:, :, None] * root[:, None, :])
    eye = ops.eye(c)
    unturn = lambda diagonal, rest: ops.matmul(ops.matmul(vectors, diagonal[:, None, :] * eye + rest), turned)
    return unturn(root, change), unturn(1.0 / root, inverse_change)


def transport(features, style_mean, style_covariance, ridge, floor=1e-8):
    """``features [b,h,w,c]`` with the style's mean and covariance, moved as little as can be.

    The optimal map between two normal distributions (Knott & Smith 1984; Lu et al. 2019 for
    style), ``Sc^(-1/2) (Sc^(1/2) Ss Sc^(1/2))^(1/2) Sc^(-1/2)``: a whitening and colouring, too.
    """
    b, h, w, c = ops.shape(features)
    mean, covariance = statistics(features)
    # Any L with L L' = Sc will do (`transfer.wct`): a Cholesky factor costs no eigendecomposition.
    scale = ops.trace(covariance, axis1=1, axis2=2) / c
    eye = ops.eye(c)
    lower = ops.cholesky(covariance + (ridge * scale + floor)[:, None, None] * eye)
    middle, _ = roots(ops.matmul(ops.transpose(lower, (0, 2, 1)), ops.matmul(style_covariance, lower)), 1e-6)
    back = ops.solve_triangular(lower, ops.broadcast_to(eye, ops.shape(lower)), lower=True)
    matrix = ops.matmul(ops.transpose(back, (0, 2, 1)), ops.matmul(middle, back))
    flat = ops.cast(ops.reshape(features, (b, h * w, c)), "float32") - mean
    return ops.cast(ops.reshape(ops.matmul(flat, matrix) + style_mean, (b, h, w, c)), features.dtype)
