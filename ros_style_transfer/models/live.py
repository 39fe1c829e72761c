"""The live model: one encoder, one decoder, whitening and colouring at the taps between them."""
import functools

import cv2
import numpy as np
import tensorflow as tf

from .canvas import ground as ground_of
from .layers import Convolutions, graph
from .shapes import (
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

LAID = tf.TensorSpec((None, None, 4))
VECTOR = tf.TensorSpec((None,))
# Where R, G, B and the canvas of each of four pixels folded into channels lie in the weights of ``encoder0``.
FOLDED = (0, 1, 2, 12, 3, 4, 5, 13, 6, 7, 8, 14, 9, 10, 11, 15)
# The canvas, whose deviation is 1, goes in at this scale, and its weights make it good: beside colours of 0..1
# it would leave them few of an 8-bit integer's steps.
CANVAS_SCALE = 0.125


class Live(tf.Module):
    """One pass paints: the picture's features at a quarter to a sixteenth of its sides (levels 1..3)
    are all taken from the picture itself, given the style's statistics, and decoded together.

    Args:
        arrays: the weights, as `weights.load` gives them.
        widths: the channels at a half and at the three levels, from the manifest.
        pairs: the decoder's residual pairs at the three levels, from the manifest; where none are left
            (`lite`), only the style is seen that deep, and drives the decoder by its statistics.
        dtype: what the convolutions compute in.
        kind: `layers.Convolutions` or another class like it.

    Attributes:
        levels: the taps whose features are painted, finest first.
        code_levels: those whose statistics drive the decoder.
        style_levels: those that a style is known by.
        net: the convolutions, `layers.Convolutions`.
    """

    def __init__(self, arrays, widths, pairs=LIVE_PAIRS, dtype=tf.float32, kind=Convolutions):
        super().__init__(name="live")
        self._layers, self._pairs = live_layers(widths, pairs), tuple(pairs)
        stem = arrays.get("encoder0_kernel")
        if stem is not None and stem.shape[2:3] == (len(FOLDED),):  # else the convolutions will say what is wrong
            scales = np.float32([1.0, 1.0, 1.0, 1.0 / CANVAS_SCALE] * 4)
            arrays = dict(arrays, encoder0_kernel=stem[:, :, FOLDED] * scales[:, None])
        self.taps_decoded = live_levels(pairs)
        self.levels = (DRAWN, *self.taps_decoded)
        self.code_levels = LIVE_TAPS
        self.style_levels = (DRAWN, *LIVE_TAPS)
        layers = [(name, *shape) for name, shape in self._layers.items()]
        self.net = kind(layers, arrays, "", dtype, "network")
        self.dtype = self.net.dtype
        # One by one: TensorFlow before 2.14 takes no dictionary whose keys are numbers.
        features = [tf.TensorSpec((None, None, widths[level]), self.dtype) for level in self.taps_decoded]
        self._encode = {last: graph(functools.partial(self._encoded, last=last), LAID)
                        for last in LIVE_TAPS}
        self._code = graph(self._coded, *[VECTOR] * (2 * len(LIVE_TAPS)))
        driven = [tf.TensorSpec((self._layers[name][3],), self.dtype) for name in live_modulated(pairs)
                  for _ in ("gain", "bias")]
        self._draw = graph(self._drawn, *features, *driven[:-2])
        self._finish = graph(self._finished, tf.TensorSpec((None, None, widths[1]), self.dtype), *driven[-2:])

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
        """How much of the `canvas.ground` lies under the picture in round ``number`` of a pass, 0..1.

        All of it: the decoder leaves out what no style has changed.
        """
        return 1.0

    def seen(self, levels):
        """The levels whose features `encode` gives for painting ``levels``."""
        return tuple(range(1, max(*levels, *self.taps_decoded) + 1))

    def encode(self, rgb, levels, ground=None):
        """``{level: features [h / 2^(level+1), w / 2^(level+1), c]}`` of all that are painted, and ``levels``.

        Args:
            rgb: float32 ``[h, w, 3]``, 0..1; sides are multiples of 16 and 32 at least.
            ground: float32 ``[h, w]``, what lies under the picture, `canvas.ground`; None: what does by itself.
        """
        return self.features(self.laid(rgb, ground_of(np.asarray(rgb)) if ground is None else ground), levels)

    def laid(self, rgb, ground):
        """The picture as the network sees it, ``[h, w, 4]``: colours and what lies under them.

        Of numpy's arrays, an array; of tensors, a tensor.
        """
        if not isinstance(rgb, np.ndarray):
            return tf.concat([rgb, CANVAS_SCALE * tf.expand_dims(ground, -1)], -1)
        laid = cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA)
        np.multiply(ground, CANVAS_SCALE, out=laid[..., 3])
        return laid

    def features(self, laid, levels):
        """What `encode` gives, of a picture that is `laid`."""
        return self._encode[self.seen(levels)[-1]](laid)

    def taps(self, rgb):
        """``{level: features}`` of all three levels of a style picture, float32 ``[h, w, 3]``.

        A style brings no canvas: its own texture is to be met.
        """
        return self.features(self.laid(rgb, tf.zeros(tf.shape(rgb)[:2])), LIVE_TAPS)

    def code(self, moments):
        """How the style drives the decoder's channels, in `draw` and in `finish`.

        A gain and a bias ``[c]`` for each modulated layer, in order: two lists.

        Args:
            moments: ``{level: (mean [c], variance [c])}`` of the whole picture's features at all three taps
                after the transform, float32.
        """
        code = self._code(*(moments[level][part] for part in (0, 1) for level in LIVE_TAPS))
        return code[:-2], code[-2:]

    def draw(self, features, code):
        """What `encode` gave, transformed, to what the decoder draws of it: features at the level `DRAWN`."""
        return self._draw(*(features[level] for level in self.taps_decoded), *code)

    def finish(self, drawn, code):
        """What `draw` gave, transformed, to RGB ``[h, w, 3]`` float32, unclipped."""
        return self._finish(drawn, *code)

    def _encoded(self, laid, last):
        net = self.net
        x = tf.cast(tf.expand_dims(laid - np.float32([*MEAN_RGB, 0.0]), 0), net.dtype)
        x = tf.nn.space_to_depth(x, 2)
        taps = {1: net(net(x, "encoder0"), "encoder1", relu=False)}
        for level in range(2, last + 1):
            x = net(net.relu(taps[level - 1]), "encoder%da" % level)
            taps[level] = net(x, "encoder%db" % level, relu=False)
        return {level: x[0] for level, x in taps.items()}

    def _drawn(self, *given):
        features, net = dict(zip(self.taps_decoded, given)), self.net
        driven = iter(given[len(self.taps_decoded):])
        x = tf.expand_dims(features[self.taps_decoded[-1]], 0)
        for level in self.taps_decoded[::-1]:
            for _, first, second in (pair for pair in live_pairs(self._pairs) if pair[0] == level):
                x += net(net(net.relu(x), first, modulation=(next(driven), next(driven))), second, relu=False)
            if level > 1:
                x = net.upsample(net(net.relu(x), "up%d" % level, relu=False)) + tf.expand_dims(features[level - 1], 0)
        return x[0]

    def _finished(self, drawn, gain, bias):
        net = self.net
        x = tf.nn.depth_to_space(net(net.relu(tf.expand_dims(drawn, 0)), "up1"), 2)
        x = net(x, "decoder0", modulation=(gain, bias))
        x = net(x, "image", relu=False)
        return tf.nn.depth_to_space(tf.cast(x, tf.float32) + np.float32([*MEAN_RGB] * 4), 2)[0]

    def _coded(self, *moments):
        means, variances = moments[:len(LIVE_TAPS)], moments[len(LIVE_TAPS):]
        code = tf.concat([*means, *(tf.sqrt(variance + 1e-5) for variance in variances)], 0)
        code = tf.cast(code, self.dtype)[None, None, None]
        return tf.split(self.net(self.net(code, "code0"), "code", relu=False)[0, 0, 0],
                        [self._layers[name][3] for name in live_modulated(self._pairs) for _ in ("gain", "bias")])
