"""Encoders and decoders in the shape of VGG: the levels of the cascade."""

from typing import Sequence

import tensorflow as tf

from .layers import Convolutions, layers_3x3
from .shapes import MEAN_RGB, decoder_layers, encoder_layers, feature_layer, is_image_layer, is_upsampled
from .weights import Arrays


class Encoder(Convolutions):
    """The encoder of one level: RGB to the features relu1_1..relu5_1.

    Args:
        level: 1..5.
        arrays: ``encoder_level5_block1_conv1_kernel`` ``[3, 3, in, out]``, ``..._bias`` and so on.
        backbone: ``vgg16`` or ``vgg19``.
        widths: channels of the five blocks.
        dtype: precision of the convolutions.
    """

    def __init__(
        self, level: int, arrays: Arrays, backbone: str, widths: Sequence[int], dtype: tf.DType = tf.float32
    ) -> None:
        layers = encoder_layers(backbone, widths, last=level)
        self._layers = [layer for layer, _, _ in layers]
        super().__init__(layers_3x3(layers), arrays, "encoder_level%d_" % level, dtype)

    def encode(self, rgb: tf.Tensor) -> tf.Tensor:
        """RGB, float ``[1, h, w, 3]``, 0..1, to features ``[1, h / 2^(level-1), w / 2^(level-1), c]``.

        The sides are multiples of ``2^(level-1)``.
        """
        x = preprocess(rgb, self.dtype)
        for layer in self._layers:
            if layer == feature_layer(int(layer[5])) and layer != self._layers[0]:
                x = tf.nn.max_pool2d(x, 2, 2, "VALID")
            x = self(x, layer)
        return x


class Decoder(Convolutions):
    """The decoder of one level; for the arguments see `Encoder` (``decoder_level5_block5_conv1_kernel`` ...)."""

    def __init__(
        self, level: int, arrays: Arrays, backbone: str, widths: Sequence[int], dtype: tf.DType = tf.float32
    ) -> None:
        layers = decoder_layers(level, backbone, widths)
        self._layers = [layer for layer, _, _ in layers]
        super().__init__(layers_3x3(layers), arrays, "decoder_", dtype)

    def decode(self, x: tf.Tensor) -> tf.Tensor:
        """Features of the level, ``[1, h, w, c]``, to RGB ``[1, h * 2^(level-1), ..., 3]``, about 0..1, not clipped."""
        for layer in self._layers:
            x = self(x, layer, relu=not is_image_layer(layer))
            if is_upsampled(layer):
                x = self.upsample(x)
        return x


def preprocess(rgb: tf.Tensor, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """The input of an encoder: RGB, 0..1, minus ImageNet's mean color."""
    return tf.cast(rgb - tf.constant(MEAN_RGB, rgb.dtype), dtype)
