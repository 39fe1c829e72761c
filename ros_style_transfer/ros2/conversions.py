"""Pictures to messages; `ros_common.conversions` reads them."""

import array

import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from ..ros_common import conversions


def to_message(rgb: np.ndarray, header: Header) -> Image:
    """RGB uint8 ``[height, width, 3]`` as a sensor_msgs/Image under ``header``."""
    height, width = rgb.shape[:2]
    message = Image(header=header, height=height, width=width, encoding="rgb8", step=3 * width)
    message.data = _bytes(rgb.tobytes())
    return message


def to_compressed(rgb: np.ndarray, header: Header, file_format: str = "jpeg", quality: int = 80) -> CompressedImage:
    """RGB uint8 ``[height, width, 3]`` as a sensor_msgs/CompressedImage; see `ros_common.conversions.compress`."""
    name, data = conversions.compress(rgb, file_format, quality)
    message = CompressedImage(header=header, format=name)
    message.data = _bytes(data)
    return message


def _bytes(data: bytes) -> "array.array[int]":
    """``data`` as the type that a message takes as it is; of others it checks every byte."""
    return array.array("B", data)


def seconds(stamp) -> float:  # type: ignore[no-untyped-def]
    """A builtin_interfaces/Time in seconds."""
    return stamp.sec + 1e-9 * stamp.nanosec
