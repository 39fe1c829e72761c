"""The live model: one encoder, one decoder, whitening and colouring between them."""

import tensorflow as tf

from .layers import Convolutions, graph
from .shapes import (
    DECODER_LEVEL,
    DECODER_LEVELS,
    ENCODER_LEVELS,
    FOLD,
    IMAGE_LEVEL,
    LIVE_BLOCKS,
    MEAN_RGB,
    REFLECTED,
    live_blocks,
    live_layers,
    live_modulated,
    live_reach,
    live_stride,
)

PICTURE = tf.TensorSpec((None, None, 3))
VECTOR = tf.TensorSpec((None,))


class Live(tf.Module):
    """One pass stylizes: the encoder's features at an eighth and a sixteenth of the picture's sides
    (levels 1 and 2), the decoder's own at a quarter (level 0) and the image's colors are given the style's
    statistics in turn.

    Args:
        arrays: the weights, as `weights.load` gives them.
        widths: channels at a quarter, an eighth and a sixteenth of the sides, from the manifest.
        blocks: the decoder's residual blocks there, from the manifest.
        dtype: precision of the convolutions.
        kind: `layers.Convolutions` or a class like it.

    Attributes:
        levels: those whose features are transformed, finest first.
        modulation_levels: those whose statistics modulate the decoder.
        noise_levels: those of the decoder where noise is added.
        style_levels: those that a style is known by.
        net: the convolutions, `layers.Convolutions`.
    """

    def __init__(self, arrays, widths, blocks=LIVE_BLOCKS, dtype=tf.float32, kind=Convolutions):
        super().__init__(name="live")
        self._layers, self._widths, self._blocks = live_layers(widths, blocks), tuple(widths), tuple(blocks)
        self.levels = (DECODER_LEVEL, *ENCODER_LEVELS)
        self.modulation_levels, self.noise_levels = ENCODER_LEVELS, DECODER_LEVELS
        self.style_levels = (IMAGE_LEVEL, *self.levels)
        layers = [(name, *shape) for name, shape in self._layers.items()]
        self.net = kind(layers, arrays, "", dtype, "network", padding="zero", reflected=REFLECTED)
        self.dtype = self.net.dtype
        # One by one: TensorFlow before 2.14 takes no dictionary whose keys are numbers.
        features = [tf.TensorSpec((None, None, widths[level]), self.dtype) for level in (1, 2, 0)]
        self._encode = graph(self._encoded, PICTURE)
        self._modulate = graph(self._modulated, *[VECTOR] * (2 * len(ENCODER_LEVELS)))
        self._decode_features = graph(self._features_decoded, *features[:2], *self._modulation_specs((2, 1)))
        self._decode_image = graph(self._image_decoded, features[2], *self._modulation_specs((0,)))

    def rounds(self, levels):
        """The levels that one encoding and decoding transforms: all at once."""
        return [tuple(levels)]

    def stride(self, level):
        """Pixels from one position of the level's features to the next."""
        return live_stride(level)

    def reach(self, levels):
        """The receptive radii of encoder and decoder, pixels."""
        return live_reach(self._blocks)

    def ground_share(self, strength, number):
        """None: the picture stands on no canvas."""
        return None

    def encode(self, rgb, levels=ENCODER_LEVELS, ground=None):
        """``{level: features [h / stride, w / stride, c]}`` of the encoder's levels.

        Args:
            rgb: float32 ``[h, w, 3]``, 0..1; sides are multiples of 16 and 32 at least.
        """
        return self.features(rgb, levels)

    def laid(self, rgb, ground):
        """The picture as the network sees it: as it is."""
        return rgb

    def features(self, rgb, levels):
        """What `encode` gives."""
        return self._encode(rgb)

    def taps(self, rgb):
        """``{level: features}`` of a style picture, float32 ``[h, w, 3]``."""
        return self._encode(rgb)

    def modulation(self, moments):
        """The style's modulation of both halves of the decoder, each for its own layers in order: their gains and
        shifts ``[c]``, then the gains ``[c]`` of the noise of its levels.

        Args:
            moments: ``{level: (mean [c], variance [c])}`` of the whole picture's features at the encoder's
                levels after the transform, float32.
        """
        parts = self._modulate(*(moments[level][part] for part in (0, 1) for level in ENCODER_LEVELS))
        count = 2 * len(live_modulated(self._blocks, (2, 1)))
        return parts[:count] + parts[-3:-1], parts[count:-3] + parts[-1:]

    def decode_features(self, features, modulation, noise=None):
        """The encoder's features, transformed, to the decoder's own at a quarter of the sides.

        Args:
            noise: ``{level: [h / stride, w / stride, 1]}``, float32, `noise.texture_noise` as strong as the picture is
                stylized; None: none.
        """
        planes = [
            tf.zeros(tf.shape(features[level])[:2])[..., None] if noise is None else noise[level] for level in (2, 1)
        ]
        return self._decode_features(*(features[level] for level in ENCODER_LEVELS), *modulation, *planes)

    def decode_image(self, features, modulation, noise):
        """The decoder's features, transformed, to the image folded to a quarter of its sides: ``[h/4, w/4, 48]``
        float32."""
        return self._decode_image(features, *modulation, noise[DECODER_LEVEL])

    def unfold(self, folded):
        """``[h/4, w/4, 48]`` to RGB ``[h, w, 3]``."""
        return tf.nn.depth_to_space(folded[None], FOLD)[0]

    def _encoded(self, rgb):
        net = self.net
        x = tf.cast(tf.expand_dims(rgb - tf.constant(MEAN_RGB), 0), net.dtype)
        x = net(net(tf.nn.space_to_depth(x, FOLD), "stem"), "encoder1a")
        first = net(x, "encoder1b", relu=False)
        x = net(net.relu(first), "encoder2a")
        return {1: first[0], 2: net(x, "encoder2b", relu=False)[0]}

    def _features_decoded(self, first, second, *given):
        (layers, gains, planes), net = (iter(given[:-4]), given[-4:-2], given[-2:]), self.net
        x = tf.expand_dims(second, 0)
        for level, gain, noise in zip((2, 1), gains, planes):
            x = self._residual(self._noisy(x, gain, noise), level, layers)
            x = net.upsample(net(net.relu(x), "up%d" % level, relu=False, modulation=(next(layers), next(layers))))
            if level == 2:
                x += tf.expand_dims(first, 0)
        return x[0]

    def _image_decoded(self, features, *given):
        layers, gain, noise = iter(given[:-2]), given[-2], given[-1]
        x = self._residual(self._noisy(tf.expand_dims(features, 0), gain, noise), DECODER_LEVEL, layers)
        x = self.net(self.net.relu(x), "image", relu=False)[0]
        return tf.cast(x, tf.float32) + tf.tile(tf.constant(MEAN_RGB), [FOLD**2])

    def _noisy(self, x, gain, noise):
        return x + gain * tf.cast(noise, self.dtype)

    def _residual(self, x, level, layers):
        net = self.net
        for first, second in live_blocks(self._blocks, level):
            y = net(net.relu(x), first, modulation=(next(layers), next(layers)))
            x += net(y, second, relu=False, modulation=(next(layers), next(layers)))
        return x

    def _modulated(self, *moments):
        count = len(ENCODER_LEVELS)
        code = tf.concat([*moments[:count], *(tf.sqrt(variance + 1e-5) for variance in moments[count:])], 0)
        code = tf.nn.relu(self.net.dense(tf.cast(code, self.dtype), "style_code"))
        values = self.net.dense(code, "modulation")
        return tf.split(values, self._modulation_widths((2, 1, 0)))

    def _modulation_widths(self, levels):
        """Values of each part of the modulation of the decoder's ``levels``."""
        names = live_modulated(self._blocks, levels)
        return [
            *(self._layers[name][3] for name in names for _ in ("gain", "shift")),
            *(self._widths[level] for level in levels),
        ]

    def _modulation_specs(self, levels):
        return [
            *(tf.TensorSpec((width,), self.dtype) for width in self._modulation_widths(levels)),
            *(tf.TensorSpec((None, None, 1)) for _ in levels),
        ]
