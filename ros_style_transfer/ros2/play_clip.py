"""``play_clip CLIP``: a clip as a camera, on the topic ``image``, again and again."""

import sys
from typing import List, Optional

import cv2
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ..cli.common import report_errors
from ..errors import ImageError
from .conversions import to_message


class ClipPlayer(Node):
    """Publishes the frames of a clip.

    Parameters: ``rate``, frames per second; ``frame_id`` of the frames.

    Args:
        path: of the clip.

    Raises:
        ImageError: it cannot be read.
    """

    def __init__(self, path: str) -> None:
        super().__init__("camera")
        self._path = path
        self._clip = cv2.VideoCapture(path)
        if not self._clip.isOpened():
            raise ImageError("cannot read the clip %s" % path)
        self._frame_id = self.declare_parameter("frame_id", "camera").value
        rate = self.declare_parameter("rate", 10.0).value
        if not 0 < rate <= 1000:
            raise ImageError("rate must be above 0 and at most 1000, not %g" % rate)
        self._publisher = self.create_publisher(Image, "image", 1)
        self.create_timer(1 / rate, self._publish)

    def _publish(self) -> None:
        read, bgr = self._clip.read()
        if not read:  # the end: rewind
            self._clip.set(cv2.CAP_PROP_POS_FRAMES, 0)
            return
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._frame_id)
        self._publisher.publish(to_message(bgr[:, :, ::-1], header))


def main(arguments: Optional[List[str]] = None) -> None:
    """Run until shutdown."""
    given = remove_ros_args(arguments or sys.argv)[1:]

    def run() -> None:
        if len(given) != 1:
            raise ImageError("give the path of one clip: play_clip CLIP [--ros-args ...]")
        rclpy.init(args=arguments)
        rclpy.spin(ClipPlayer(given[0]))

    try:
        report_errors(run)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
