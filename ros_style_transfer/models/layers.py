"""Building blocks of every network: named convolutions, and functions that are traced once for all sizes."""

from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple

import numpy as np
import tensorflow as tf

from ..errors import WeightsError

# Name, side of the kernel, stride, channels in, channels out.
Layer = Tuple[str, int, int, int, int]


def reflect(x: tf.Tensor) -> tf.Tensor:
    """``x [1, h, w, c]`` with one reflected position on each side, in a third of the time of `tf.pad`."""
    x = tf.concat([x[:, :, 1:2], x, x[:, :, -2:-1]], 2)
    rows = tf.shape(x)[1]
    return tf.gather(x, tf.concat([[1], tf.range(rows), [rows - 2]], 0), axis=1)


class Convolutions:
    """Named convolutions.

    Args:
        layers: the convolutions, see `Layer`.
        arrays: ``PREFIXNAME_kernel`` ``[side, side, in, out]`` and ``PREFIXNAME_bias`` ``[out]`` of each.
        dtype: precision of the convolutions.
        padding: ``reflect`` or ``zero``.
        reflected: the layers that reflect their input although ``padding`` is ``zero``.

    Attributes:
        dtype: precision of the convolutions.
        shapes: ``{name: (side of the kernel, stride, channels in, channels out)}``.

    Raises:
        WeightsError: an array is missing or has another shape.
    """

    reflect = staticmethod(reflect)

    def __init__(
        self,
        layers: Iterable[Layer],
        arrays: Mapping[str, np.ndarray],
        prefix: str,
        dtype: tf.DType,
        padding: str = "reflect",
        reflected: Iterable[str] = (),
    ) -> None:
        layers = list(layers)
        self.dtype = tf.as_dtype(dtype)
        self.shapes: Dict[str, Tuple[int, int, int, int]] = {}
        self._weights: Dict[str, tf.Tensor] = {}
        self._reflected = {layer[0] for layer in layers} if padding == "reflect" else set(reflected)
        for name, side, stride, channels, width in layers:
            self.shapes[name] = (side, stride, channels, width)
            shapes: Dict[str, Tuple[int, ...]] = {"_kernel": (side, side, channels, width), "_bias": (width,)}
            for part, shape in shapes.items():
                key = prefix + name + part
                if key not in arrays or arrays[key].shape != shape:
                    found = arrays[key].shape if key in arrays else "nothing"
                    raise WeightsError("the weights must hold %s of shape %s, found %s" % (key, shape, found))
                self._weights[name + part] = tf.constant(arrays[key], self.dtype)

    def __call__(
        self, x: tf.Tensor, layer: str, relu: bool = True, modulation: Optional[Tuple[tf.Tensor, tf.Tensor]] = None
    ) -> tf.Tensor:
        """``x [1, h, w, in]`` to ``[1, h / stride, w / stride, out]``.

        Args:
            modulation: gain and shift, ``[out]`` each: channels are multiplied by 1 + gain, then shifted.
        """
        side, stride = self.shapes[layer][:2]
        kernel, bias = self._weights[layer + "_kernel"], self._weights[layer + "_bias"]
        if modulation is not None:  # applied to the weights, which are fewer than the features
            gain, shift = modulation
            kernel, bias = kernel * (1.0 + gain), bias * (1.0 + gain) + shift
        x, padding = self._padded(x, layer, side)
        x = tf.nn.bias_add(tf.nn.conv2d(x, kernel, stride, padding), bias)
        return tf.nn.relu(x) if relu else x

    def dense(self, x: tf.Tensor, layer: str) -> tf.Tensor:
        """A 1x1 convolution of a single position, ``[in]`` to ``[out]``.

        A plain sum, because TensorFlow's product of a vector and a matrix depends on the number of threads in the last
        digits, which would change every pixel.
        """
        kernel, bias = self._weights[layer + "_kernel"], self._weights[layer + "_bias"]
        return tf.reduce_sum(x[:, None] * kernel[0, 0], 0) + bias

    def _padded(self, x: tf.Tensor, layer: str, side: int) -> Tuple[tf.Tensor, str]:
        """The input of a convolution, and TensorFlow's name for the padding that it still needs."""
        return (self.reflect(x), "VALID") if side == 3 and layer in self._reflected else (x, "SAME")

    def relu(self, x: tf.Tensor) -> tf.Tensor:
        """The rectified input of the next layer."""
        # TensorFlow's remapper cannot fuse `tf.nn.relu` after a residual's sum, and logs an error.
        return tf.maximum(x, tf.zeros((), x.dtype))

    def upsample(self, x: tf.Tensor) -> tf.Tensor:
        """``x`` at twice its sides, nearest neighbour: no checkerboard after a convolution (Odena et al. 2016)."""
        shape = tf.shape(x)
        return tf.image.resize(x, (2 * shape[1], 2 * shape[2]), "nearest")


def traced(function: Callable[..., Any], *signature: tf.TensorSpec) -> Callable[..., Any]:
    """``function`` as a TensorFlow graph that is traced once for all sizes that ``signature`` leaves open.

    Without AutoGraph, which would slow down the start: no ``if`` or ``for`` depends on a tensor's value.
    """
    graph: Callable[..., Any] = tf.function(function, input_signature=signature, autograph=False)
    return graph


def layers_3x3(layers: Iterable[Tuple[str, int, int]]) -> List[Layer]:
    """Layers ``(name, channels in, channels out)`` with 3x3 kernels and a stride of 1."""
    return [(name, 3, 1, channels, width) for name, channels, width in layers]
