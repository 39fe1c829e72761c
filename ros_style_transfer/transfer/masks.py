"""Which style paints which part of a picture: label images to soft regions."""

import cv2
import numpy as np

from ..errors import ImageError, OptionError


def check(mask, height, width, styles):
    """A mask as labels uint8 ``[height, width]``: 0 stays as it is, ``n`` is painted in the n-th style.

    A mask of another size is scaled (nearest) if its proportions are the picture's.  One that
    holds 0 and 255 alone, as drawing programs make them, means 0 and 1.

    Args:
        mask: uint8 ``[h, w]``.
        styles: how many styles there are.

    Raises:
        ImageError: not a mask, or of other proportions than the picture.
        OptionError: a label without a style.
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
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
    labels = np.unique(mask)
    if labels[-1] == 255 and set(labels) <= {0, 255}:
        return np.uint8(mask == 255)
    if labels[-1] > styles:
        raise OptionError(
            "the mask holds the label %d, but there are %d styles (labels: 0 for unpainted, 1..%d)"
            % (labels[-1], styles, styles)
        )
    return mask


def shares(labels, count, feather):
    """Each label's share of every pixel, float32 ``[count + 1, h, w]``; they sum to 1.

    Args:
        labels: uint8 ``[h, w]``, 0..``count``.
        feather: how many pixels wide an edge is softened; 0: hard.
    """
    layers = np.stack([np.float32(labels == n) for n in range(count + 1)])
    if feather:
        layers = np.stack(
            [
                cv2.GaussianBlur(layer, (0, 0), feather / 2.0, borderType=cv2.BORDER_REFLECT_101)
                if layer.any()
                else layer
                for layer in layers
            ]
        )
        layers /= layers.sum(0)
    return layers
