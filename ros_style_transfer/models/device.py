"""What this machine computes on and how fast: its GPUs, threads, and the choice of a precision by measuring."""

import functools
import time

import numpy as np
import tensorflow as tf

from ..resources import available_cores
from .layers import graph
from .quantized import Integers, Program
from .timing import shortest


def share_gpus(memory_mb=0):
    """The GPUs there are, their memory left to others but for ``memory_mb`` megabytes, or what is needed (0).

    TensorFlow would take all of it, which a Jetson's GPU shares with everything else.
    """
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        try:
            if memory_mb:
                limit = tf.config.LogicalDeviceConfiguration(memory_limit=memory_mb)
                tf.config.set_logical_device_configuration(gpu, [limit])
            else:
                tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            pass  # a second model in one process: the first has seen to it
    return gpus


def share_threads(count):
    """Let TensorFlow compute in so many threads.  Before its first operation."""
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def limit_threads():
    """Let TensorFlow compute in as many threads as this process may use cores, unless a number was set before.

    TensorFlow counts the cores of the machine, of which a container may use only a part.  Returns the number.
    """
    if not tf.config.threading.get_intra_op_parallelism_threads():
        try:
            tf.config.threading.set_intra_op_parallelism_threads(available_cores())
        except RuntimeError:
            pass  # the program that uses us has begun to compute already
    return tf.config.threading.get_intra_op_parallelism_threads() or available_cores()


def fastest_dtype(gpu=False):
    """``float32`` or the half precision that the networks keep their looks in, ``bfloat16`` (on a GPU ``float16``),
    whichever this machine convolves faster in: few processors have the latter in hardware."""
    return min(("float32", "float16" if gpu else "bfloat16"), key=convolution_time)


def convolution_time(dtype, side=96, channels=64, clock=shortest):
    """Seconds that a 3x3 convolution of ``[side, side, channels]`` takes in floats of this type.

    Args:
        clock: an action, (), to the seconds that it takes.
    """
    x, kernel = tf.ones((1, side, side, channels), dtype), tf.ones((3, 3, channels, channels), dtype)
    convolve = graph(lambda x: tf.reduce_max(tf.nn.conv2d(x, kernel, 1, "SAME")), tf.TensorSpec(x.shape, dtype))
    return clock(lambda: convolve(x).numpy())


def gain(dtype):
    """How many times faster than in floats of type ``dtype`` this machine convolves in integers, frame by frame.

    Frames come with pauses between them.  While LiteRT's threads wait for each other they hold their
    cores: where one that slept is then given no core of its own, as in some virtual machines, they wait
    for 20 to 40 ms.  So the mean counts, of calls after pauses.
    """
    program, seconds = _convolutions(5), []
    program()
    for _ in range(10):
        time.sleep(0.025)
        started = time.perf_counter()
        program()
        seconds.append(time.perf_counter() - started)
    return 5 * convolution_time(dtype) / np.mean(seconds)


def integer_convolution_time(side, channels, clock):
    """Seconds that a 3x3 convolution of ``[side, side, channels]`` takes in integers; see `convolution_time`."""
    five, one = (clock(_convolutions(count, side, channels)) for count in (5, 1))
    return max(1e-9, five - one) / 4  # what goes in and out as floats is in both


def _convolutions(count, side=96, channels=64):
    """() to so many 3x3 convolutions, one of another."""
    names = ["layer%d" % n for n in range(count)]
    arrays = {
        name + part: value
        for name in names
        for part, value in (
            ("_kernel", np.full((3, 3, channels, channels), 1 / (9 * channels), np.float32)),
            ("_bias", np.zeros(channels, np.float32)),
            ("_range", np.float32([[0, 1], [0, 1]])),
        )
    }
    net = Integers([(name, 3, 1, channels, channels) for name in names], arrays, "", tf.float32, "convolutions")
    return functools.partial(
        Program(lambda x: functools.reduce(net, names, x[None])[0]), np.ones((side, side, channels), np.float32)
    )
