"""Colors of stylized pictures: those of the content (Gatys et al. 2016, "Preserving Color in Neural Artistic
Style Transfer") and saturation."""

from typing import Tuple

import cv2
import numpy as np

# Variance added to every color channel (0..1): a grey picture has none in two directions.
VARIANCE_FLOOR = 1e-5
LUMA = (0.299, 0.587, 0.114)  # weights of R, G and B, Rec. 601


def keep_luminance(content: np.ndarray, stylized: np.ndarray) -> np.ndarray:
    """The luma of ``stylized`` with the chroma of ``content``; uint8 RGB ``[h, w, 3]`` each."""
    result = cv2.cvtColor(content, cv2.COLOR_RGB2YCrCb)
    result[:, :, 0] = cv2.cvtColor(stylized, cv2.COLOR_RGB2YCrCb)[:, :, 0]
    return cv2.cvtColor(result, cv2.COLOR_YCrCb2RGB)


def saturate(rgb: np.ndarray, saturation: float) -> np.ndarray:
    """uint8 ``rgb [h, w, 3]`` with its chroma scaled around its luma: ``luma + saturation * (rgb - luma)``, clipped.

    Args:
        saturation: 0 (grey) or more; 1 changes nothing.
    """
    matrix = saturation * np.eye(3) + (1.0 - saturation) * np.tile(LUMA, (3, 1))
    return cv2.transform(rgb, matrix)


def colour_statistics(rgb: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Mean ``[3]`` and covariance ``[3, 3]`` of the colors (0..1) of uint8 ``rgb [h, w, 3]``.

    Rounded below visible differences, so that the noise of a still camera does not change them.
    """
    flat = rgb.reshape(-1, 3) / 255.0
    return np.round(flat.mean(0), 2), np.round(np.cov(flat.T, bias=True), 3)


def coral(rgb: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """uint8 ``rgb [h, w, 3]`` with its colors transformed to this ``mean`` and ``covariance``.

    ``(x - m) S^(-1/2) C^(1/2) + mean``: CORAL (Sun et al. 2016) on three color channels.
    """
    flat = rgb.reshape(-1, 3) / 255.0
    matrix = _matrix_power(np.cov(flat.T, bias=True), -0.5) @ _matrix_power(covariance, 0.5)
    recolored = (flat - flat.mean(0)) @ matrix + mean
    return np.asarray(np.clip(recolored, 0, 1) * 255 + 0.5, np.uint8).reshape(rgb.shape)


def _matrix_power(covariance: np.ndarray, exponent: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    powers = (np.maximum(values, 0) + VARIANCE_FLOOR) ** exponent
    return np.asarray((vectors * powers) @ vectors.T)
