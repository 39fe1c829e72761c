"""What every network here is made of: convolutions, and functions as graphs."""

import tensorflow as tf

from ..errors import WeightsError


def reflect(x):
    """``x [1, h, w, c]`` with one more position on each side, the last but one; `tf.pad` takes three times as long."""
    x = tf.concat([x[:, :, 1:2], x, x[:, :, -2:-1]], 2)
    rows = tf.shape(x)[1]
    return tf.gather(x, tf.concat([[1], tf.range(rows), [rows - 2]], 0), axis=1)


class Convolutions(tf.Module):
    """Named convolutions, their weights checked against their shapes.

    Args:
        layers: ``[(name, side of the kernel, stride, channels in, channels out), ...]``.
        arrays: ``PREFIXNAME_kernel`` ``[side, side, in, out]`` and ``PREFIXNAME_bias`` ``[out]``; numpy.
        dtype: what the convolutions compute in.
        padding: ``reflect``, or ``zero`` as ImageNet's networks have it.
        reflected: with ``zero``, the layers that reflect their input all the same.

    Attributes:
        shapes: ``{name: (side of the kernel, stride, channels in, channels out)}``.

    Raises:
        WeightsError: an array is missing or has another shape.
    """

    def __init__(self, layers, arrays, prefix, dtype, name, padding="reflect", reflected=()):
        super().__init__(name=name)
        self.dtype = tf.as_dtype(dtype)
        self._reflected = {layer[0] for layer in layers} if padding == "reflect" else set(reflected)
        self._weights, self.shapes = {}, {}
        for layer, side, stride, channels, width in layers:
            self.shapes[layer] = (side, stride, channels, width)
            for part, shape in (("_kernel", (side, side, channels, width)), ("_bias", (width,))):
                key = prefix + layer + part
                if key not in arrays or arrays[key].shape != shape:
                    found = arrays[key].shape if key in arrays else "nothing"
                    raise WeightsError("the weights must hold %s of shape %s, found %s" % (key, shape, found))
                self._weights[layer + part] = tf.constant(arrays[key], self.dtype)

    def __call__(self, x, layer, relu=True, modulation=None):
        """``x [1, h, w, in]`` to ``[1, h / stride, w / stride, out]``.

        Args:
            modulation: (gain, bias), ``[out]`` each: channels are multiplied by 1 + gain, the bias is added.
        """
        side, stride = self.shapes[layer][:2]
        kernel, bias = self._weights[layer + "_kernel"], self._weights[layer + "_bias"]
        if modulation is not None:  # of the weights, which are fewer than the values
            gain, shift = modulation
            kernel, bias = kernel * (1.0 + gain), bias * (1.0 + gain) + shift
        x, padding = self._padded(x, layer, side)
        x = tf.nn.bias_add(tf.nn.conv2d(x, kernel, stride, padding), bias)
        return tf.nn.relu(x) if relu else x

    def dense(self, x, layer):
        """A 1x1 convolution of one position, ``[in]`` to ``[out]``.

        It is a plain sum because TensorFlow's product of a vector and a matrix is rounded differently in one thread
        than in several, and then in every pixel of the picture.
        """
        kernel, bias = self._weights[layer + "_kernel"], self._weights[layer + "_bias"]
        return tf.reduce_sum(x[:, None] * kernel[0, 0], 0) + bias

    def _padded(self, x, layer, side, reflect=reflect):
        """``x`` for a convolution, and TensorFlow's name for the padding that is left to do."""
        return (reflect(x), "VALID") if side == 3 and layer in self._reflected else (x, "SAME")

    def relu(self, x):
        """What is above zero, for the layer that follows."""
        # After a residual's sum `tf.nn.relu` is more than TensorFlow's remapper can take: it says so and fuses nothing.
        return tf.maximum(x, tf.zeros((), x.dtype))

    def upsample(self, x):
        """Twofold, nearest: before a convolution it leaves no checkerboard (Odena et al. 2016)."""
        shape = tf.shape(x)
        return tf.image.resize(x, (2 * shape[1], 2 * shape[2]), "nearest")


def graph(function, *signature):
    """``function`` as a TensorFlow graph, traced once for all sizes that ``signature`` leaves open.

    AutoGraph, which would translate Python's own ``if`` and ``for``, costs start-up time; there are
    none that depend on tensors.
    """
    return tf.function(function, input_signature=signature, autograph=False)
