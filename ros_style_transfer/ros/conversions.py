"""sensor_msgs/Image and CompressedImage to RGB arrays and back."""
import cv2
import numpy as np
from cv_bridge import CvBridge, CvBridgeError
from sensor_msgs.msg import CompressedImage, Image

from ..errors import ImageError

BUFFER = 2**26  # bytes for a subscriber; a smaller one than a frame makes rospy lag behind (ros_comm#536)
_BRIDGE = CvBridge()
# OpenCV's plain types carry no colour meaning; by custom they hold what imshow would show.
_MEANT = {"8UC1": "mono8", "8UC3": "bgr8"}
# Bytes of a pixel for encodings whose rows cv_bridge reads without regard to `step`.
_BYTES = {"mono8": 1, "8UC1": 1, "bgr8": 3, "rgb8": 3, "8UC3": 3, "bgra8": 4, "rgba8": 4, "mono16": 2,
          "bayer_rggb8": 1, "bayer_bggr8": 1, "bayer_gbrg8": 1, "bayer_grbg8": 1, "yuv422": 2,
          "bgr16": 6, "rgb16": 6, "bgra16": 8, "rgba16": 8,
          "bayer_rggb16": 2, "bayer_bggr16": 2, "bayer_gbrg16": 2, "bayer_grbg16": 2}


def is_empty(message):
    """Whether a message holds no picture at all, as image_publisher sends when its clip rewinds."""
    return message.width == 0 or message.height == 0


def to_rgb(message):
    """The picture of a sensor_msgs/Image: RGB uint8 ``[height, width, 3]``.

    Raises:
        ImageError: the encoding cannot be turned into rgb8, or the data does not fit the header.
    """
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


def _unpadded(message, row):
    """The message with its rows' padding cut off, which cv_bridge would take for pixels."""
    data = np.frombuffer(message.data, np.uint8)
    data = np.resize(data, message.step * message.height).reshape(message.height, message.step)[:, :row]
    return Image(message.header, message.height, message.width, message.encoding,
                 message.is_bigendian, row, data.tobytes())


def to_message(rgb, header):
    """RGB uint8 ``[height, width, 3]`` as a sensor_msgs/Image under ``header``."""
    height, width = rgb.shape[:2]
    return Image(header, height, width, "rgb8", 0, 3 * width, rgb.tobytes())


def compressed_to_rgb(message):
    """The picture of a sensor_msgs/CompressedImage: RGB uint8 ``[height, width, 3]``, where the camera saw it
    (EXIF's orientation is left out).

    Raises:
        ImageError: the data is damaged, or of a format that OpenCV cannot read.
    """
    try:
        bgr = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:  # no data at all, or sides beyond all bounds
        bgr = None
    if bgr is None:
        raise ImageError("cannot decode %d bytes of the format %r" % (len(message.data), message.format))
    return np.ascontiguousarray(bgr[:, :, ::-1])


def to_compressed(rgb, original):
    """RGB uint8 ``[height, width, 3]`` as a sensor_msgs/CompressedImage like ``original``: under its header, PNG
    if that is, else JPEG; described as image_transport does."""
    png = original.data[:4] == b"\x89PNG"
    _, data = cv2.imencode(".png" if png else ".jpg", rgb[:, :, ::-1])
    return CompressedImage(original.header, "rgb8; %s compressed bgr8" % ("png" if png else "jpeg"), data.tobytes())
