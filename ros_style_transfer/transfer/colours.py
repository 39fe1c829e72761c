"""Colours of painted pictures: the content's colours (Gatys et al. 2016, "Preserving Color in Neural Artistic
Style Transfer") and saturation."""

import cv2
import numpy as np

# Variance added to every colour channel (0..1): a grey picture has none in two directions.
TINY = 1e-5
LUMA = (0.299, 0.587, 0.114)  # weights of R, G and B, Rec. 601


def keep_luminance(content, painted):
    """The lightness of ``painted`` with the colours of ``content``; uint8 RGB ``[h,w,3]`` each."""
    result = cv2.cvtColor(content, cv2.COLOR_RGB2YCrCb)
    result[:, :, 0] = cv2.cvtColor(painted, cv2.COLOR_RGB2YCrCb)[:, :, 0]
    return cv2.cvtColor(result, cv2.COLOR_YCrCb2RGB)


def saturate(rgb, saturation):
    """uint8 ``rgb [h,w,3]`` with its chroma scaled around its luma: ``luma + saturation * (rgb - luma)``, clipped.

    Args:
        saturation: 0 (grey) or more; 1 changes nothing.
    """
    matrix = saturation * np.eye(3) + (1.0 - saturation) * np.tile(LUMA, (3, 1))
    return cv2.transform(rgb, matrix)


def colour_statistics(rgb):
    """Mean ``[3]`` and covariance ``[3,3]`` of the colours (0..1) of uint8 ``rgb [h,w,3]``.

    Rounded to what eyes cannot tell, so that a still camera's noise gives the same again.
    """
    flat = rgb.reshape(-1, 3) / 255.0
    return np.round(flat.mean(0), 2), np.round(np.cov(flat.T, bias=True), 3)


def coral(rgb, mean, covariance):
    """uint8 ``rgb [h,w,3]`` recoloured so that its colours have this ``mean`` and ``covariance``.

    ``(x - m) S^(-1/2) C^(1/2) + mean``: CORAL (Sun et al. 2016), here on three colour channels.
    """
    flat = rgb.reshape(-1, 3) / 255.0
    own = np.cov(flat.T, bias=True)
    matrix = _root(own, -0.5) @ _root(covariance, 0.5)
    recoloured = (flat - flat.mean(0)) @ matrix + mean
    return np.uint8(np.clip(recoloured, 0, 1) * 255 + 0.5).reshape(rgb.shape)


def _root(covariance, exponent):
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * (np.maximum(values, 0) + TINY) ** exponent) @ vectors.T
