"""A ROS 2 graph of the tests' own: the node as a process, and a client that sends frames and asks for things."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.ros2.conversions import to_message

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
NODES = os.path.join(ROOT, "ros_style_transfer", "ros2", "nodes")
TIMEOUT = 180.0  # seconds until something must have happened, however busy the machine is
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Process:
    """A node of ours as a process, with its output as text once it has ended."""

    def __init__(self, program, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(NODES, program), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines = []
        self._reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self._reader.start()

    def wait(self):
        """The exit code."""
        code = self.process.wait(TIMEOUT)
        self._reader.join(5)
        return code

    def end(self, number=signal.SIGTERM):
        """Send a signal; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()


def start(name="style_transfer", remap=(), **parameters):
    """The node as a process."""
    arguments = ["--ros-args", "-r", "__node:=" + name]
    for pair in dict(remap).items():
        arguments += ["-r", "%s:=%s" % pair]
    for pair in dict(dict(model="lite", style="mosaic"), **parameters).items():
        arguments += ["-p", "%s:=%s" % pair]
    return Process("style_transfer_node", *arguments)


class Client:
    """A node in this process whose callbacks are executed in a thread."""

    def __init__(self, name="client"):
        self.node = Node(name)
        self._subscriptions = []
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.thread.start()

    def _spin(self):
        try:
            self.executor.spin()
        except ExternalShutdownException:
            pass

    def close(self):
        self.executor.shutdown()
        self.thread.join(5)
        self.node.destroy_node()

    def listen(self, kind, topic, qos=10):
        """A list that receives the messages of ``topic``, until `forget`."""
        messages = []
        self._subscriptions.append(self.node.create_subscription(kind, topic, messages.append, qos))
        return messages

    def forget(self):
        """End what `listen` has begun."""
        while self._subscriptions:
            self.node.destroy_subscription(self._subscriptions.pop())

    def call(self, kind, service, **fields):
        """The response of a service."""
        client = self.node.create_client(kind, service)
        assert client.wait_for_service(TIMEOUT), service
        return result_of(client.call_async(kind.Request(**fields)))

    def status(self, name="style_transfer"):
        """A list that receives the node's status."""
        return self.listen(StyleStatus, "/%s/status" % name, LATCHED)

    def now(self):
        return self.node.get_clock().now().to_msg()


def result_of(future):
    """The result of an rclpy future that another thread completes."""
    wait_for(future.done)
    return future.result()


def wait_for(condition, timeout=TIMEOUT):
    """Wait until ``condition()`` is true, and return what it returned."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("not within %g s" % timeout)


def frame(rgb, stamp, frame_id="lens"):
    """A picture as a message."""
    return to_message(rgb, Header(stamp=stamp, frame_id=frame_id))


def picture(width, height, seed=0):
    """A picture with smooth regions and edges."""
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([255 * x / width, 255 * y / height, 128 + 0 * x], -1)
    rgb[height // 4 : height // 2, (seed * 7) % width :] = 220, 30, 60
    return rgb.astype(np.uint8)


class Camera:
    """Publishes pictures on a topic, as fast as asked, in a thread; a context."""

    def __init__(self, client, topic="/camera/image_raw", rate=10.0, rgb=None, kind=Image):
        self.client, self.topic, self.rate, self.kind = client, topic, rate, kind
        self.rgb = picture(64, 48) if rgb is None else rgb
        self.sent = []  # stamps
        self.publisher = client.node.create_publisher(kind, topic, 10)
        self._stop = threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def _run(self):
        while not self._stop.wait(1 / self.rate):
            self.send()

    def send(self, message=None):
        """Send a frame now; its stamp."""
        stamp = self.client.now()
        message = frame(self.rgb, stamp) if message is None else message
        message.header.stamp = stamp
        self.publisher.publish(message)
        self.sent.append((stamp.sec, stamp.nanosec))
        return stamp

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(5)
        self.client.node.destroy_publisher(self.publisher)


def stamps(messages):
    return [(message.header.stamp.sec, message.header.stamp.nanosec) for message in messages]


def init():
    """Start rclpy in this process, on the tests' own domain."""
    if not rclpy.ok():
        rclpy.init()
