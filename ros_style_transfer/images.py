"""Pictures as arrays: uint8, ``[height, width, 3]``, RGB.  No TensorFlow, no ROS."""
import os

import cv2
import numpy as np
from PIL import Image

from .errors import ImageError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def read(path):
    """The picture at ``path`` as RGB uint8 ``[h,w,3]``.

    Raises:
        ImageError: there is no such file, or it is not a picture.
    """
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except FileNotFoundError:
        raise ImageError("no such picture: %s" % path) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError("cannot read the picture %s: %s" % (path, error)) from None


def write(path, rgb):
    """Write RGB uint8 ``[h,w,3]`` to ``path``; its ending chooses the format.

    Raises:
        ImageError: the ending is unknown or the file cannot be written.
    """
    check(rgb)
    check_ending(path)
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        options = {"quality": 95} if str(path).lower().endswith((".jpg", ".jpeg", ".webp")) else {}
        Image.fromarray(rgb).save(path, **options)
    except OSError as error:
        raise ImageError("cannot write %s: %s" % (path, error)) from None


def check_exists(path):
    """Raise `ImageError` unless there is a file at ``path``."""
    if not os.path.isfile(path):
        raise ImageError("no such picture: %s" % path)


def check_ending(path):
    """Raise `ImageError` unless the ending of ``path`` names a format that we write."""
    if not str(path).lower().endswith(EXTENSIONS):
        raise ImageError("cannot write %s: the name must end in one of %s" % (path, ", ".join(EXTENSIONS)))


def check(rgb):
    """Raise `ImageError` unless ``rgb`` is a picture: uint8 ``[h,w,3]`` with at least one pixel."""
    if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        found = "%s %s" % (rgb.dtype, rgb.shape) if isinstance(rgb, np.ndarray) else type(rgb).__name__
        raise ImageError("a picture must be uint8 [height, width, 3] (RGB), not %s" % found)
    if rgb.size == 0:
        raise ImageError("the picture is empty: %dx%d" % (rgb.shape[1], rgb.shape[0]))


def scaled_size(width, height, longest, smallest=1):
    """``(width, height)`` with the longer side ``longest``, no side below ``smallest``."""
    scale = longest / max(width, height)
    return max(smallest, round(width * scale)), max(smallest, round(height * scale))


def resize(rgb, width, height):
    """Antialiased bicubic resampling (Pillow's), for stills."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.BICUBIC))


def limit(rgb, max_side):
    """``rgb`` with its longer side at most ``max_side`` (0: no limit); by area, fast enough for video."""
    height, width = rgb.shape[:2]
    if not max_side or max(height, width) <= max_side:
        return rgb
    return cv2.resize(rgb, scaled_size(width, height, max_side), interpolation=cv2.INTER_AREA)


def pad(rgb, multiple=16, smallest=32):
    """``rgb`` reflected at the right and the bottom until both sides are multiples of ``multiple``.

    Four poolings need sides that divide by 16, and reflection padding at relu5_1 needs two
    positions a side, hence 32 pixels at least.
    """
    height, width = rgb.shape[:2]
    bottom = max(smallest, -(-height // multiple) * multiple) - height
    right = max(smallest, -(-width // multiple) * multiple) - width
    if not bottom and not right:
        return rgb
    # A side of one pixel has nothing to reflect; numpy repeats it.
    mode = "reflect" if min(height, width) > 1 else "edge"
    return np.pad(rgb, ((0, bottom), (0, right), (0, 0)), mode)
