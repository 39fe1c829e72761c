"""What a picture is painted on: the canvas, as far as it shows.  NumPy and OpenCV only."""
import cv2
import numpy as np

from .architecture import CANVAS_SIDE, EVEN, EVEN_LEAST, canvas

STRIP = 1024  # rows, a multiple of 8


def ground(rgb, carried=None, share=1.0):
    """The `architecture.canvas` as far as it shows under a picture: float32 ``[h, w]``.

    Args:
        rgb: ``[h, w, 3]``, uint8, or float32 in 0..1; sides are multiples of 16.
        carried: float32 ``[h, w]``, the canvas moved with the scene (`steady.Steady`); None: as it stands, repeated.
        share: how much of that, 0..1.
    """
    height, width = rgb.shape[:2]
    shown = cv2.resize(share * evenness(rgb), (width, height), interpolation=cv2.INTER_NEAREST)
    if carried is None:
        carried = np.tile(canvas(), (-(-height // CANVAS_SIDE), -(-width // CANVAS_SIDE)))[:height, :width]
    return np.multiply(shown, carried, out=shown)


def evenness(rgb):
    """How much of the canvas shows under ``rgb [h, w, 3]`` (`architecture.canvas`): float32 ``[h/2, w/2]``, 0..1."""
    height, width = rgb.shape[:2]
    grey = np.full((1, 3), 1 / (3 * 255) if rgb.dtype == np.uint8 else 1 / 3)
    blocks = [[], []]
    for top in range(0, height, STRIP):  # a large picture's lightness need not be there at once
        light = cv2.transform(np.float32(rgb[top : top + STRIP]), grey) - 0.5  # squares lose fewer digits
        for rows, plane in zip(blocks, (light, light * light)):
            rows.append(cv2.resize(plane, (width // 8, light.shape[0] // 8), interpolation=cv2.INTER_AREA))
    blocks = [np.concatenate(rows) for rows in blocks]
    variance = lambda mean, square: np.maximum(square - mean * mean, 0.0)
    sums = [cv2.boxFilter(plane, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
            for plane in (*blocks, np.ones_like(blocks[0]))]
    here, whole = variance(sums[0] / sums[2], sums[1] / sums[2]), variance(*(plane.mean() for plane in blocks))
    here = cv2.erode(here, np.ones((3, 3), np.uint8))  # the least of all neighbourhoods that a block is in
    shown = 1.0 / (1.0 + here / max(EVEN**2 * whole, EVEN_LEAST**2))
    return cv2.resize(shown, (width // 2, height // 2))
