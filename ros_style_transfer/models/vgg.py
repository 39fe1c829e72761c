"""Encoder and decoder as TensorFlow modules: frozen arrays in, features and pictures out."""

import tensorflow as tf

from .layers import Convolutions
from .shapes import MEAN_RGB, decoder_layers, encoder_layers, is_image, tap, upsampled


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


def preprocess(rgb, dtype=tf.float32):
    """RGB 0..1 less ImageNet's mean colour; what every encoder here sees."""
    return tf.cast(rgb - tf.constant(MEAN_RGB, rgb.dtype), dtype)
