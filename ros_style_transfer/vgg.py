"""Encoder and decoder as TensorFlow modules: frozen arrays in, features and pictures out."""
import tensorflow as tf

from .architecture import MEAN_RGB, decoder_layers, encoder_layers, is_image, tap, upsampled
from .errors import WeightsError
from .meter import shortest


class Convolutions(tf.Module):
    """Named convolutions, their weights checked against their shapes.

    Args:
        layers: ``[(name, side of the kernel, stride, channels in, channels out), ...]``.
        arrays: ``PREFIXNAME_kernel`` ``[side, side, in, out]`` and ``PREFIXNAME_bias`` ``[out]``; numpy.
        dtype: what the convolutions compute in.
        padding: ``reflect``, or ``zero`` as ImageNet's networks have it.

    Attributes:
        shapes: ``{name: (side of the kernel, stride, channels in, channels out)}``.

    Raises:
        WeightsError: an array is missing or has another shape.
    """

    def __init__(self, layers, arrays, prefix, dtype, name, padding="reflect"):
        super().__init__(name=name)
        self.dtype, self._padding = tf.as_dtype(dtype), "SAME" if padding == "zero" else "VALID"
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
        if side == 3 and self._padding == "VALID":
            x = reflect(x)  # zero padding would darken the borders, level by level
        x = tf.nn.bias_add(tf.nn.conv2d(x, kernel, stride, self._padding), bias)
        return tf.nn.relu(x) if relu else x

    def relu(self, x):
        """What is above zero, for the layer that follows."""
        return tf.nn.relu(x)

    def upsample(self, x):
        """Twofold, nearest: before a convolution it leaves no checkerboard (Odena et al. 2016)."""
        shape = tf.shape(x)
        return tf.image.resize(x, (2 * shape[1], 2 * shape[2]), "nearest")


class Encoder(Convolutions):
    """The VGG-shaped encoder of one level: RGB to the features at its ReLU, relu1_1..relu5_1.

    Args:
        arrays: ``encoder_level5_block1_conv1_kernel`` ``[3, 3, in, out]``, ``..._bias`` and so on; numpy.
        backbone: ``vgg16`` or ``vgg19``.
        widths: channels of the five blocks.
        dtype: what the convolutions compute in.
    """

    def __init__(self, level, arrays, backbone, widths, dtype=tf.float32):
        layers = encoder_layers(backbone, widths, last=level)
        self._layers = [layer for layer, _, _ in layers]
        super().__init__(_threes(layers), arrays, "encoder_level%d_" % level, dtype, "encoder%d" % level)

    def encode(self, rgb):
        """RGB, float ``[1, h, w, 3]``, 0..1, to features ``[1, h / 2^(level-1), w / 2^(level-1), c]``.

        The sides are multiples of ``2^(level-1)``.
        """
        x = preprocess(rgb, self.dtype)
        for layer in self._layers:
            if layer == tap(int(layer[5])) and layer != self._layers[0]:
                x = tf.nn.max_pool2d(x, 2, 2, "VALID")
            x = self(x, layer)
        return x


class Decoder(Convolutions):
    """The decoder of one level; `Encoder` says what the arguments are (``decoder_level5_block5_conv1_kernel`` ...)."""

    def __init__(self, level, arrays, backbone, widths, dtype=tf.float32):
        layers = decoder_layers(level, backbone, widths)
        self._layers = [layer for layer, _, _ in layers]
        super().__init__(_threes(layers), arrays, "decoder_", dtype, "decoder%d" % level)

    def decode(self, x):
        """Features of the level, ``[1, h, w, c]``, to RGB ``[1, h * 2^(level-1), ..., 3]``, about 0..1, unclipped."""
        for layer in self._layers:
            x = self(x, layer, relu=not is_image(layer))
            if upsampled(layer):
                x = self.upsample(x)
        return x


def _threes(layers):
    return [(name, 3, 1, channels, width) for name, channels, width in layers]


def reflect(x):
    """``x [1, h, w, c]`` with one more position on each side, the last but one; `tf.pad` takes three times as long."""
    x = tf.concat([x[:, :, 1:2], x, x[:, :, -2:-1]], 2)
    rows = tf.shape(x)[1]
    return tf.gather(x, tf.concat([[1], tf.range(rows), [rows - 2]], 0), axis=1)


def graph(function, *signature):
    """``function`` as a TensorFlow graph, traced once for all sizes that ``signature`` leaves open.

    AutoGraph, which would translate Python's own ``if`` and ``for``, costs start-up time; there are
    none that depend on tensors.
    """
    return tf.function(function, input_signature=signature, autograph=False)


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


def preprocess(rgb, dtype=tf.float32):
    """RGB 0..1 less ImageNet's mean colour; what every encoder here sees."""
    return tf.cast(rgb - tf.constant(MEAN_RGB, rgb.dtype), dtype)
