"""Convolutions in 8-bit integers, by TensorFlow Lite (LiteRT): faster than floats on many processors.

Activations are quantized to 256 values between two bounds, the weights to 255 values for each output
channel, and a convolution sums their products exactly (Jacob et al. 2018).  The bounds of each layer's
input and output, its *activation ranges*, are stored with the weights; `transfer.calibration` measures them.
"""

import contextlib
import os
import re
import sys
import tempfile
import warnings
from typing import Any, Callable, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from ..errors import WeightsError
from ..resources import available_cores
from .layers import Convolutions, Layer, traced

INPUT, OUTPUT = 0, 1  # the rows of a layer's activation ranges
# LiteRT's log lines about its conversion.
CONVERSION_LOG = re.compile(rb"[IW]\d{4} |WARNING: All log|WARNING:absl|INFO: Created TensorFlow Lite|fully_quantize")


def _reflect(x: tf.Tensor) -> tf.Tensor:
    # Unlike `layers.reflect` without a gather, which is slow in LiteRT.
    x = tf.concat([x[:, :, 1:2], x, x[:, :, -2:-1]], 2)
    return tf.concat([x[:, 1:2], x, x[:, -2:-1]], 1)


class QuantizedConvolutions(Convolutions):
    """`layers.Convolutions` for a `TFLiteFunction`: float32 tensors with the ranges that the conversion needs.

    Args:
        arrays: also ``NAME_range`` ``[2, 2]`` of every layer that a picture passes through: the minimum and the
            maximum of its input, then of its output.

    Raises:
        WeightsError: the weights have no activation ranges.
    """

    reflect = staticmethod(_reflect)

    def __init__(
        self,
        layers: Iterable[Layer],
        arrays: Mapping[str, np.ndarray],
        prefix: str,
        dtype: tf.DType,
        **padding: Any,
    ) -> None:
        super().__init__(layers, arrays, prefix, dtype, **padding)
        self._ranges = {
            layer: arrays[prefix + layer + "_range"] for layer in self.shapes if prefix + layer + "_range" in arrays
        }
        if not self._ranges:
            raise WeightsError(
                "the weights have no activation ranges, which int8 needs; measure them with "
                "python -m ros_style_transfer.training.calibrate, or choose another precision"
            )

    def __call__(
        self, x: tf.Tensor, layer: str, relu: bool = True, modulation: Optional[Tuple[tf.Tensor, tf.Tensor]] = None
    ) -> tf.Tensor:
        """See `layers.Convolutions`."""
        side, stride = self.shapes[layer][:2]
        x = self._quantize(x, layer, INPUT)
        x, padding = self._padded(x, layer, side)
        x = tf.nn.conv2d(x, self._weights[layer + "_kernel"], stride, padding) + self._weights[layer + "_bias"]
        if modulation is not None:  # applied to the output, so that the quantized kernel is constant
            gain, shift = modulation
            return self.relu(self._quantize(x, layer, OUTPUT) * (1.0 + gain) + shift)
        return self._quantize(tf.nn.relu(x) if relu else x, layer, OUTPUT)

    def relu(self, x: tf.Tensor) -> tf.Tensor:
        """``x`` unchanged: the next layer's input range starts at 0 and clips it."""
        # LiteRT would merge two ranges in a row into one, so an operation must separate them.
        return tf.nn.leaky_relu(x, 0.1) if x.op.type.startswith("FakeQuant") else x

    def upsample(self, x: tf.Tensor) -> tf.Tensor:
        """See `layers.Convolutions`; four unfolded copies, because resizing is slow in LiteRT."""
        return tf.nn.depth_to_space(tf.concat([x] * 4, -1), 2)

    def _quantize(self, x: tf.Tensor, layer: str, row: int) -> tf.Tensor:
        if layer not in self._ranges:  # the layers of the style code
            return x
        low, high = self._ranges[layer][row]
        return tf.quantization.fake_quant_with_min_max_args(x, float(low), float(high))


def has_ranges(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether the weights ``arrays`` have activation ranges."""
    return any(name.endswith("_range") for name in arrays)


class TFLiteFunction:
    """A function of tensors that LiteRT executes.

    The first call converts it; a call with other sizes costs a few milliseconds more.

    Args:
        function: float32 tensors to any structure of them.  The first two dimensions of a three-dimensional
            tensor, the sides of a picture, may differ from call to call.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._interpreter: Any = None
        self._shapes: Sequence[Tuple[int, ...]] = ()
        self._inputs: List[int] = []
        self._outputs: List[int] = []
        self._structure: Any = None

    def __call__(self, *arguments: np.ndarray) -> Any:
        """Arrays to arrays."""
        shapes = [argument.shape for argument in arguments]
        if self._interpreter is None:
            with _without_conversion_log():
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

    def _convert(self, arguments: Sequence[np.ndarray]) -> None:
        signature = [
            tf.TensorSpec((None, None, *a.shape[2:]) if a.ndim == 3 else a.shape, name="input%d" % n)
            for n, a in enumerate(arguments)
        ]
        concrete: Any = traced(self._function, *signature)
        concrete = concrete.get_concrete_function()
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

    def _resize(self, shapes: Sequence[Tuple[int, ...]]) -> None:
        for index, shape in zip(self._inputs, shapes):
            self._interpreter.resize_tensor_input(index, shape)
        self._interpreter.allocate_tensors()
        self._shapes = shapes


@contextlib.contextmanager
def _without_conversion_log() -> Iterator[None]:
    """Suppress LiteRT's log about its conversion, most of which goes directly to the standard error."""
    with warnings.catch_warnings(), tempfile.TemporaryFile() as log:
        warnings.simplefilter("ignore")
        sys.stderr.flush()
        standard_error = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(standard_error, 2)
            os.close(standard_error)
            log.seek(0)
            for line in log:  # other threads may have written something else meanwhile
                if not CONVERSION_LOG.match(line):
                    os.write(2, line)
