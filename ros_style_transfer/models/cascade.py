"""The cascade of Li et al. 2017 (figure 1c): five rounds of encoding and decoding, coarse to fine."""

import functools

import tensorflow as tf

from .canvas import CANVAS_DEPTH
from .layers import graph
from .shapes import LEVELS, cascade_reach
from .vgg import Decoder, Encoder

PICTURE = tf.TensorSpec((None, None, 3))


class Cascade(tf.Module):
    """The five encoders and decoders of the multi-level WCT; `painter.paint` runs them level by level.

    Args:
        arrays: the weights, as `weights.load` gives them.
        widths: the channels of the five blocks, from the manifest.
        backbone: ``vgg16`` or ``vgg19``.
        dtype: what the convolutions compute in.
    """

    def __init__(self, arrays, widths, backbone, dtype=tf.float32):
        super().__init__(name="cascade")
        self.encoders = {level: Encoder(level, arrays, backbone, widths, dtype) for level in LEVELS}
        self.decoders = {level: Decoder(level, arrays, backbone, widths, dtype) for level in LEVELS}
        self.dtype = tf.as_dtype(dtype)
        self.levels = self.style_levels = LEVELS
        self.modulation_levels = self.noise_levels = ()  # nothing but features drives a decoder
        self._backbone = backbone
        # One graph for all sizes: a new camera, or a folder of pictures, never waits for tracing.
        self._encode, self._decode = {}, {}
        for level, width in zip(sorted(LEVELS), widths):
            features = tf.TensorSpec((None, None, width), self.dtype)
            self._encode[level] = graph(functools.partial(self._encoded, level=level), PICTURE)
            self._decode[level] = graph(functools.partial(self._decoded, level=level), features)

    def rounds(self, levels):
        """The levels that one encoding and decoding paints, in turn: each by itself."""
        return [(level,) for level in levels]

    def stride(self, level):
        """Pixels from one position of the level's features to the next."""
        return 2 ** (level - 1)

    def reach(self, levels):
        """How many pixels around a position the encoder sees, and how many around a pixel the decoder."""
        return max(cascade_reach(level, self._backbone) for level in levels)

    def ground_share(self, strength, number):
        """How much of the `canvas.ground` lies under the picture in round ``number`` of a pass, 0..1; None: nothing.

        What the first round has painted has texture of its own.  A decoder gives back all that it is
        given, so of the canvas there is as much as of the style.
        """
        return strength if number == 0 else None

    def encode(self, rgb, levels, ground=None):
        """``{level: features [h / 2^(level-1), w / 2^(level-1), c]}`` of the one level asked for.

        Args:
            rgb: float32 ``[h, w, 3]``, 0..1; sides are multiples of 16 and 32 at least.
            ground: float32 ``[h, w]``, what lies under the picture, `canvas.ground`; None: nothing.
        """
        return self.features(self.laid(rgb, ground), levels)

    def laid(self, rgb, ground):
        """The picture as the network sees it, ``[h, w, 3]``: on what lies under it."""
        return rgb if ground is None else rgb + CANVAS_DEPTH * ground[..., None]

    def features(self, laid, levels):
        """What `encode` gives, of a picture that is `laid`."""
        (level,) = levels
        return {level: self._encode[level](laid)}

    def taps(self, rgb):
        """``{level: features}`` of all five levels of a style picture, float32 ``[h, w, 3]``; without the canvas."""
        return {level: self._encode[level](rgb) for level in LEVELS}

    def modulation(self, moments):
        """Nothing: no style drives a decoder here but by its features."""
        return (), ()

    def decode_features(self, features, modulation=(), noise=None):
        """The features as they are: a decoder here is one, from its level to the picture."""
        return features

    def decode_image(self, features, modulation=(), noise=None):
        """What `encode` gave, transformed, to RGB ``[h, w, 3]`` float32, unclipped."""
        ((level, values),) = features.items()
        return self._decode[level](values)

    def unfold(self, image):
        """The image as it is."""
        return image

    def _encoded(self, rgb, level):
        return self.encoders[level].encode(rgb[None])[0]

    def _decoded(self, features, level):
        return tf.cast(self.decoders[level].decode(features[None])[0], tf.float32)
