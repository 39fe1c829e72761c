"""The live models: one encoder and one decoder that stylize all levels in a single round."""

from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Type

import tensorflow as tf

from .layers import Convolutions, traced
from .network import Modulation, Moments, Network
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
    live_receptive_radii,
    live_stride,
)
from .weights import Arrays

PICTURE = tf.TensorSpec((None, None, 3))
VECTOR = tf.TensorSpec((None,))


class Live(Network):
    """The network of `live` and `lite`; `shapes.live_layers` describes its layers.

    Levels 1 and 2 are features of the encoder, at an eighth and a sixteenth of the picture's sides; level 0 is
    features of the decoder, at a quarter.  Their transformed statistics modulate the decoder, and the colors of the
    decoded image are transformed last.

    Args:
        arrays: the weights, as `weights.load` returns them.
        widths: channels at a quarter, an eighth and a sixteenth of the sides.
        blocks: residual blocks of the decoder there.
        dtype: precision of the convolutions.
        convolutions: `layers.Convolutions` or a class with the same interface.

    Attributes:
        net: the convolutions.
    """

    def __init__(
        self,
        arrays: Arrays,
        widths: Sequence[int],
        blocks: Sequence[int] = LIVE_BLOCKS,
        dtype: tf.DType = tf.float32,
        convolutions: Type[Convolutions] = Convolutions,
    ) -> None:
        self._layers, self._widths, self._blocks = live_layers(widths, blocks), tuple(widths), tuple(blocks)
        self.levels = (DECODER_LEVEL, *ENCODER_LEVELS)
        self.modulation_levels, self.noise_levels = ENCODER_LEVELS, DECODER_LEVELS
        self.style_levels = (IMAGE_LEVEL, *self.levels)
        layers = [(name, *shape) for name, shape in self._layers.items()]
        self.net = convolutions(layers, arrays, "", dtype, padding="zero", reflected=REFLECTED)
        self.dtype = self.net.dtype
        # Features one by one: TensorFlow before 2.14 accepts no dictionary whose keys are numbers.
        features = [tf.TensorSpec((None, None, widths[level]), self.dtype) for level in (1, 2, 0)]
        self._encode = traced(self._encode_graph, PICTURE)
        self._modulate = traced(self._modulation_graph, *[VECTOR] * (2 * len(ENCODER_LEVELS)))
        self._decode_features = traced(self._decode_features_graph, *features[:2], *self._modulation_specs((2, 1)))
        self._decode_image = traced(self._decode_image_graph, features[2], *self._modulation_specs((0,)))

    def rounds(self, levels: Sequence[int]) -> List[Tuple[int, ...]]:
        """All levels in one round; see `Network.rounds`."""
        return [tuple(levels)]

    def stride(self, level: int) -> int:
        """See `Network.stride`."""
        return live_stride(level)

    def receptive_radii(self, levels: Sequence[int]) -> Tuple[int, int]:
        """See `Network.receptive_radii`."""
        return live_receptive_radii(self._blocks)

    def encode(self, rgb: Any, levels: Sequence[int] = ENCODER_LEVELS) -> Mapping[int, tf.Tensor]:
        """``{level: features [h / s, w / s, c]}`` of both levels of the encoder; see `Network.encode`."""
        features: Mapping[int, tf.Tensor] = self._encode(rgb)
        return features

    def modulation(self, moments: Mapping[int, Moments]) -> Tuple[Modulation, Modulation]:
        """Gains and shifts ``[c]`` of the modulated layers of each half of the decoder, in order, then the gains
        ``[c]`` of the noise at its levels; see `Network.modulation`."""
        values = self._modulate(*(moments[level][part] for part in (0, 1) for level in ENCODER_LEVELS))
        count = 2 * len(live_modulated(self._blocks, (2, 1)))
        return values[:count] + values[-3:-1], values[count:-3] + values[-1:]

    def decode_features(
        self,
        features: Mapping[int, tf.Tensor],
        modulation: Modulation = (),
        noise: Optional[Mapping[int, Any]] = None,
    ) -> tf.Tensor:
        """The encoder's features to the decoder's at a quarter of the sides; see `Network.decode_features`.

        Args:
            noise: ``{level: [h / s, w / s, 1]}``, float32, `noise.texture_noise` times the strength; None: none.
        """
        planes = [
            tf.zeros(tf.shape(features[level])[:2])[..., None] if noise is None else noise[level] for level in (2, 1)
        ]
        return self._decode_features(*(features[level] for level in ENCODER_LEVELS), *modulation, *planes)

    def decode_image(
        self, features: tf.Tensor, modulation: Modulation = (), noise: Optional[Mapping[int, Any]] = None
    ) -> tf.Tensor:
        """The decoder's features to the image, folded to a quarter of its sides: ``[h / 4, w / 4, 48]``, float32;
        see `Network.decode_image`."""
        plane = tf.zeros(tf.shape(features)[:2])[..., None] if noise is None else noise[DECODER_LEVEL]
        return self._decode_image(features, *modulation, plane)

    def unfold(self, image: tf.Tensor) -> tf.Tensor:
        """``[h / 4, w / 4, 48]`` to RGB ``[h, w, 3]``."""
        return tf.nn.depth_to_space(image[None], FOLD)[0]

    def _encode_graph(self, rgb: tf.Tensor) -> Dict[int, tf.Tensor]:
        net = self.net
        x = tf.cast(tf.expand_dims(rgb - tf.constant(MEAN_RGB), 0), net.dtype)
        x = net(net(tf.nn.space_to_depth(x, FOLD), "stem"), "encoder1a")
        first = net(x, "encoder1b", relu=False)
        x = net(net.relu(first), "encoder2a")
        return {1: first[0], 2: net(x, "encoder2b", relu=False)[0]}

    def _decode_features_graph(self, first: tf.Tensor, second: tf.Tensor, *inputs: tf.Tensor) -> tf.Tensor:
        """``inputs``: gains and shifts of the layers, two gains of the noise, and two planes of noise."""
        net, modulation = self.net, iter(inputs[:-4])
        x = tf.expand_dims(second, 0)
        for level, gain, plane in zip((2, 1), inputs[-4:-2], inputs[-2:]):
            x = self._residual_blocks(self._add_noise(x, gain, plane), level, modulation)
            x = net.upsample(net(net.relu(x), "up%d" % level, relu=False, modulation=_next_pair(modulation)))
            if level == 2:
                x += tf.expand_dims(first, 0)
        return x[0]

    def _decode_image_graph(self, features: tf.Tensor, *inputs: tf.Tensor) -> tf.Tensor:
        """``inputs``: gains and shifts of the layers, the gain of the noise, and a plane of noise."""
        modulation, gain, plane = iter(inputs[:-2]), inputs[-2], inputs[-1]
        x = self._add_noise(tf.expand_dims(features, 0), gain, plane)
        x = self._residual_blocks(x, DECODER_LEVEL, modulation)
        x = self.net(self.net.relu(x), "image", relu=False)[0]
        return tf.cast(x, tf.float32) + tf.tile(tf.constant(MEAN_RGB), [FOLD**2])

    def _add_noise(self, x: tf.Tensor, gain: tf.Tensor, plane: tf.Tensor) -> tf.Tensor:
        return x + gain * tf.cast(plane, self.dtype)

    def _residual_blocks(self, x: tf.Tensor, level: int, modulation: Iterator[tf.Tensor]) -> tf.Tensor:
        net = self.net
        for first, second in live_blocks(self._blocks, level):
            y = net(net.relu(x), first, modulation=_next_pair(modulation))
            x += net(y, second, relu=False, modulation=_next_pair(modulation))
        return x

    def _modulation_graph(self, *moments: tf.Tensor) -> List[tf.Tensor]:
        """``moments``: the means of the encoder's levels, then the variances."""
        count = len(ENCODER_LEVELS)
        code = tf.concat([*moments[:count], *(tf.sqrt(variance + 1e-5) for variance in moments[count:])], 0)
        code = tf.nn.relu(self.net.dense(tf.cast(code, self.dtype), "style_code"))
        values = self.net.dense(code, "modulation")
        parts: List[tf.Tensor] = tf.split(values, self._modulation_widths((2, 1, 0)))
        return parts

    def _modulation_widths(self, levels: Sequence[int]) -> List[int]:
        """Channels of the gains and shifts at ``levels`` of the decoder, then those of the noise's gains."""
        names = live_modulated(self._blocks, levels)
        return [
            *(self._layers[name][3] for name in names for _ in ("gain", "shift")),
            *(self._widths[level] for level in levels),
        ]

    def _modulation_specs(self, levels: Sequence[int]) -> List[tf.TensorSpec]:
        return [
            *(tf.TensorSpec((width,), self.dtype) for width in self._modulation_widths(levels)),
            *(tf.TensorSpec((None, None, 1)) for _ in levels),
        ]


def _next_pair(modulation: Iterator[tf.Tensor]) -> Tuple[tf.Tensor, tf.Tensor]:
    """The gain and the shift of the next layer."""
    return next(modulation), next(modulation)
