"""The benchmark's graph for ROS 1; see `ros_common.benchmark`."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable, Mapping, Sequence

import numpy as np
import rosgraph
import rospy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ros_style_transfer.msg import StyleStatus

from ..cli.common import report_errors
from ..errors import StyleTransferError
from ..ros_common import benchmark
from ..ros_common.benchmark import START_TIMEOUT, end
from . import conversions

NODE = "/style_transfer"


class Graph(benchmark.Graph):
    """A ROS master on a free port, for this process and its children."""

    def __enter__(self) -> "Graph":
        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        self._logs = tempfile.TemporaryDirectory()
        os.environ.update(
            ROS_MASTER_URI="http://localhost:%d" % port, ROS_HOSTNAME="localhost", ROS_LOG_DIR=self._logs.name
        )
        try:
            self._master = subprocess.Popen(
                ["roscore", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except FileNotFoundError:
            raise StyleTransferError("roscore was not found; source ROS first, or use ./bootstrap.sh run") from None
        deadline = time.monotonic() + START_TIMEOUT
        while not rosgraph.is_master_online():
            if self._master.poll() is not None or time.monotonic() > deadline:
                raise StyleTransferError("roscore did not start")
            time.sleep(0.05)
        rospy.init_node("benchmark", disable_signals=True, anonymous=True)
        return self

    def __exit__(self, *_: Any) -> None:
        rospy.signal_shutdown("measured")
        end(self._master)
        self._logs.cleanup()

    def start_node(self, parameters: Mapping[str, Any]) -> "subprocess.Popen[Any]":
        arguments = ["_%s:=%s" % pair for pair in parameters.items()]
        path = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "nodes", "style_transfer_node")
        # In the source tree the node is in a known place; installed, ROS finds it.
        command = (
            [sys.executable, path] if os.path.exists(path) else ["rosrun", "ros_style_transfer", os.path.basename(path)]
        )
        return subprocess.Popen(command + arguments, stdout=subprocess.DEVNULL)

    def status(self, timeout: float) -> Any:
        try:
            return rospy.wait_for_message(NODE + "/status", StyleStatus, timeout)
        except rospy.ROSException:
            return None

    def open(
        self, frames: Sequence[np.ndarray], receive: Callable[[int], Any], on_status: Callable[[Any], Any]
    ) -> None:
        self._frames = [conversions.to_message(frame, Header(frame_id="camera")) for frame in frames]
        self._camera = rospy.Publisher("image", Image, queue_size=2)
        self._subscribers = [
            rospy.Subscriber(
                NODE + "/image",
                Image,
                lambda message: receive(message.header.stamp.to_nsec()),
                queue_size=10,
                buff_size=2**26,
                tcp_nodelay=True,
            ),
            rospy.Subscriber(NODE + "/status", StyleStatus, on_status),
        ]

    def is_connected(self) -> bool:
        return self._camera.get_num_connections() > 0

    def send(self, number: int) -> int:
        message = self._frames[number]
        message.header.stamp = rospy.Time.from_sec(time.time())
        self._camera.publish(message)
        return message.header.stamp.to_nsec()

    def close(self) -> None:
        for subscriber in self._subscribers:
            subscriber.unregister()
        self._camera.unregister()


if __name__ == "__main__":
    report_errors(lambda: benchmark.measure(Graph, **json.loads(sys.argv[1])))
