"""The benchmark's graph for ROS 2; see `ros_common.benchmark`."""

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any, Callable, List, Mapping, Sequence

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ros_style_transfer.msg import StyleStatus

from ..cli.common import report_errors
from ..ros_common import benchmark
from . import conversions

NODE = "/style_transfer"
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Graph(benchmark.Graph):
    """A domain of its own, for this process and its children."""

    def __enter__(self) -> "Graph":
        os.environ["ROS_DOMAIN_ID"] = str(os.getpid() % 100)
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        rclpy.init()
        self._node = Node("benchmark")
        self._entities: List[Any] = []
        self._statuses: List[StyleStatus] = []
        self._listener: Callable[[Any], Any] = self._statuses.append
        self._node.create_subscription(StyleStatus, NODE + "/status", self._on_status, _LATCHED)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        return self

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def _on_status(self, status: StyleStatus) -> None:
        self._statuses[:] = [status]
        self._listener(status)

    def __exit__(self, *_: Any) -> None:
        rclpy.shutdown()
        self._thread.join(5)

    def start_node(self, parameters: Mapping[str, Any]) -> "subprocess.Popen[Any]":
        self._statuses.clear()
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nodes", "style_transfer_node")
        command = [sys.executable, path] if os.path.exists(path) else ["style_transfer_node"]
        arguments = [part for pair in parameters.items() for part in ("-p", "%s:=%s" % pair)]
        return subprocess.Popen([*command, "--ros-args", *arguments], stdout=subprocess.DEVNULL)

    def status(self, timeout: float) -> Any:
        deadline = time.monotonic() + timeout
        self._statuses.clear()
        while not self._statuses and time.monotonic() < deadline:
            time.sleep(0.02)
        return self._statuses[-1] if self._statuses else None

    def open(
        self, frames: Sequence[np.ndarray], receive: Callable[[int], Any], on_status: Callable[[Any], Any]
    ) -> None:
        self._frames = [conversions.to_message(frame, Header(frame_id="camera")) for frame in frames]
        self._listener = on_status
        self._camera = self._node.create_publisher(Image, "image", 2)
        self._images = self._node.create_subscription(
            Image, NODE + "/image", lambda message: receive(_nanoseconds(message.header.stamp)), 10
        )

    def is_connected(self) -> bool:
        return self._camera.get_subscription_count() > 0

    def send(self, number: int) -> int:
        message = self._frames[number]
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(time.time_ns(), 10**9)
        self._camera.publish(message)
        return _nanoseconds(message.header.stamp)

    def close(self) -> None:
        self._listener = lambda status: None
        self._node.destroy_subscription(self._images)
        self._node.destroy_publisher(self._camera)


def _nanoseconds(stamp: Any) -> int:
    return stamp.sec * 10**9 + stamp.nanosec


if __name__ == "__main__":
    report_errors(lambda: benchmark.measure(Graph, **json.loads(sys.argv[1])))
