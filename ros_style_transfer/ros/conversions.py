"""Messages to arrays and back: sensor_msgs/Image, CompressedImage and CameraInfo; texts and numbers that fit."""

import copy
import io
from typing import Union

import cv2
import numpy as np
from cv_bridge import CvBridge, CvBridgeError
from PIL import Image as Picture
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from ..errors import ImageError

_BRIDGE = CvBridge()
# OpenCV's plain types carry no colour order; by convention they hold what imshow would show.
_IMPLIED_ENCODINGS = {"8UC1": "mono8", "8UC3": "bgr8"}
# Bytes per pixel of the encodings whose rows cv_bridge reads without regard to `step`.
_BYTES_PER_PIXEL = {
    "mono8": 1,
    "8UC1": 1,
    "bgr8": 3,
    "rgb8": 3,
    "8UC3": 3,
    "bgra8": 4,
    "rgba8": 4,
    "mono16": 2,
    "bayer_rggb8": 1,
    "bayer_bggr8": 1,
    "bayer_gbrg8": 1,
    "bayer_grbg8": 1,
    "yuv422": 2,
    "bgr16": 6,
    "rgb16": 6,
    "bgra16": 8,
    "rgba16": 8,
    "bayer_rggb16": 2,
    "bayer_bggr16": 2,
    "bayer_gbrg16": 2,
    "bayer_grbg16": 2,
}
_MAX_FLOAT32 = float(np.finfo(np.float32).max)
_MAX_UINT32 = 2**32 - 1


def is_empty(message: Union[Image, CompressedImage]) -> bool:
    """Whether an Image has no pixels, as image_publisher sends one whenever its clip rewinds."""
    return isinstance(message, Image) and (message.width == 0 or message.height == 0)


def to_rgb(message: Union[Image, CompressedImage]) -> np.ndarray:
    """The picture of an image message: RGB uint8 ``[height, width, 3]``.

    Raises:
        ImageError: the encoding cannot be converted to rgb8, or the data does not fit the header.
    """
    if isinstance(message, CompressedImage):
        return _decode(message)
    encoding, height, width = message.encoding, message.height, message.width
    if encoding in _BYTES_PER_PIXEL:
        row = width * _BYTES_PER_PIXEL[encoding]
        if message.step < row or len(message.data) < message.step * (height - 1) + row:
            raise ImageError(
                "broken image: %dx%d %s with step %d needs %d bytes, got %d"
                % (width, height, encoding, message.step, max(message.step, row) * height, len(message.data))
            )
        if message.step > row or len(message.data) > row * height:
            message = _strip_padding(message, row)
        if encoding in ("rgb8", "bgr8", "8UC3"):  # the usual encodings of cameras need no library
            rgb = np.frombuffer(message.data, np.uint8).reshape(height, width, 3)
            return np.ascontiguousarray(rgb if encoding == "rgb8" else rgb[:, :, ::-1])
    try:
        bridged = Image(
            message.header,
            height,
            width,
            _IMPLIED_ENCODINGS.get(encoding, encoding),
            message.is_bigendian,
            message.step,
            message.data,
        )
        return np.ascontiguousarray(_BRIDGE.imgmsg_to_cv2(bridged, "rgb8"))
    except (CvBridgeError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ImageError("cannot convert encoding %r to rgb8: %s" % (encoding, error)) from None


def _decode(message: CompressedImage) -> np.ndarray:
    data, reason = bytes(message.data), "it is damaged, or of an unknown format"
    try:
        with Picture.open(io.BytesIO(data)):
            pass  # this reads the header alone, and refuses a size that would exhaust memory
        # EXIF orientation is meant for viewers: the geometry of a camera is in its camera_info.
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if bgr is not None:
            return np.ascontiguousarray(bgr[:, :, ::-1])
    except Picture.DecompressionBombError as error:
        reason = str(error)
    except (OSError, ValueError, SyntaxError, cv2.error):
        pass
    raise ImageError("cannot decode a compressed image (format %r, %d bytes): %s" % (message.format, len(data), reason))


def to_labels(message: Image) -> np.ndarray:
    """The labels of a mask's message, mono8 or 8UC1: uint8 ``[height, width]``.

    Raises:
        ImageError: it has another encoding, or its data does not fit the header.
    """
    if message.encoding not in ("mono8", "8UC1"):
        raise ImageError("a mask must be mono8 or 8UC1, one label per pixel, not %r" % message.encoding)
    return np.ascontiguousarray(to_rgb(message)[:, :, 0])


def _strip_padding(message: Image, row: int) -> Image:
    """The message without the padding of its rows, which cv_bridge would take for pixels."""
    data = np.frombuffer(message.data, np.uint8)
    # A view: the last row may lack its padding, and a step of any size needs no memory.
    data = np.lib.stride_tricks.as_strided(data, (message.height, row), (message.step, 1), writeable=False)
    return Image(
        message.header, message.height, message.width, message.encoding, message.is_bigendian, row, data.tobytes()
    )


def to_message(rgb: np.ndarray, header: Header) -> Image:
    """RGB uint8 ``[height, width, 3]`` as a sensor_msgs/Image under ``header``."""
    height, width = rgb.shape[:2]
    return Image(header, height, width, "rgb8", 0, 3 * width, rgb.tobytes())


def to_compressed(rgb: np.ndarray, header: Header, file_format: str = "jpeg", quality: int = 80) -> CompressedImage:
    """RGB uint8 ``[height, width, 3]`` as a sensor_msgs/CompressedImage.

    Args:
        file_format: one of `params.FORMATS`.
        quality: of JPEG, 1 to 100.
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
    return CompressedImage(header, "rgb8; %s compressed bgr8" % file_format, data.tobytes())


def scale_info(info: CameraInfo, header: Header, scale_x: float, scale_y: float) -> CameraInfo:
    """The CameraInfo under ``header`` of a picture that is ``scale_x`` and ``scale_y`` times as wide and high.

    As image_proc's resize does it, the focal lengths and centres of K and P, the region of interest and the size
    are scaled.
    """
    scaled = copy.copy(info)
    scaled.header = header
    scaled.width = int(round(info.width * scale_x))
    scaled.height = int(round(info.height * scale_y))
    factors = np.array([[scale_x], [scale_y], [1.0]])
    scaled.K = tuple((np.reshape(info.K, (3, 3)) * factors).ravel())
    scaled.P = tuple((np.reshape(info.P, (3, 4)) * factors).ravel())
    scaled.roi = copy.copy(info.roi)
    for name, factor in (("x_offset", scale_x), ("width", scale_x), ("y_offset", scale_y), ("height", scale_y)):
        setattr(scaled.roi, name, int(round(getattr(info.roi, name) * factor)))
    return scaled


def to_text(text: str) -> str:
    """``text`` as a message can hold it: what is not UTF-8, as in some file names, is replaced by '?'."""
    return text.encode("utf-8", "replace").decode("utf-8")


def to_float32(number: float) -> float:
    """``number`` within the range of a float32 field."""
    return max(-_MAX_FLOAT32, min(_MAX_FLOAT32, float(number)))


def to_uint32(number: int) -> int:
    """``number`` within the range of a uint32 field."""
    return max(0, min(_MAX_UINT32, int(number)))
