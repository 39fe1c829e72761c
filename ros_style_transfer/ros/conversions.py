"""Image messages to arrays, by cv_bridge, and back."""

import functools
from typing import Callable, Union

import numpy as np
from cv_bridge import CvBridge, CvBridgeError
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from ..ros_common import conversions
from ..ros_common.conversions import is_empty, scale_info, to_float32, to_labels, to_text, to_uint32
from ..ros_common.params import Parameters

__all__ = [
    "decoder",
    "is_empty",
    "mask_decoder",
    "scale_info",
    "to_compressed",
    "to_float32",
    "to_labels",
    "to_message",
    "to_rgb",
    "to_text",
    "to_uint32",
]

_BRIDGE = CvBridge()
_NAMES = {"8UC1": "mono8", "8UC3": "bgr8", "uyvy": "yuv422"}  # for cv_bridge
_UNKNOWN = ("yuyv", "yuv422_yuy2")  # to the cv_bridge of Noetic


def to_rgb(
    message: Union[Image, CompressedImage], depth_range: conversions.DepthRange = None, max_megapixels: float = 0.0
) -> np.ndarray:
    """See `ros_common.conversions.to_rgb`."""
    return conversions.to_rgb(message, _convert, depth_range, max_megapixels)


def decoder(parameters: Parameters) -> Callable[[Union[Image, CompressedImage]], np.ndarray]:
    """`to_rgb` as the node's parameters say."""
    return functools.partial(to_rgb, depth_range=parameters.depth_range, max_megapixels=parameters.max_frame_megapixels)


def mask_decoder(parameters: Parameters) -> Callable[[Image], np.ndarray]:
    """`to_labels` as the node's parameters say."""
    return functools.partial(to_labels, max_megapixels=parameters.max_frame_megapixels)


def _convert(rows: np.ndarray, message: Image) -> np.ndarray:
    if message.encoding in _UNKNOWN:
        return conversions.convert(rows, message)
    name = _NAMES.get(message.encoding, message.encoding)
    # cv_bridge reads the padding of rows as pixels, so it gets them without.
    bare = Image(
        message.header, message.height, message.width, name, bool(message.is_bigendian), rows.shape[1], rows.tobytes()
    )
    try:
        return _BRIDGE.imgmsg_to_cv2(bare, "rgb8")
    except CvBridgeError as error:
        raise ValueError(str(error)) from None


def to_message(rgb: np.ndarray, header: Header) -> Image:
    """RGB uint8 ``[height, width, 3]`` as a sensor_msgs/Image under ``header``."""
    height, width = rgb.shape[:2]
    return Image(header, height, width, "rgb8", 0, 3 * width, rgb.tobytes())


def to_compressed(rgb: np.ndarray, header: Header, file_format: str = "jpeg", quality: int = 80) -> CompressedImage:
    """RGB uint8 ``[height, width, 3]`` as a sensor_msgs/CompressedImage; see `ros_common.conversions.compress`."""
    return CompressedImage(header, *conversions.compress(rgb, file_format, quality))
