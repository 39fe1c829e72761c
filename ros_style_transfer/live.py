"""The live model: one encoder, one decoder, whitening and colouring at three taps between them."""
import numpy as np
import tensorflow as tf

from . import wct
from .architecture import CANVAS_SIDE, EVEN, EVEN_LEAST, LIVE_TAPS, canvas, live_layers, live_modulated, live_pairs
from .vgg import Convolutions, graph, postprocess, preprocess, upsample

PICTURE = tf.TensorSpec((None, None, 3))
PLANE = tf.TensorSpec((None, None))


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
        # One by one: TensorFlow before 2.14 takes no dictionary whose keys are numbers.
        features = [tf.TensorSpec((None, None, widths[level]), self.dtype) for level in LIVE_TAPS]
        self._canvas = canvas()
        self._encode = graph(self._encoded, PICTURE, PLANE)
        self._decode = graph(self._decoded, *features)
        # A style brings no canvas: its own texture is to be met.
        self._statistics = graph(lambda rgb: {
            level: wct.statistics(f) for level, f in self._encoded(rgb, tf.zeros_like(rgb[..., 0])).items()}, PICTURE)

    def rounds(self, levels):
        """The levels that one encoding and decoding paints: all at once."""
        return [tuple(levels)]

    def encode(self, rgb, levels, canvas=None):
        """``{level: features [h / 2^(level+1), w / 2^(level+1), c]}`` of all three levels.

        Args:
            rgb: float32 ``[h, w, 3]``, 0..1; sides are multiples of 16 and 32 at least.
            canvas: float32 ``[h, w]``, what lies under the picture; None: `architecture.canvas`, repeated.
        """
        if canvas is None:
            height, width = rgb.shape[:2]
            canvas = np.tile(self._canvas, (-(-height // CANVAS_SIDE), -(-width // CANVAS_SIDE)))[:height, :width]
        return self._encode(rgb, tf.constant(canvas))

    def decode(self, features):
        """What `encode` gave, transformed, to RGB ``[h, w, 3]`` float32, unclipped."""
        return self._decode(*(features[level] for level in LIVE_TAPS))

    def style_of(self, rgb):
        """``{level: wct.Statistics}`` of a style picture, float32 ``[h, w, 3]``."""
        return self._statistics(rgb)

    def _encoded(self, rgb, canvas):
        net = self._net
        grain = tf.cast(canvas[None, ..., None], net.dtype)
        picture, grain = (tf.nn.space_to_depth(x, 2) for x in (preprocess(rgb[None], net.dtype), grain))
        x = net(tf.concat((picture, tf.cast(evenness(rgb), net.dtype) * grain), -1), "encoder0")
        taps = {1: net(x, "encoder1", relu=False)}
        for level in LIVE_TAPS[1:]:
            x = net(tf.nn.relu(taps[level - 1]), "encoder%da" % level)
            taps[level] = net(x, "encoder%db" % level, relu=False)
        return {level: x[0] for level, x in taps.items()}

    def _decoded(self, *features):
        features = dict(zip(LIVE_TAPS, features))
        net, modulate = self._net, self._modulation(features)
        x = features[LIVE_TAPS[-1]][None]
        for level in LIVE_TAPS[::-1]:
            for _, first, second in (pair for pair in live_pairs() if pair[0] == level):
                x += net(modulate(net(tf.nn.relu(x), first, relu=False), first), second, relu=False)
            x = net(tf.nn.relu(x), "up%d" % level, relu=False)
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
        values = iter(tf.split(self._net(self._net(code, "code0"), "code", relu=False),
                               [self._layers[name][3] for name in live_modulated() for _ in range(2)], -1))
        parts = {name: (next(values), next(values)) for name in live_modulated()}

        def modulate(x, layer):
            gain, bias = parts[layer]
            return tf.nn.relu(x * (1.0 + gain) + bias)

        return modulate


def evenness(rgb):
    """How much of the canvas shows under ``rgb [h, w, 3]`` (`architecture.canvas`): ``[1, h/2, w/2, 1]``, 0..1."""
    light = tf.reduce_mean(rgb, -1)[None, ..., None]
    light -= tf.reduce_mean(light)  # squares lose fewer digits
    blocks = tf.nn.avg_pool2d(tf.concat((light, light * light), -1), 8, 8, "VALID")
    variance = lambda moments: tf.nn.relu(moments[..., 1:] - tf.square(moments[..., :1]))
    here, whole = variance(tf.nn.avg_pool2d(blocks, 3, 1, "SAME")), variance(tf.reduce_mean(blocks, (1, 2)))
    shown = 1.0 / (1.0 + here / tf.maximum(EVEN**2 * whole, EVEN_LEAST**2))
    return tf.image.resize(shown, tf.shape(rgb)[:2] // 2)
