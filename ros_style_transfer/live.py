"""The live model: one encoder, one decoder, whitening and colouring at the taps between them."""
import numpy as np
import tensorflow as tf

from .architecture import (
    DRAWN,
    LIVE_PAIRS,
    LIVE_TAPS,
    MEAN_RGB,
    live_layers,
    live_levels,
    live_modulated,
    live_pairs,
    live_reach,
)
from .ground import ground as ground_of
from .vgg import Convolutions, graph, upsample

PICTURE = tf.TensorSpec((None, None, 3))
PLANE = tf.TensorSpec((None, None))
VECTOR = tf.TensorSpec((None,))
# ImageNet's mean colour as it lies in four pixels folded into channels (space to depth), and the canvas' mean.
FOLDED_MEAN = np.float32([*MEAN_RGB] * 4 + [0.0] * 4)


class Live(tf.Module):
    """One pass paints: the picture's features at a quarter to a sixteenth of its sides (levels 1..3)
    are all taken from the picture itself, given the style's statistics, and decoded together.

    Args:
        arrays: the weights, as `weights.load` gives them.
        widths: the channels at a half and at the three levels, from the manifest.
        pairs: the decoder's residual pairs at the three levels, from the manifest; where none are left
            (`lite`), only the style is seen that deep, and drives the decoder by its statistics.
        dtype: what the convolutions compute in.

    Attributes:
        levels: the taps whose features are painted, finest first.
        code_levels: those whose statistics drive the decoder.
        style_levels: those that a style is known by.
        net: the convolutions, `vgg.Convolutions`.
    """

    def __init__(self, arrays, widths, pairs=LIVE_PAIRS, dtype=tf.float32):
        super().__init__(name="live")
        self._layers, self._pairs = live_layers(widths, pairs), tuple(pairs)
        self.taps_decoded = live_levels(pairs)
        self.levels = (DRAWN, *self.taps_decoded)
        self.code_levels = LIVE_TAPS
        self.style_levels = (DRAWN, *LIVE_TAPS)
        layers = [(name, *shape) for name, shape in self._layers.items()]
        self.net = Convolutions(layers, arrays, "", dtype, "network")
        self.dtype = self.net.dtype
        # One by one: TensorFlow before 2.14 takes no dictionary whose keys are numbers.
        features = [tf.TensorSpec((None, None, widths[level]), self.dtype) for level in self.taps_decoded]
        self._encode = {last: graph(lambda rgb, ground, last=last: self._encoded(rgb, ground, last), PICTURE, PLANE)
                        for last in LIVE_TAPS}
        moments = [VECTOR] * (2 * len(LIVE_TAPS))
        self._draw = graph(self._drawn, *features, *moments)
        self._finish = graph(self._finished, tf.TensorSpec((None, None, widths[1]), self.dtype), *moments)

    def rounds(self, levels):
        """The levels that one encoding and decoding paints: all at once."""
        return [tuple(levels)]

    def stride(self, level):
        """Pixels from one position of the level's features to the next."""
        return 4 if level == DRAWN else 2 ** (level + 1)

    def reach(self, levels):
        """How many pixels around a position the encoder sees, and how many around a pixel the decoder."""
        return live_reach({*levels, *self.taps_decoded}, self._pairs)

    def ground_share(self, strength, number):
        """How much of the `ground.ground` lies under the picture in round ``number`` of a pass, 0..1.

        All of it: the decoder leaves out what no style has changed.
        """
        return 1.0

    def encode(self, rgb, levels, ground=None):
        """``{level: features [h / 2^(level+1), w / 2^(level+1), c]}`` of all that are painted, and ``levels``.

        Args:
            rgb: float32 ``[h, w, 3]``, 0..1; sides are multiples of 16 and 32 at least.
            ground: float32 ``[h, w]``, what lies under the picture, `ground.ground`; None: what does by itself.
        """
        ground = ground_of(np.asarray(rgb)) if ground is None else ground
        return self._encode[max(*levels, *self.taps_decoded)](rgb, tf.convert_to_tensor(ground))

    def taps(self, rgb):
        """``{level: features}`` of all three levels of a style picture, float32 ``[h, w, 3]``.

        A style brings no canvas: its own texture is to be met.
        """
        return self._encode[LIVE_TAPS[-1]](rgb, tf.zeros(tf.shape(rgb)[:2]))

    def draw(self, features, moments):
        """What `encode` gave, transformed, to what the decoder draws of it: features at the level `DRAWN`.

        Args:
            moments: ``{level: (mean [c], variance [c])}`` of the whole picture's features at all three taps
                after the transform, float32.
        """
        return self._draw(*(features[level] for level in self.taps_decoded), *_flat(moments))

    def finish(self, drawn, moments):
        """What `draw` gave, transformed, to RGB ``[h, w, 3]`` float32, unclipped."""
        return self._finish(drawn, *_flat(moments))

    def _encoded(self, rgb, ground, last):
        net = self.net
        planes = (tf.nn.space_to_depth(plane, 2) for plane in (rgb[None], ground[None, ..., None]))
        x = tf.cast(tf.concat(list(planes), -1) - FOLDED_MEAN, net.dtype)
        taps = {1: net(net(x, "encoder0"), "encoder1", relu=False)}
        for level in range(2, last + 1):
            x = net(tf.nn.relu(taps[level - 1]), "encoder%da" % level)
            taps[level] = net(x, "encoder%db" % level, relu=False)
        return {level: x[0] for level, x in taps.items()}

    def _drawn(self, *given):
        features = dict(zip(self.taps_decoded, given))
        net, modulation = self.net, self._modulation(given[len(self.taps_decoded):])
        x = features[self.taps_decoded[-1]][None]
        for level in self.taps_decoded[::-1]:
            for _, first, second in (pair for pair in live_pairs(self._pairs) if pair[0] == level):
                x += net(net(tf.nn.relu(x), first, modulation=modulation[first]), second, relu=False)
            if level > 1:
                x = upsample(net(tf.nn.relu(x), "up%d" % level, relu=False)) + features[level - 1][None]
        return x[0]

    def _finished(self, drawn, *moments):
        net, modulation = self.net, self._modulation(moments)
        x = tf.nn.depth_to_space(net(tf.nn.relu(drawn[None]), "up1"), 2)
        x = net(x, "decoder0", modulation=modulation["decoder0"])
        x = net(x, "image", relu=False)
        return tf.nn.depth_to_space(tf.cast(x, tf.float32) + FOLDED_MEAN[:12], 2)[0]

    def _modulation(self, moments):
        """``{layer: (gain, bias)}``, ``[c]`` each: how the style drives the decoder's channels."""
        means, variances = moments[:len(LIVE_TAPS)], moments[len(LIVE_TAPS):]
        code = tf.concat([*means, *(tf.sqrt(variance + 1e-5) for variance in variances)], 0)
        code = tf.cast(code, self.dtype)[None, None, None]
        names = live_modulated(self._pairs)
        values = iter(tf.split(self.net(self.net(code, "code0"), "code", relu=False)[0, 0, 0],
                               [self._layers[name][3] for name in names for _ in range(2)]))
        return {name: (next(values), next(values)) for name in names}


def _flat(moments):
    return [moments[level][part] for part in (0, 1) for level in LIVE_TAPS]
