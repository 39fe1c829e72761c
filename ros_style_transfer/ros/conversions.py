"""Messages to RGB arrays and back: sensor_msgs/Image, CompressedImage and CameraInfo."""
import copy
import io

import cv2
import numpy as np
from cv_bridge import CvBridge, CvBridgeError
from PIL import Image as Picture
from sensor_msgs.msg import CompressedImage, Image

from ..errors import ImageError

FORMATS = ("jpeg", "png")  # of compressed images

_BRIDGE = CvBridge()
# OpenCV's plain types carry no colour meaning; by custom they hold what imshow would show.
_MEANT = {"8UC1": "mono8", "8UC3": "bgr8"}
# Bytes of a pixel for encodings whose rows cv_bridge reads without regard to `step`.
_BYTES = {"mono8": 1, "8UC1": 1, "bgr8": 3, "rgb8": 3, "8UC3": 3, "bgra8": 4, "rgba8": 4, "mono16": 2,
          "bayer_rggb8": 1, "bayer_bggr8": 1, "bayer_gbrg8": 1, "bayer_grbg8": 1, "yuv422": 2,
          "bgr16": 6, "rgb16": 6, "bgra16": 8, "rgba16": 8,
          "bayer_rggb16": 2, "bayer_bggr16": 2, "bayer_gbrg16": 2, "bayer_grbg16": 2}


def is_empty(message):
    """Whether an Image holds no picture at all, as image_publisher sends when its clip rewinds."""
    return isinstance(message, Image) and (message.width == 0 or message.height == 0)


def to_rgb(message):
    """The picture of a sensor_msgs/Image or CompressedImage: RGB uint8 ``[height, width, 3]``.

    Raises:
        ImageError: the encoding cannot be turned into rgb8, or the data does not fit the header.
    """
    if isinstance(message, CompressedImage):
        return _decoded(message)
    encoding, height, width = message.encoding, message.height, message.width
    if encoding in _BYTES:
        row = width * _BYTES[encoding]
        if message.step < row or len(message.data) < message.step * (height - 1) + row:
            raise ImageError("broken image: %dx%d %s with step %d needs %d bytes, got %d" % (
                width, height, encoding, message.step, max(message.step, row) * height, len(message.data)))
        if message.step > row or len(message.data) > row * height:
            message = _unpadded(message, row)
        if encoding in ("rgb8", "bgr8", "8UC3"):  # the camera's usual case needs no library
            rgb = np.frombuffer(message.data, np.uint8).reshape(height, width, 3)
            return np.ascontiguousarray(rgb if encoding == "rgb8" else rgb[:, :, ::-1])
    try:
        bridged = Image(message.header, height, width, _MEANT.get(encoding, encoding),
                        message.is_bigendian, message.step, message.data)
        return np.ascontiguousarray(_BRIDGE.imgmsg_to_cv2(bridged, "rgb8"))
    except (CvBridgeError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ImageError("cannot turn encoding %r into rgb8: %s" % (encoding, error)) from None


def _decoded(message):
    data, reason = bytes(message.data), "it is damaged or of no known kind"
    try:
        with Picture.open(io.BytesIO(data)):
            pass  # it reads the header alone, and refuses a size that would fill the memory
        # EXIF's orientation is for pictures that people look at: a camera's geometry is in its camera_info.
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if bgr is not None:
            return np.ascontiguousarray(bgr[:, :, ::-1])
    except Picture.DecompressionBombError as error:
        reason = str(error)
    except (OSError, ValueError, SyntaxError, cv2.error):
        pass
    raise ImageError("cannot decode a compressed image (format %r, %d bytes): %s" % (message.format, len(data), reason))


def to_labels(message):
    """The labels of a mask's message, mono8 or 8UC1: uint8 ``[height, width]``.

    Raises:
        ImageError: it has another encoding, or its data does not fit the header.
    """
    if message.encoding not in ("mono8", "8UC1"):
        raise ImageError("a mask must come as mono8 or 8UC1, a label each pixel, not %r" % message.encoding)
    return np.ascontiguousarray(to_rgb(message)[:, :, 0])


def _unpadded(message, row):
    """The message with its rows' padding cut off, which cv_bridge would take for pixels."""
    data = np.frombuffer(message.data, np.uint8)
    # A view: the last row may come without its padding, and a step of any size costs no memory.
    data = np.lib.stride_tricks.as_strided(data, (message.height, row), (message.step, 1), writeable=False)
    return Image(message.header, message.height, message.width, message.encoding,
                 message.is_bigendian, row, data.tobytes())


def to_message(rgb, header):
    """RGB uint8 ``[height, width, 3]`` as a sensor_msgs/Image under ``header``."""
    height, width = rgb.shape[:2]
    return Image(header, height, width, "rgb8", 0, 3 * width, rgb.tobytes())


def to_compressed(rgb, header, kind="jpeg", quality=80):
    """RGB uint8 ``[height, width, 3]`` as a sensor_msgs/CompressedImage, ``jpeg`` (``quality`` 1 to 100) or ``png``."""
    ending, options = (".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]) if kind == "png" else (
        ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])
    done, data = cv2.imencode(ending, rgb[:, :, ::-1], options)
    if not done:
        raise ImageError("a frame of %dx%d cannot be written as %s" % (rgb.shape[1], rgb.shape[0], kind))
    # What image_transport's plugin for C++ writes: the encoding before, and that of the compressed data.
    return CompressedImage(header, "rgb8; %s compressed bgr8" % kind, data.tobytes())


def scaled_info(info, header, across, down):
    """The CameraInfo of a picture whose sides are ``across`` and ``down`` times the camera's, under ``header``.

    As image_proc's resize does it: focal lengths and centres of K and P, the region of interest and the size change.
    """
    scaled = copy.copy(info)
    scaled.header = header
    scaled.width, scaled.height = int(round(info.width * across)), int(round(info.height * down))
    across_and_down = np.array([[across], [down], [1.0]])
    scaled.K = tuple((np.reshape(info.K, (3, 3)) * across_and_down).ravel())
    scaled.P = tuple((np.reshape(info.P, (3, 4)) * across_and_down).ravel())
    scaled.roi = copy.copy(info.roi)
    for name, factor in (("x_offset", across), ("width", across), ("y_offset", down), ("height", down)):
        setattr(scaled.roi, name, int(round(getattr(info.roi, name) * factor)))
    return scaled
