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


def transport(features, style_mean, style_covariance, ridge):
    """``features [b,h,w,c]`` with the style's mean and covariance, moved as little as can be.

    The optimal map between two normal distributions (Knott & Smith 1984; Lu et al. 2019 for
    style), ``Sc^(-1/2) (Sc^(1/2) Ss Sc^(1/2))^(1/2) Sc^(-1/2)``: a whitening and colouring, too.
    """
    b, h, w, c = ops.shape(features)
    mean, covariance = statistics(features)
    root, inverse = roots(covariance, ridge)
    middle, _ = roots(ops.matmul(ops.matmul(root, style_covariance), root), 1e-6)
    matrix = ops.matmul(ops.matmul(inverse, middle), inverse)
    flat = ops.cast(ops.reshape(features, (b, h * w, c)), "float32") - mean
    return ops.cast(ops.reshape(ops.matmul(flat, matrix) + style_mean, (b, h, w, c)), features.dtype)


def distance(gram, wanted, steps=15, ridge=1e-2):
    """The Wasserstein distance of two normal distributions of mean 0, as a share of the second's size, ``[b]``.

    ``sqrt((tr A + tr B - 2 tr (A^(1/2) B A^(1/2))^(1/2)) / tr B)`` for Gram matrices ``A = gram`` and
    ``B = wanted``, ``[b,c,c]``.  Where the Gram matrices' own difference sees the loudest directions
    only, each counts here by its deviation.  ``(A B)^(1/2)``, which has the same trace, and its
    inverse come from ``steps`` of the Newton-Schulz iteration (Higham 2008, eq. 6.35), products of
    matrices alone; it ends a little below, and the faintest directions pull less than they should.
    """
    c = gram.shape[-1]
    trace = lambda m: ops.trace(m, axis1=1, axis2=2)
    gram, wanted = (m + (ridge / c * trace(m) + 1e-8)[:, None, None] * ops.eye(c) for m in (gram, wanted))
    fixed, eye = ops.stop_gradient(gram), ops.eye(c)
    product = ops.matmul(fixed, wanted)
    size = ops.sqrt(ops.sum(ops.square(product), (1, 2), keepdims=True))
    root, inverse = product / size, ops.broadcast_to(eye, ops.shape(product))
    for _ in range(steps):
        step = 1.5 * eye - 0.5 * ops.matmul(inverse, root)
        root, inverse = ops.matmul(root, step), ops.matmul(step, inverse)
    # B (A B)^(-1/2): the map that carries the first distribution to the second, and twice the trace's gradient.
    carry = ops.stop_gradient(ops.matmul(wanted, inverse / ops.sqrt(size)))
    overlap = ops.stop_gradient(trace(root * ops.sqrt(size))) + ops.sum(carry * (gram - fixed), (1, 2)) / 2
    return ops.sqrt(ops.relu(trace(gram) + trace(wanted) - 2 * overlap) / trace(wanted) + 1e-6)
