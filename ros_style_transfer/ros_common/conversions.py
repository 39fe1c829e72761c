"""Image messages to arrays and back, by their fields alone: those of ROS 1, of ROS 2 and of bags; texts and numbers
that fit."""

import copy
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from ..errors import ImageError
from ..media import decoding


class Encoding(NamedTuple):
    """How the pixels of an image message are stored.

    Attributes:
        channels: of a pixel.
        dtype: of a channel: uint8 or uint16.
        to_rgb: OpenCV's conversion to RGB; None: they are RGB.
    """

    channels: int
    dtype: Any
    to_rgb: Optional[int]


def _table() -> Dict[str, Encoding]:
    colors = {
        "mono": (1, cv2.COLOR_GRAY2RGB),
        "rgb": (3, None),
        "bgr": (3, cv2.COLOR_BGR2RGB),
        "rgba": (4, cv2.COLOR_RGBA2RGB),
        "bgra": (4, cv2.COLOR_BGRA2RGB),
        # OpenCV names a pattern by the second and third pixel of its second row, ROS by its first row.
        "bayer_rggb": (1, cv2.COLOR_BayerBG2RGB),
        "bayer_bggr": (1, cv2.COLOR_BayerRG2RGB),
        "bayer_gbrg": (1, cv2.COLOR_BayerGR2RGB),
        "bayer_grbg": (1, cv2.COLOR_BayerGB2RGB),
    }
    depths = (("8", np.uint8), ("16", np.uint16))
    table = {
        name + depth: Encoding(channels, dtype, code)
        for name, (channels, code) in colors.items()
        for depth, dtype in depths
    }
    for names, code in (
        (("yuv422", "uyvy"), cv2.COLOR_YUV2RGB_UYVY),
        (("yuv422_yuy2", "yuyv"), cv2.COLOR_YUV2RGB_YUY2),
    ):
        table.update({name: Encoding(2, np.uint8, code) for name in names})
    # OpenCV's plain types carry no colour order; by convention they hold what imshow would show.
    table.update({"8UC1": table["mono8"], "8UC3": table["bgr8"]})
    return table


ENCODINGS = _table()
# Of depth and thermal cameras: numbers that are no brightness.
DEPTH_ENCODINGS = {"16UC1": "u2", "32FC1": "f4"}
_DEPTH_PERCENTILES = 1, 99  # the automatic range; a few wrong measurements must not decide it
MAX_TEXT = 10000  # characters
_MAX_FLOAT32 = float(np.finfo(np.float32).max)
_MAX_UINT32 = 2**32 - 1


def is_compressed(message: Any) -> bool:
    """Whether a message is a sensor_msgs/CompressedImage, not an Image."""
    return hasattr(message, "format")


def is_empty(message: Any) -> bool:
    """Whether an Image has no pixels, as image_publisher sends one whenever its clip rewinds."""
    return not is_compressed(message) and (message.width == 0 or message.height == 0)


def convert(rows: np.ndarray, message: Any) -> np.ndarray:
    """The pixels of an Image with one of `ENCODINGS`, by OpenCV: RGB uint8 ``[height, width, 3]``.

    Args:
        rows: uint8 ``[height, bytes]``, without padding.
        message: whose pixels these are.
    """
    encoding = ENCODINGS[message.encoding]
    pixels = np.ascontiguousarray(rows)
    if encoding.dtype == np.uint16:
        stored = np.dtype(np.uint16).newbyteorder(">" if message.is_bigendian else "<")
        pixels = pixels.view(stored).astype(np.uint16)
    pixels = pixels.reshape(message.height, message.width, encoding.channels)
    if encoding.to_rgb is not None:
        pixels = cv2.cvtColor(pixels, encoding.to_rgb)
    return pixels if pixels.dtype == np.uint8 else cv2.convertScaleAbs(pixels, alpha=255 / 65535)


DepthRange = Optional[Tuple[float, float]]


def to_rgb(
    message: Any,
    convert: Callable[[np.ndarray, Any], np.ndarray] = convert,
    depth_range: DepthRange = None,
    max_megapixels: float = 0.0,
) -> np.ndarray:
    """The picture of an Image or CompressedImage: RGB uint8 ``[height, width, 3]``.

    Args:
        convert: converts the pixels of an encoding other than rgb8 and bgr8, see `convert`.
        depth_range: what becomes black and white in images with one of `DEPTH_ENCODINGS`, in the message's unit;
            None: almost the smallest and the largest value of each image.  Where nothing was measured, it is black.
        max_megapixels: larger images are refused before they are decoded; 0: none is.

    Raises:
        ImageError: the encoding cannot be converted, the data does not fit the header, or it is too large.
    """
    if is_compressed(message):
        return _decode(message, max_megapixels)
    encoding, height, width = message.encoding, message.height, message.width
    _check_size(width, height, max_megapixels)
    if encoding in DEPTH_ENCODINGS:
        dtype = np.dtype((">" if message.is_bigendian else "<") + DEPTH_ENCODINGS[encoding])
        rows = _rows(message, width * dtype.itemsize)
        return depth_to_rgb(np.ascontiguousarray(rows).view(dtype).reshape(height, width), depth_range)
    if encoding not in ENCODINGS:
        raise ImageError(
            "cannot convert encoding %r to rgb8; use one of %s" % (encoding, ", ".join([*ENCODINGS, *DEPTH_ENCODINGS]))
        )
    if ENCODINGS[encoding].channels == 2 and width % 2:  # two pixels share their colour
        raise ImageError("an image of encoding %r must have an even width, not %d" % (encoding, width))
    rows = _rows(message, width * ENCODINGS[encoding].channels * np.dtype(ENCODINGS[encoding].dtype).itemsize)
    if encoding in ("rgb8", "bgr8", "8UC3"):  # the usual encodings of cameras need no library
        rgb = rows.reshape(height, width, 3)
        return np.ascontiguousarray(rgb if encoding == "rgb8" else rgb[:, :, ::-1])
    try:
        return np.ascontiguousarray(convert(rows, message))
    except (cv2.error, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ImageError("cannot convert encoding %r to rgb8: %s" % (encoding, error)) from None


def _rows(message: Any, row: int) -> np.ndarray:
    """The data of an Image, whose rows take ``row`` bytes without their padding: uint8 ``[height, row]``."""
    height = message.height
    if message.step < row or len(message.data) < message.step * (height - 1) + row:
        raise ImageError(
            "broken image: %dx%d %s with step %d needs %d bytes, got %d"
            % (
                message.width,
                height,
                message.encoding,
                message.step,
                max(message.step, row) * height,
                len(message.data),
            )
        )
    data = np.frombuffer(message.data, np.uint8)
    # A view: the last row may lack its padding, and a step of any size needs no memory.
    return np.lib.stride_tricks.as_strided(data, (height, row), (message.step, 1), writeable=False)


def _check_size(width: int, height: int, max_megapixels: float) -> None:
    megapixels = width * height / 1e6
    if max_megapixels and megapixels > max_megapixels:
        raise ImageError(
            "an image of %dx%d has %.1f megapixels; at most %g are accepted (~max_frame_megapixels)"
            % (width, height, megapixels, max_megapixels)
        )


def depth_to_rgb(values: np.ndarray, depth_range: DepthRange = None) -> np.ndarray:
    """Depths or temperatures as shades of grey: RGB uint8 ``[height, width, 3]``; see `to_rgb`.

    Args:
        values: ``[height, width]``.  Where nothing was measured, integers are 0 and floats not finite (REP 118).
    """
    measured = np.isfinite(values) if values.dtype.kind == "f" else values > 0
    if depth_range is None:
        sample = values[::2, ::2][measured[::2, ::2]] if values.size > 10**4 else values[measured]
        low, high = np.percentile(sample, _DEPTH_PERCENTILES) if sample.size else (0.0, 1.0)
    else:
        low, high = depth_range
    grey = np.where(measured, values, low).astype(np.float64)
    grey = np.clip((grey - low) * (255 / max(high - low, 1e-12)), 0, 255) + 0.5
    return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)


def _decode(message: Any, max_megapixels: float) -> np.ndarray:
    data = bytes(message.data)
    name = "(format %r, %d bytes)" % (message.format[:80], len(data))
    with decoding.opened(data, name, "compressed image") as picture:  # this reads the header alone
        size = picture.size
    _check_size(*size, max_megapixels)
    try:
        # EXIF orientation is meant for viewers: the geometry of a camera is in its camera_info.
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except (cv2.error, MemoryError):
        bgr = None
    if bgr is None:
        raise ImageError("cannot read the compressed image %s: it is damaged" % name)
    return np.ascontiguousarray(bgr[:, :, ::-1])


def to_labels(message: Any, max_megapixels: float = 0.0) -> np.ndarray:
    """The labels of a mask's message, mono8 or 8UC1: uint8 ``[height, width]``; see `to_rgb`.

    Raises:
        ImageError: it has another encoding, its data does not fit the header, or it is too large.
    """
    if message.encoding not in ("mono8", "8UC1"):
        raise ImageError("a mask must be mono8 or 8UC1, one label per pixel, not %r" % message.encoding)
    return np.ascontiguousarray(to_rgb(message, max_megapixels=max_megapixels)[:, :, 0])


def compress(rgb: np.ndarray, file_format: str = "jpeg", quality: int = 80) -> Tuple[str, bytes]:
    """RGB uint8 ``[height, width, 3]`` as the fields ``format`` and ``data`` of a CompressedImage.

    Args:
        file_format: one of `params.FORMATS`.
        quality: of JPEG, 1 to 100.

    Raises:
        ImageError: the format cannot hold a picture of this size.
    """
    extension, options = (
        (".png", [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if file_format == "png"
        else (".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])
    )
    encoded, data = cv2.imencode(extension, rgb[:, :, ::-1], options)
    if not encoded:
        raise ImageError("a frame of %dx%d cannot be encoded as %s" % (rgb.shape[1], rgb.shape[0], file_format))
    # As image_transport's C++ plugin writes it: the encoding before, and that of the compressed data.
    return "rgb8; %s compressed bgr8" % file_format, data.tobytes()


def format_of(message: Any) -> str:
    """The file format of a CompressedImage, as `compress` takes it; jpeg for all but PNG."""
    return "png" if bytes(message.data[:4]) == b"\x89PNG" else "jpeg"


def scale_info(info: Any, header: Any, scale_x: float, scale_y: float) -> Any:
    """The CameraInfo under ``header`` of a picture that is ``scale_x`` and ``scale_y`` times as wide and high.

    As image_proc's resize does it, the focal lengths and centres of K and P, the region of interest and the size
    are scaled.
    """
    scaled = copy.copy(info)
    scaled.header = header
    scaled.width = int(round(info.width * scale_x))
    scaled.height = int(round(info.height * scale_y))
    factors = np.array([[scale_x], [scale_y], [1.0]])
    for name in ("K", "P"):
        name = name if hasattr(info, name) else name.lower()  # as ROS 2 has it
        setattr(scaled, name, tuple((np.reshape(getattr(info, name), (3, -1)) * factors).ravel()))
    scaled.roi = copy.copy(info.roi)
    for name, factor in (("x_offset", scale_x), ("width", scale_x), ("y_offset", scale_y), ("height", scale_y)):
        setattr(scaled.roi, name, int(round(getattr(info.roi, name) * factor)))
    return scaled


def to_text(text: str) -> str:
    """``text`` as a message can hold it: what is not UTF-8, as in some file names, is replaced by '?'.

    Text that is too long for an answer, such as a name of megabytes in a request, is cut off.
    """
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT] + "..."
    return text.encode("utf-8", "replace").decode("utf-8")


def to_float32(number: float) -> float:
    """``number`` within the range of a float32 field."""
    return max(-_MAX_FLOAT32, min(_MAX_FLOAT32, float(number)))


def to_uint32(number: int) -> int:
    """``number`` within the range of a uint32 field."""
    return max(0, min(_MAX_UINT32, int(number)))
