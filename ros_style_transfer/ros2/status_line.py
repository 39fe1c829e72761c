"""The status of a node as one line per second, for machines without a display."""

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image

from ros_style_transfer.msg import StyleStatus

from ..ros_common.status_text import status_text


def main() -> None:
    """Print until shutdown."""
    rclpy.init()
    node = Node("status_line")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(StyleStatus, "status", lambda status: print(status_text(status), flush=True), latched)
    # The node paints only while something subscribes; the pictures are not used here.
    node.create_subscription(Image, "image", lambda message: None, 1)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
