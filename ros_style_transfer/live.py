"""The live model: one encoder, one decoder, whitening and colouring at three taps between them."""
import tensorflow as tf

from . import wct
from .architecture import LIVE_TAPS, live_layers, live_modulated
from .vgg import Convolutions, graph, postprocess, preprocess, upsample

PICTURE = tf.TensorSpec((None, None, 3))


class Live(tf.Module):
    """One pass paints: the picture's features at a quarter to a sixteenth of its sides (levels 1..3)
    are all taken from the picture itself, given the style's statistics, and decoded together.

    Args:
        arrays: the weights, as `weights.load` gives them.
        widths: the channels at a half and at the three levels, from the manifest.
        dtype: what the convolutions compute in.
    """

    def __init__(self, arrays, widths, dtype=tf.float32):
        super().__init__(name="live")
        self._layers = live_layers(widths)
        layers = [(name, *shape) for name, shape in self._layers.items()]
        self._net = Convolutions(layers, arrays, "", dtype, "network")
        self.dtype = self._net.dtype
        features = {level: tf.TensorSpec((None, None, widths[level]), self.dtype) for level in LIVE_TAPS}
        self._encode = graph(self._encoded, PICTURE)
        self._decode = graph(self._decoded, features)
        self._statistics = graph(
            lambda rgb: {level: wct.statistics(f) for level, f in self._encoded(rgb).items()}, PICTURE)

    def rounds(self, levels):
        """The levels that one encoding and decoding paints: all at once."""
        return [tuple(levels)]

    def encode(self, rgb, levels):
        """``{level: features [h / 2^(level+1), w / 2^(level+1), c]}`` of all three levels.

        Args:
            rgb: float32 ``[h, w, 3]``, 0..1; sides are multiples of 16 and 32 at least.
        """
        return self._encode(rgb)

    def decode(self, features):
        """What `encode` gave, transformed, to RGB ``[h, w, 3]`` float32, unclipped."""
        return self._decode(features)

    def style_of(self, rgb):
        """``{level: wct.Statistics}`` of a style picture, float32 ``[h, w, 3]``."""
        return self._statistics(rgb)

    def _encoded(self, rgb):
        net = self._net
        x = net(tf.nn.space_to_depth(preprocess(rgb[None], net.dtype), 2), "encoder0")
        taps = {1: net(x, "encoder1", relu=False)}
        for level in LIVE_TAPS[1:]:
            x = net(tf.nn.relu(taps[level - 1]), "encoder%da" % level)
            taps[level] = net(x, "encoder%db" % level, relu=False)
        return {level: x[0] for level, x in taps.items()}

    def _decoded(self, features):
        net, modulate = self._net, self._modulation(features)
        x = features[LIVE_TAPS[-1]][None]
        for level in LIVE_TAPS[::-1]:
            inner = modulate(net(tf.nn.relu(x), "decoder%da" % level, relu=False), "decoder%da" % level)
            x = net(tf.nn.relu(x + net(inner, "decoder%db" % level, relu=False)), "up%d" % level, relu=False)
            if level > 1:
                x = upsample(x) + features[level - 1][None]
        x = tf.nn.relu(tf.nn.depth_to_space(x, 2))
        x = net(modulate(net(x, "decoder0", relu=False), "decoder0"), "image", relu=False)
        return postprocess(tf.nn.depth_to_space(tf.cast(x, tf.float32), 2))[0]

    def _modulation(self, features):
        """A function (x, layer) that gives each channel the style's gain and bias, and a ReLU."""
        means, deviations = [], []
        for level in LIVE_TAPS:
            mean, variance = tf.nn.moments(tf.cast(features[level], tf.float32), (0, 1))
            means.append(mean)
            deviations.append(tf.sqrt(variance + 1e-5))
        code = tf.cast(tf.concat(means + deviations, 0), self.dtype)[None, None, None]
        values = iter(tf.split(self._net(code, "code", relu=False),
                               [self._layers[name][3] for name in live_modulated() for _ in range(2)], -1))
        parts = {name: (next(values), next(values)) for name in live_modulated()}

        def modulate(x, layer):
            gain, bias = parts[layer]
            return tf.nn.relu(x * (1.0 + gain) + bias)

        return modulate
