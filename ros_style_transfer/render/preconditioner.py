"""How curved a loss is along waves of each length: what makes steps of the right size for all of them.

The losses of a picture bend some fifty times more along broad changes of hue than along fine ones of
lightness, much the same at every place.  In such a basis the Hessian is nearly diagonal: ``H(f)``, a 3x3
matrix over the colours for each spatial frequency, and its inverse is a good start for L-BFGS (on the
ancestor's objective it needs half the evaluations).  One evaluation beside another tells it.
"""

import cv2
import numpy as np

RINGS = 24  # of frequency
NUDGE = 0.004  # of 0..1: the deviation of the noise that is added
# Curvatures below this share of the largest are taken for it: a step may not become arbitrarily long.
FLOOR = 0.01
_HIGHEST = np.sqrt(0.5)  # cycles a pixel, along the diagonal


def measure(evaluate, x, gradient, seed=0):
    """The Hessian's 3x3 matrices ``[RINGS, 3, 3]`` at ``x [h, w, 3]``, by ``H v = g(x + v) - g(x)`` for white noise,
    times the number of pixels: of a loss that is a mean over them it is then the same at every size.

    Args:
        gradient: ``g(x)``.

    Returns None if there is no positive curvature at all, or no number.
    """
    noise = np.random.default_rng(seed).standard_normal(x.shape).astype(np.float32) * np.float32(NUDGE)
    change = evaluate(x + noise).gradient - gradient
    if not np.isfinite(change).all():
        return None
    sent, came = np.fft.rfft2(noise, axes=(0, 1)), np.fft.rfft2(change, axes=(0, 1))
    rings = np.minimum((_frequency(*x.shape[:2])[:, : sent.shape[1]] / _HIGHEST * RINGS).astype(int), RINGS - 1)
    found = np.full((RINGS, 3, 3), np.nan)
    for ring in range(RINGS):
        a, b = sent[rings == ring], came[rings == ring]
        if len(a) >= 9:  # fewer say more of the noise than of the curvature
            hessian = np.linalg.solve((a.conj().T @ a).real, (a.conj().T @ b).real)
            found[ring] = x.shape[0] * x.shape[1] * (hessian + hessian.T) / 2
    known = np.flatnonzero(np.isfinite(found[:, 0, 0]))
    if not len(known):
        return None
    nearest = known[np.abs(np.arange(RINGS)[:, None] - known).argmin(1)]
    found = found[nearest]
    return found if np.linalg.eigvalsh(found).max() > 0 else None


def inverse(hessian, height, width):
    """The function (vector ``[height, width, 3]``) to the inverse Hessian times it, for `optimizers.lbfgs`."""
    values, vectors = np.linalg.eigh(hessian)
    values = np.maximum(values, FLOOR * values.max()) / (height * width)
    matrices = np.einsum("kij,kj,klj->kil", vectors, 1 / values, vectors)
    at = (np.arange(RINGS) + 0.5) / RINGS * _HIGHEST
    frequency = _frequency(height, width)
    field = np.stack([np.interp(frequency, at, matrices[:, i, j]) for i in range(3) for j in range(3)])
    field = field.reshape(3, 3, height, width, 1).astype(np.float32)

    def times(vector):
        # OpenCV's transform computes in float32, numpy's in float64: this one is in every step of a render.
        waves = [cv2.dft(np.ascontiguousarray(vector[..., i]), flags=cv2.DFT_COMPLEX_OUTPUT) for i in range(3)]
        back = cv2.DFT_INVERSE | cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT
        return np.stack(
            [cv2.dft(sum(wave * part for wave, part in zip(waves, field[:, j])), flags=back) for j in range(3)], -1
        )

    return times


def _frequency(height, width):
    """Cycles a pixel of a picture's waves, ``[height, width]``, in the order of numpy's ``fft2``."""
    return np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
