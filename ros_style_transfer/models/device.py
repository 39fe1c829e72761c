"""GPUs, threads, and the choice of a precision by a benchmark of this machine."""

import functools
import time
from typing import Any, Callable, Dict, List

import numpy as np
import tensorflow as tf

from ..resources import available_cores
from .layers import traced
from .quantized import QuantizedConvolutions, TFLiteFunction
from .timing import shortest_time


def limit_gpu_memory(memory_mb: int = 0) -> List[Any]:
    """Limit TensorFlow's GPU memory to ``memory_mb`` megabytes, or to what it needs (0); returns the GPUs.

    By default TensorFlow reserves all memory, which on a Jetson belongs to the other programs as well.
    """
    gpus: List[Any] = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        try:
            if memory_mb:
                limit = tf.config.LogicalDeviceConfiguration(memory_limit=memory_mb)
                tf.config.set_logical_device_configuration(gpu, [limit])
            else:
                tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            pass  # an earlier model of this process has initialized the GPU
    return gpus


def set_thread_count(count: int) -> None:
    """Let TensorFlow use ``count`` threads; call it before TensorFlow's first operation."""
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def limit_threads() -> int:
    """Limit TensorFlow to as many threads as this process may use cores, unless a limit is set already.

    TensorFlow counts the machine's cores, of which a container may use only some.  Returns the limit.
    """
    if not tf.config.threading.get_intra_op_parallelism_threads():
        try:
            tf.config.threading.set_intra_op_parallelism_threads(available_cores())
        except RuntimeError:
            pass  # the program has used TensorFlow already
    return tf.config.threading.get_intra_op_parallelism_threads() or available_cores()


def fastest_float(gpu: bool = False) -> str:
    """The faster precision on this machine: ``float32`` or ``bfloat16`` (on a GPU ``float16``).

    Few processors support half precision in hardware.
    """
    return min(("float32", "float16" if gpu else "bfloat16"), key=convolution_time)


def convolution_time(
    dtype: str, side: int = 96, channels: int = 64, clock: Callable[[Callable[[], Any]], float] = shortest_time
) -> float:
    """Seconds of a 3x3 convolution of ``[side, side, channels]`` in the float type ``dtype``.

    Args:
        clock: a function that measures the seconds of an action ().
    """
    x, kernel = tf.ones((1, side, side, channels), dtype), tf.ones((3, 3, channels, channels), dtype)
    convolve = traced(lambda x: tf.reduce_max(tf.nn.conv2d(x, kernel, 1, "SAME")), tf.TensorSpec(x.shape, dtype))
    return clock(lambda: convolve(x).numpy())


def int8_speedup(dtype: str) -> float:
    """How many times faster int8 convolutions are on this machine than those in the float type ``dtype``.

    The mean of calls after pauses, as between frames: on some virtual machines LiteRT's threads take 20 to
    40 ms to wake up, because they keep their cores busy while they wait for each other.
    """
    convolve, seconds = _int8_convolutions(5), []
    convolve()
    for _ in range(10):
        time.sleep(0.025)
        started = time.perf_counter()
        convolve()
        seconds.append(time.perf_counter() - started)
    return 5 * convolution_time(dtype) / float(np.mean(seconds))


def int8_convolution_time(side: int, channels: int, clock: Callable[[Callable[[], Any]], float]) -> float:
    """Seconds of a 3x3 convolution of ``[side, side, channels]`` in int8; for ``clock`` see `convolution_time`."""
    five, one = (clock(_int8_convolutions(count, side, channels)) for count in (5, 1))
    return max(1e-9, five - one) / 4  # the difference leaves out the conversion from and to floats


def _int8_convolutions(count: int, side: int = 96, channels: int = 64) -> Callable[[], Any]:
    """An action that computes ``count`` 3x3 convolutions, each of the one before."""
    names = ["layer%d" % n for n in range(count)]
    layer: Dict[str, np.ndarray] = {
        "_kernel": np.full((3, 3, channels, channels), 1 / (9 * channels), np.float32),
        "_bias": np.zeros(channels, np.float32),
        "_range": np.array([[0, 1], [0, 1]], np.float32),
    }
    arrays = {name + part: value for name in names for part, value in layer.items()}
    net = QuantizedConvolutions([(name, 3, 1, channels, channels) for name in names], arrays, "", tf.float32)
    function = TFLiteFunction(lambda x: functools.reduce(net, names, x[None])[0])
    return functools.partial(function, np.ones((side, side, channels), np.float32))
