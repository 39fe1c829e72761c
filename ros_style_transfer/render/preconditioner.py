"""An estimate of a loss's Hessian, diagonal over spatial frequencies, which preconditions L-BFGS.

The losses of a picture are about fifty times more curved along smooth changes of hue than along fine changes of
lightness, and about equally so everywhere.  In the Fourier basis the Hessian is therefore nearly diagonal: ``H(f)``,
a 3x3 matrix over the colours for each frequency.  Started from its inverse, L-BFGS needs half the evaluations on the
objective of the preset ``seed``.  The estimate costs one evaluation of the gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Optional

import cv2
import numpy as np

from .optimizers import Function

if TYPE_CHECKING:
    from numpy.typing import NDArray

RINGS = 24  # of frequency
NOISE = 0.004  # of 0..1: the deviation of the noise along which the gradient's change is measured
MIN_CURVATURE = 0.01  # of the largest: smaller ones are raised to it, so that no step becomes arbitrarily long
MIN_SAMPLES = 9  # frequencies in a ring; the estimate from fewer is mostly noise
_HIGHEST = np.sqrt(0.5)  # cycles per pixel, along the diagonal


def estimate_hessian(
    evaluate: Function, x: NDArray[np.float32], gradient: NDArray[np.float32], seed: int = 0
) -> Optional[NDArray[np.float64]]:
    """The Hessian's 3x3 matrices at ``x [h, w, 3]``, ``[RINGS, 3, 3]``, by ``H v = g(x + v) - g(x)`` for white noise
    ``v``, times the number of pixels: for a loss that is a mean over pixels the result is the same at every size.

    Args:
        evaluate: the loss.
        gradient: ``g(x)``.
        seed: of the noise.

    Returns None if no curvature is positive, or a gradient is not finite.
    """
    noise = np.random.default_rng(seed).standard_normal(x.shape).astype(np.float32) * np.float32(NOISE)
    change = evaluate(x + noise).gradient - gradient
    if not np.isfinite(change).all():
        return None
    noise_spectrum, change_spectrum = np.fft.rfft2(noise, axes=(0, 1)), np.fft.rfft2(change, axes=(0, 1))
    frequency = _frequency(*x.shape[:2])[:, : noise_spectrum.shape[1]]
    rings = np.minimum((frequency / _HIGHEST * RINGS).astype(int), RINGS - 1)
    hessian = np.full((RINGS, 3, 3), np.nan)
    for ring in range(RINGS):
        a, b = noise_spectrum[rings == ring], change_spectrum[rings == ring]
        if len(a) >= MIN_SAMPLES:
            matrix = np.linalg.solve((a.conj().T @ a).real, (a.conj().T @ b).real)
            hessian[ring] = x.shape[0] * x.shape[1] * (matrix + matrix.T) / 2
    estimated = np.flatnonzero(np.isfinite(hessian[:, 0, 0]))
    if not len(estimated):
        return None
    nearest = estimated[np.abs(np.arange(RINGS)[:, None] - estimated).argmin(1)]
    hessian = hessian[nearest]
    return hessian if np.linalg.eigvalsh(hessian).max() > 0 else None


def inverse_hessian(hessian: NDArray[np.float64], height: int, width: int) -> Callable[[Any], Any]:
    """A function that multiplies ``[height, width, 3]`` by the inverse of ``hessian``, for `optimizers.lbfgs`.

    Args:
        hessian: returned by `estimate_hessian`, of any size.
    """
    values, vectors = np.linalg.eigh(hessian)
    values = np.maximum(values, MIN_CURVATURE * values.max()) / (height * width)
    matrices = np.einsum("kij,kj,klj->kil", vectors, 1 / values, vectors)
    centers = (np.arange(RINGS) + 0.5) / RINGS * _HIGHEST
    frequency = _frequency(height, width)
    field = np.stack([np.interp(frequency, centers, matrices[:, i, j]) for i in range(3) for j in range(3)])
    field = field.reshape(3, 3, height, width, 1).astype(np.float32)

    def multiply(vector: NDArray[np.float32]) -> NDArray[np.float32]:
        # OpenCV's transform computes in float32, NumPy's in float64, and this one is a part of every step.
        spectra = [cv2.dft(np.ascontiguousarray(vector[..., i]), flags=cv2.DFT_COMPLEX_OUTPUT) for i in range(3)]
        inverse = cv2.DFT_INVERSE | cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT
        products = [sum(spectrum * part for spectrum, part in zip(spectra, field[:, j])) for j in range(3)]
        return np.stack([cv2.dft(product, flags=inverse) for product in products], -1)

    return multiply


def _frequency(height: int, width: int) -> NDArray[np.float64]:
    """Cycles per pixel of a picture's frequencies, ``[height, width]``, in the order of NumPy's ``fft2``."""
    result: NDArray[np.float64] = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    return result
