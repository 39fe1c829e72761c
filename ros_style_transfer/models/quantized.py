"""Convolutions in 8-bit integers, by LiteRT: faster than floats where a processor multiplies those slowly.

A value is rounded to one of 256 between two bounds, the kernel's weights to 255 for each channel that
they make, and a convolution sums their products exactly (Jacob et al. 2018).  The bounds of what each
layer is given and makes, its *ranges*, come with the weights: `calibration.ranges` finds them in paintings.
"""

import contextlib
import os
import re
import sys
import tempfile
import warnings

import tensorflow as tf

from ..errors import WeightsError
from ..resources import available_cores
from .layers import Convolutions, graph

GIVEN, MADE = 0, 1  # the rows of a layer's ranges
# LiteRT's notes on its own work.
NOTES = re.compile(rb"[IW]\d{4} |WARNING: All log|WARNING:absl|INFO: Created TensorFlow Lite|fully_quantize")


class Integers(Convolutions):
    """`layers.Convolutions` for a `Program`: float32 tensors, with the bounds that make integers of them.

    Args:
        arrays: with ``NAME_range`` ``[2, 2]`` for every layer that a picture goes through: the least and
            the largest value that it is given, and that it makes.

    Raises:
        WeightsError: there are no ranges.
    """

    def __init__(self, layers, arrays, prefix, dtype, name, **padding):
        super().__init__(layers, arrays, prefix, dtype, name, **padding)
        self._ranges = {
            layer: arrays[prefix + layer + "_range"] for layer in self.shapes if prefix + layer + "_range" in arrays
        }
        if not self._ranges:
            raise WeightsError(
                "the weights say no ranges, which int8 needs; find them with "
                "python -m ros_style_transfer.training.calibrate, or choose another dtype"
            )

    def __call__(self, x, layer, relu=True, modulation=None):
        side, stride = self.shapes[layer][:2]
        x = self._bounded(x, layer, GIVEN)
        x, padding = self._padded(x, layer, side, _reflect)
        x = tf.nn.conv2d(x, self._weights[layer + "_kernel"], stride, padding) + self._weights[layer + "_bias"]
        if modulation is not None:  # of the values: the kernel's integers stay as they are
            gain, shift = modulation
            return self.relu(self._bounded(x, layer, MADE) * (1.0 + gain) + shift)
        return self._bounded(tf.nn.relu(x) if relu else x, layer, MADE)

    def relu(self, x):
        """``x`` as it is: what the next layer is given has no room for less than zero."""
        # Of bounds that follow each other LiteRT would take one: something must stand between them.
        return tf.nn.leaky_relu(x, 0.1) if x.op.type.startswith("FakeQuant") else x

    def upsample(self, x):
        # Four times the same, unfolded: LiteRT's own resizing is slower.
        return tf.nn.depth_to_space(tf.concat([x] * 4, -1), 2)

    def _bounded(self, x, layer, row):
        if layer not in self._ranges:  # the style's code: no picture
            return x
        low, high = self._ranges[layer][row]
        return tf.quantization.fake_quant_with_min_max_args(x, float(low), float(high))


def known(arrays):
    """Whether the weights ``arrays`` say ranges."""
    return any(name.endswith("_range") for name in arrays)


class Program:
    """A function of tensors as a program of LiteRT, made at its first call; another size costs some milliseconds.

    Args:
        function: float32 tensors to any structure of such.  Of tensors with three dimensions the first
            two, a picture's sides, may differ from call to call.
    """

    def __init__(self, function):
        self._function, self._interpreter, self._shapes = function, None, None

    def __call__(self, *arguments):
        """Arrays to arrays."""
        shapes = [argument.shape for argument in arguments]
        if self._interpreter is None:
            with _quiet():
                self._convert(arguments)
                self._resize(shapes)
        elif shapes != self._shapes:
            self._resize(shapes)
        for index, argument in zip(self._inputs, arguments):
            self._interpreter.set_tensor(index, argument)
        self._interpreter.invoke()
        return tf.nest.pack_sequence_as(
            self._structure, [self._interpreter.get_tensor(index) for index in self._outputs]
        )

    def _convert(self, arguments):
        signature = [
            tf.TensorSpec((None, None, a.shape[2]) if a.ndim == 3 else a.shape, name="given%d" % n)
            for n, a in enumerate(arguments)
        ]
        concrete = graph(self._function, *signature).get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        self._interpreter = tf.lite.Interpreter(
            model_content=converter.convert(),
            num_threads=tf.config.threading.get_intra_op_parallelism_threads() or available_cores(),
        )
        inputs = {detail["name"]: detail["index"] for detail in self._interpreter.get_input_details()}
        self._inputs = [inputs[spec.name] for spec in signature]
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]
        self._structure = concrete.structured_outputs

    def _resize(self, shapes):
        for index, shape in zip(self._inputs, shapes):
            self._interpreter.resize_tensor_input(index, shape)
        self._interpreter.allocate_tensors()
        self._shapes = shapes


def _reflect(x):
    # `layers.reflect` gathers rows, which LiteRT does slowly.
    x = tf.concat([x[:, :, 1:2], x, x[:, :, -2:-1]], 2)
    return tf.concat([x[:, 1:2], x, x[:, -2:-1]], 1)


@contextlib.contextmanager
def _quiet():
    """Without what LiteRT says of its conversion, most of it straight to the standard error, to anyone's alarm."""
    with warnings.catch_warnings(), tempfile.TemporaryFile() as said:
        warnings.simplefilter("ignore")
        sys.stderr.flush()
        error = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(error, 2)
            os.close(error)
            said.seek(0)
            for line in said:  # other threads may have said something, too
                if not NOTES.match(line):
                    os.write(2, line)
