"""Masks: label images that assign a style to each region of a picture."""

from typing import Any, Callable

import cv2
import numpy as np

from ..errors import ImageError, OptionError


def check(mask: Any, height: int, width: int, styles: int) -> np.ndarray:
    """A mask as labels, uint8 ``[height, width]``: 0 is not stylized, ``n`` is stylized in the n-th style.

    A mask of another size but the same proportions is resized (nearest neighbour).  In a mask of only 0
    and 255, as drawing programs save them, 255 means 1.

    Args:
        mask: uint8 ``[h, w]``.
        styles: the number of styles.

    Raises:
        ImageError: it is not a mask, or its proportions differ from the picture's.
        OptionError: it has a label without a style.
    """
    if not isinstance(mask, np.ndarray) or mask.dtype != np.uint8 or mask.ndim != 2 or not mask.size:
        found = "%s %s" % (mask.dtype, mask.shape) if isinstance(mask, np.ndarray) else type(mask).__name__
        raise ImageError("a mask must be uint8 [height, width], not %s" % found)
    if mask.shape != (height, width):
        if abs(mask.shape[1] * height - mask.shape[0] * width) > max(height, width, *mask.shape):
            raise ImageError(
                "the mask is %dx%d, the picture %dx%d: their proportions must agree"
                % (mask.shape[1], mask.shape[0], width, height)
            )
        mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST))
    labels = np.unique(mask)
    if labels[-1] == 255 and set(labels) <= {0, 255}:
        return np.asarray(mask == 255, np.uint8)
    if labels[-1] > styles:
        raise OptionError(
            "the mask holds the label %d, but there are %d styles (labels: 0 for unpainted, 1..%d)"
            % (labels[-1], styles, styles)
        )
    return np.asarray(mask)


def coverages(labels: np.ndarray, count: int, feather: float) -> np.ndarray:
    """The fraction of every pixel that each label covers, float32 ``[count + 1, h, w]``; they sum to 1.

    Args:
        labels: uint8 ``[h, w]``, 0..``count``.
        feather: width in pixels of the soft edges; 0: hard edges.
    """
    layers: np.ndarray = np.stack([np.asarray(labels == n, np.float32) for n in range(count + 1)])
    if feather:
        blur: Callable[..., Any] = lambda layer: cv2.GaussianBlur(
            layer, (0, 0), feather / 2.0, borderType=cv2.BORDER_REFLECT_101
        )
        layers = np.stack([blur(layer) if layer.any() else layer for layer in layers])
        layers /= layers.sum(0)
    return layers
