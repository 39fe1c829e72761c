"""The node end to end: a ROS graph of its own, a camera that sends frames, a program that receives them.

``python -m ros_style_transfer benchmark ros`` and ``ros2`` start `ros.benchmark` and `ros2.benchmark` as programs,
which provide the `Graph`; their argument holds those of `measure` in JSON.
"""

import json
import os
import subprocess
import time
from abc import ABC, abstractmethod
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Type

import numpy as np

from ..benchmark import measure as limits
from ..benchmark.painting import STYLE, scene
from ..errors import StyleTransferError

WARM_UP = 3.0  # seconds of each stream that do not count
DRAIN_TIME = 1.0  # seconds to wait for late frames
START_TIMEOUT = 180.0  # seconds until the node must be up


class Graph(ABC):
    """A ROS graph with this process in it; a context."""

    @abstractmethod
    def __enter__(self) -> "Graph":
        """Start it."""

    @abstractmethod
    def __exit__(self, *_: Any) -> None:
        """End it."""

    @abstractmethod
    def start_node(self, parameters: Mapping[str, Any]) -> "subprocess.Popen[Any]":
        """The node as a process, subscribed to ``image``."""

    @abstractmethod
    def status(self, timeout: float) -> Any:
        """The node's newest StyleStatus; None if there is none within ``timeout`` seconds."""

    @abstractmethod
    def open(
        self, frames: Sequence[np.ndarray], receive: Callable[[int], Any], on_status: Callable[[Any], Any]
    ) -> None:
        """Advertise the camera with these pictures, and call back with the stamps of painted frames in nanoseconds, and
        with StyleStatus."""

    @abstractmethod
    def is_connected(self) -> bool:
        """Whether the node subscribes to the camera."""

    @abstractmethod
    def send(self, number: int) -> int:
        """Publish a picture now; its stamp in nanoseconds."""

    @abstractmethod
    def close(self) -> None:
        """Undo `open`."""


def measure(
    kind: Type[Graph],
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

    Args:
        kind: of the graph.
    """
    peaks = {precision: limits.peak(precision) for precision in ("float32", "bfloat16")}
    streams: List[Mapping[str, Any]] = []
    print(
        "peak of this machine: "
        + ", ".join(
            "%.0f G multiply-adds per second in %s" % (rate / 1e9, precision) for precision, rate in peaks.items()
        )
    )
    with kind() as graph:
        for model in models:
            for precision in precisions:
                parameters = dict(model=model, precision=precision, style=STYLE, weights_dir=weights_dir or "")
                with _Node(graph, parameters) as node:
                    for width, height in sizes:
                        for rate in rates:
                            row = dict(
                                model=model,
                                precision=precision,
                                width=width,
                                height=height,
                                **_stream(graph, node, width, height, rate, seconds),
                            )
                            print(_format(row))
                            streams.append(row)
    if json_file:
        with open(json_file, "w") as file:
            json.dump({"peak_multiply_adds": peaks, "streams": streams}, file, indent=1)


def _format(row: Mapping[str, Any]) -> str:
    return (
        "%(model)s %(precision)s %(width)dx%(height)d: %(sent_rate).1f sent, %(painted_rate).1f painted per second "
        "(%(dropped)d of %(sent)d dropped); latency %(p50).1f ms, p95 %(p95).1f, p99 %(p99).1f; network "
        "%(network).1f ms, the rest of a frame %(rest).2f ms; %(cpu).2f cores" % row
    )


def _stream(graph: Graph, node: "_Node", width: int, height: int, rate: float, seconds: float) -> Dict[str, Any]:
    """Send frames to ``node`` and measure what returns."""
    still = scene(width, height)
    frames = [np.roll(still, shift, 1) for shift in range(0, 64, 8)]
    sent: List[Tuple[int, bool]] = []  # (stamp, whether it counts)
    arrived: Dict[int, float] = {}  # times by stamp
    statuses: List[Any] = []

    def receive(stamp: int) -> None:
        arrived[stamp] = time.time()

    graph.open(frames, receive, statuses.append)
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not graph.is_connected():
            if time.monotonic() > deadline:
                raise StyleTransferError("the node did not subscribe to the camera within %g s" % START_TIMEOUT)
            time.sleep(0.02)
        started = due = time.monotonic()
        counting_since, cpu_before = 0.0, 0.0
        while time.monotonic() < started + WARM_UP + seconds:
            if not counting_since and time.monotonic() > started + WARM_UP:
                counting_since, cpu_before = time.monotonic(), node.cpu_seconds()
            stamp = graph.send(len(sent) % len(frames))
            sent.append((stamp, bool(counting_since)))
            due += 1 / rate
            time.sleep(max(0.0, due - time.monotonic()))
        duration = time.monotonic() - counting_since
        cpu_seconds = node.cpu_seconds() - cpu_before
        time.sleep(DRAIN_TIME)
    finally:
        graph.close()
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


class _Node:
    """The node as a process.

    Args:
        graph: whose node it is.
        parameters: of the node; empty ones are left out.
    """

    def __init__(self, graph: Graph, parameters: Mapping[str, Any]) -> None:
        self._graph = graph
        self._parameters = parameters

    def __enter__(self) -> "_Node":
        given = {name: value for name, value in self._parameters.items() if value != ""}
        self._process = self._graph.start_node(given)
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            seconds_left = deadline - time.monotonic()
            status = self._graph.status(max(0.01, min(2.0, seconds_left)))
            failed = status is not None and status.state == status.ERROR
            if self._process.poll() is not None or seconds_left < 0 or failed:
                end(self._process)
                reason = status.message if status else "see its log above"
                raise StyleTransferError("the node did not start: %s" % reason)
            if status and status.state != status.LOADING:
                print(status.message)
                return self

    def cpu_seconds(self) -> float:
        """The processor time that the node has used."""
        with open("/proc/%d/stat" % self._process.pid) as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __exit__(self, *_: Any) -> None:
        end(self._process)


def end(process: "subprocess.Popen[Any]") -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
