"""The node from end to end: a ROS graph of its own, a camera that sends, a program that listens.

``python -m ros_style_transfer benchmark ros`` starts this as a program; its argument is `measure`'s, in JSON.
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

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
SETTLE = 3.0  # seconds before anything counts
DRAIN = 1.0  # seconds that late frames are waited for
START = 60.0  # seconds until the node must be there


def measure(models, precisions, sizes, rates, seconds, weights_dir=None, json_file=None):
    """Rate, latency, drops and processor time of the node, for every model, precision, size and rate.

    Latency is from a frame's stamp, taken just before it is published, to the painted frame's arrival.

    What comes out is printed as it comes, and written to ``json_file``.
    """
    peaks = {precision: limits.peak(precision) for precision in ("float32", "bfloat16")}
    result = {"peak_multiply_adds": peaks, "streams": []}
    print("the machine's peak: " + ", ".join("%.0f G multiply-adds a second in %s" % (rate / 1e9, precision)
                                             for precision, rate in result["peak_multiply_adds"].items()))
    with tempfile.TemporaryDirectory() as logs, _Master(logs) as environment:
        rospy.init_node("benchmark", disable_signals=True, anonymous=True)
        for model in models:
            for precision in precisions:
                parameters = dict(model=model, precision=precision, style=STYLE, weights_dir=weights_dir or "")
                with _Node(environment, parameters) as node:
                    for width, height in sizes:
                        for rate in rates:
                            row = dict(model=model, precision=precision, width=width, height=height,
                                       **_stream(node, width, height, rate, seconds))
                            print(_told(row))
                            result["streams"].append(row)
        rospy.signal_shutdown("measured")
    if json_file:
        with open(json_file, "w") as file:
            json.dump(result, file, indent=1)


def _told(row):
    return ("%(model)s %(precision)s %(width)dx%(height)d: %(sent_rate).1f sent, %(painted_rate).1f painted a second "
            "(%(dropped)d of %(sent)d left out); latency %(p50).1f ms, p95 %(p95).1f, p99 %(p99).1f; network "
            "%(network).1f ms, the rest of a frame %(rest).2f ms; %(cpu).2f cores" % row)


def _stream(node, width, height, rate, seconds):
    """Send frames at this rate for so long."""
    still = scene(width, height)
    frames = [conversions.to_message(np.roll(still, shift, 1), Header(frame_id="camera")) for shift in range(0, 64, 8)]
    sent, arrived, statuses = [], {}, []

    def listen(message):
        arrived[message.header.stamp.to_nsec()] = time.time()

    camera = rospy.Publisher("image", Image, queue_size=2)
    listeners = [rospy.Subscriber(NODE + "/image", Image, listen, queue_size=10, buff_size=2**26, tcp_nodelay=True),
                 rospy.Subscriber(NODE + "/status", StyleStatus, statuses.append)]
    try:
        deadline = time.monotonic() + START
        while not camera.get_num_connections():
            if time.monotonic() > deadline:
                raise StyleTransferError("the node does not listen to the camera")
            time.sleep(0.02)
        started = due = time.monotonic()
        counting = None
        while time.monotonic() < started + SETTLE + seconds:
            if counting is None and time.monotonic() > started + SETTLE:
                counting, used = time.monotonic(), node.cpu_seconds()
            message = frames[len(sent) % len(frames)]
            message.header.stamp = rospy.Time.from_sec(time.time())
            sent.append((message.header.stamp.to_nsec(), counting is not None))
            camera.publish(message)
            due += 1 / rate
            time.sleep(max(0.0, due - time.monotonic()))
        lasted, used = time.monotonic() - counting, node.cpu_seconds() - used
        time.sleep(DRAIN)
    finally:
        for listener in listeners:
            listener.unregister()
        camera.unregister()
    counted = [stamp for stamp, counts in sent if counts]
    latencies = [1e3 * (arrived[stamp] - stamp / 1e9) for stamp in counted if stamp in arrived]
    if not latencies:
        raise StyleTransferError("no painted frame came back")
    status = statuses[-1]
    rest = status.decode_time + status.encode_time + status.publish_time
    return dict(zip(("p50", "p95", "p99"), np.percentile(latencies, (50, 95, 99))), rate=rate, seconds=lasted,
                sent=len(counted), sent_rate=len(counted) / lasted, painted_rate=len(latencies) / lasted,
                dropped=len(counted) - len(latencies), network=1e3 * status.network_time, rest=1e3 * rest,
                cpu=used / lasted, message=status.message)


class _Master:
    """A ROS master on a free port, for this process and its children."""

    def __init__(self, logs):
        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        self._port = str(port)
        self._environment = {"ROS_MASTER_URI": "http://localhost:%d" % port, "ROS_HOSTNAME": "localhost",
                             "ROS_LOG_DIR": logs}

    def __enter__(self):
        os.environ.update(self._environment)
        try:
            self._process = subprocess.Popen(["roscore", "-p", self._port], stdout=subprocess.DEVNULL,
                                             stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            raise StyleTransferError("there is no roscore; source ROS first, or use ./bootstrap.sh run") from None
        deadline = time.monotonic() + START
        while not rosgraph.is_master_online():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise StyleTransferError("roscore did not start")
            time.sleep(0.05)
        return dict(os.environ)

    def __exit__(self, *_):
        _end(self._process)


class _Node:
    """The node as a process."""

    def __init__(self, environment, parameters):
        self._environment, self._parameters = environment, parameters

    def __enter__(self):
        arguments = ["_%s:=%s" % pair for pair in self._parameters.items() if pair[1] != ""]
        path = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "nodes", "style_transfer_node")
        # In the source tree the node lies beside this; installed, ROS knows where.
        command = ([sys.executable, path] if os.path.exists(path)
                   else ["rosrun", "ros_style_transfer", os.path.basename(path)])
        self._process = subprocess.Popen(command + arguments, env=self._environment, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START
        while True:
            left = deadline - time.monotonic()
            try:
                status = rospy.wait_for_message(NODE + "/status", StyleStatus, max(0.01, min(2.0, left)))
            except rospy.ROSException:
                status = None
            if self._process.poll() is not None or left < 0 or (status and status.state == StyleStatus.ERROR):
                _end(self._process)
                raise StyleTransferError("the node did not start: %s" % (status.message if status else "see above"))
            if status and status.state != StyleStatus.LOADING:
                print(status.message)
                return self

    def cpu_seconds(self):
        """Processor time that the node has used."""
        with open("/proc/%d/stat" % self._process.pid) as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __exit__(self, *_):
        _end(self._process)


def _end(process):
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    report_errors(lambda: measure(**json.loads(sys.argv[1])))
