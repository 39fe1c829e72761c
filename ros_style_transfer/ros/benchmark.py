"""The node end to end: a ROS graph of its own, a camera that sends frames, a program that receives them.

``python -m ros_style_transfer benchmark ros`` starts this as a program; its argument holds those of `measure` in JSON.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import rosgraph
import rospy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ros_style_transfer.msg import StyleStatus

from ..benchmark import measure as limits
from ..benchmark.painting import STYLE, scene
from ..cli.common import report_errors
from ..errors import StyleTransferError
from . import conversions

NODE = "/style_transfer"
WARM_UP = 3.0  # seconds of each stream that do not count
DRAIN_TIME = 1.0  # seconds to wait for late frames
START_TIMEOUT = 60.0  # seconds until the node must be up


def measure(
    models: Sequence[str],
    precisions: Sequence[str],
    sizes: Sequence[Tuple[int, int]],
    rates: Sequence[float],
    seconds: float,
    weights_dir: Optional[str] = None,
    json_file: Optional[str] = None,
) -> None:
    """Measure rate, latency, drops and processor time of the node, for every model, precision, size and rate.

    Latency is the time from a frame's stamp, just before it is published, to the arrival of the painted frame.
    Each result is printed when it is known; all are written to ``json_file``.
    """
    peaks = {precision: limits.peak(precision) for precision in ("float32", "bfloat16")}
    streams: List[Mapping[str, Any]] = []
    print(
        "peak of this machine: "
        + ", ".join(
            "%.0f G multiply-adds per second in %s" % (rate / 1e9, precision) for precision, rate in peaks.items()
        )
    )
    with tempfile.TemporaryDirectory() as logs, _Master(logs) as environment:
        rospy.init_node("benchmark", disable_signals=True, anonymous=True)
        for model in models:
            for precision in precisions:
                parameters = dict(model=model, precision=precision, style=STYLE, weights_dir=weights_dir or "")
                with _Node(environment, parameters) as node:
                    for width, height in sizes:
                        for rate in rates:
                            row = dict(
                                model=model,
                                precision=precision,
                                width=width,
                                height=height,
                                **_stream(node, width, height, rate, seconds),
                            )
                            print(_format(row))
                            streams.append(row)
        rospy.signal_shutdown("measured")
    if json_file:
        with open(json_file, "w") as file:
            json.dump({"peak_multiply_adds": peaks, "streams": streams}, file, indent=1)


def _format(row: Mapping[str, Any]) -> str:
    return (
        "%(model)s %(precision)s %(width)dx%(height)d: %(sent_rate).1f sent, %(painted_rate).1f painted per second "
        "(%(dropped)d of %(sent)d dropped); latency %(p50).1f ms, p95 %(p95).1f, p99 %(p99).1f; network "
        "%(network).1f ms, the rest of a frame %(rest).2f ms; %(cpu).2f cores" % row
    )


def _stream(node: "_Node", width: int, height: int, rate: float, seconds: float) -> Dict[str, Any]:
    """Send frames to ``node`` and measure what returns."""
    still = scene(width, height)
    frames = [conversions.to_message(np.roll(still, shift, 1), Header(frame_id="camera")) for shift in range(0, 64, 8)]
    sent: List[Tuple[int, bool]] = []  # (stamp, whether it counts)
    arrived: Dict[int, float] = {}  # times by stamp
    statuses: List[StyleStatus] = []

    def receive(message: Image) -> None:
        arrived[message.header.stamp.to_nsec()] = time.time()

    camera = rospy.Publisher("image", Image, queue_size=2)
    subscribers = [
        rospy.Subscriber(NODE + "/image", Image, receive, queue_size=10, buff_size=2**26, tcp_nodelay=True),
        rospy.Subscriber(NODE + "/status", StyleStatus, statuses.append),
    ]
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not camera.get_num_connections():
            if time.monotonic() > deadline:
                raise StyleTransferError("the node did not subscribe to the camera within %g s" % START_TIMEOUT)
            time.sleep(0.02)
        started = due = time.monotonic()
        counting_since, cpu_before = 0.0, 0.0
        while time.monotonic() < started + WARM_UP + seconds:
            if not counting_since and time.monotonic() > started + WARM_UP:
                counting_since, cpu_before = time.monotonic(), node.cpu_seconds()
            message = frames[len(sent) % len(frames)]
            message.header.stamp = rospy.Time.from_sec(time.time())
            sent.append((message.header.stamp.to_nsec(), bool(counting_since)))
            camera.publish(message)
            due += 1 / rate
            time.sleep(max(0.0, due - time.monotonic()))
        duration = time.monotonic() - counting_since
        cpu_seconds = node.cpu_seconds() - cpu_before
        time.sleep(DRAIN_TIME)
    finally:
        for subscriber in subscribers:
            subscriber.unregister()
        camera.unregister()
    counted = [stamp for stamp, counts in sent if counts]
    latencies = [1e3 * (arrived[stamp] - stamp / 1e9) for stamp in counted if stamp in arrived]
    if not latencies:
        reason = statuses[-1].message if statuses else "it sent no status either"
        raise StyleTransferError("the node sent no painted frame: %s" % reason)
    status = statuses[-1]
    rest = status.decode_time + status.encode_time + status.publish_time
    return dict(
        zip(("p50", "p95", "p99"), np.percentile(latencies, (50, 95, 99))),
        rate=rate,
        seconds=duration,
        sent=len(counted),
        sent_rate=len(counted) / duration,
        painted_rate=len(latencies) / duration,
        dropped=len(counted) - len(latencies),
        network=1e3 * status.network_time,
        rest=1e3 * rest,
        cpu=cpu_seconds / duration,
        message=status.message,
    )


class _Master:
    """A ROS master on a free port, for this process and its children.

    Args:
        logs: folder of its log files.
    """

    def __init__(self, logs: str) -> None:
        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        self._port = str(port)
        self._environment = {
            "ROS_MASTER_URI": "http://localhost:%d" % port,
            "ROS_HOSTNAME": "localhost",
            "ROS_LOG_DIR": logs,
        }

    def __enter__(self) -> Dict[str, str]:
        os.environ.update(self._environment)
        try:
            self._process = subprocess.Popen(
                ["roscore", "-p", self._port], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except FileNotFoundError:
            raise StyleTransferError("roscore was not found; source ROS first, or use ./bootstrap.sh run") from None
        deadline = time.monotonic() + START_TIMEOUT
        while not rosgraph.is_master_online():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise StyleTransferError("roscore did not start")
            time.sleep(0.05)
        return dict(os.environ)

    def __exit__(self, *_: Any) -> None:
        _end(self._process)


class _Node:
    """The node as a process.

    Args:
        environment: its environment variables.
        parameters: its private parameters.
    """

    def __init__(self, environment: Mapping[str, str], parameters: Mapping[str, Any]) -> None:
        self._environment = environment
        self._parameters = parameters

    def __enter__(self) -> "_Node":
        arguments = ["_%s:=%s" % pair for pair in self._parameters.items() if pair[1] != ""]
        path = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "nodes", "style_transfer_node")
        # In the source tree the node is in a known place; installed, ROS finds it.
        command = (
            [sys.executable, path] if os.path.exists(path) else ["rosrun", "ros_style_transfer", os.path.basename(path)]
        )
        self._process = subprocess.Popen(command + arguments, env=self._environment, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            seconds_left = deadline - time.monotonic()
            try:
                status = rospy.wait_for_message(NODE + "/status", StyleStatus, max(0.01, min(2.0, seconds_left)))
            except rospy.ROSException:
                status = None
            failed = status is not None and status.state == StyleStatus.ERROR
            if self._process.poll() is not None or seconds_left < 0 or failed:
                _end(self._process)
                reason = status.message if status else "see its log above"
                raise StyleTransferError("the node did not start: %s" % reason)
            if status and status.state != StyleStatus.LOADING:
                print(status.message)
                return self

    def cpu_seconds(self) -> float:
        """The processor time that the node has used."""
        with open("/proc/%d/stat" % self._process.pid) as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __exit__(self, *_: Any) -> None:
        _end(self._process)


def _end(process: "subprocess.Popen[Any]") -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    report_errors(lambda: measure(**json.loads(sys.argv[1])))
