"""What the frozen VGG makes of pictures: the losses that a painted picture is held to."""
import hashlib

import keras
from keras import ops

from ..models.shapes import LEVELS


def gram(features):
    """F'F/N for ``features [b,h,w,c]``: ``[b,c,c]`` (Gatys et al. 2015), in float32."""
    b, h, w, c = ops.shape(features)
    flat = ops.cast(ops.reshape(features, (b, h * w, c)), "float32")
    return ops.matmul(ops.transpose(flat, (0, 2, 1)), flat) / (h * w)


def mean_square(x):
    """The mean of squares, in float32."""
    return ops.mean(ops.square(ops.cast(x, "float32")))


def blur(x):
    """The binomial filter [1 2 1]/4 along both sides of ``x [b,h,w,c]``."""
    for axis in (1, 2):
        width = [(0, 0)] * 4
        width[axis] = (1, 1)
        padded = ops.pad(x, width, mode="reflect")
        n = x.shape[axis]
        part = lambda at: padded[:, at : at + n] if axis == 1 else padded[:, :, at : at + n]
        x = 0.25 * part(0) + 0.5 * part(1) + 0.25 * part(2)
    return x


class Teacher:
    """The teacher's eyes.

    Args:
        network: `networks.Encoder`, frozen, in any dtype.
        rms: {level: root mean square of its features over photographs}.
    """

    def __init__(self, network, rms):
        network.trainable = False
        self.network, self.rms = network, rms

    @property
    def digest(self):
        """Eight letters that tell this teacher's weights from another's."""
        digest = hashlib.sha256()
        for _, values in sorted(self.network.numpy().items()):
            digest.update(values.tobytes())
        return digest.hexdigest()[:8]

    def features(self, rgb):
        """The five taps for RGB 0..1 ``[b,h,w,3]``, each divided by its root mean square over photographs."""
        taps = self.network(ops.cast(rgb, self.network.dtype))
        return {level: f / ops.cast(self.rms[level], f.dtype) for level, f in taps.items()}

    def grams(self, rgb):
        """``{gram1..gram5: [b,c,c]}``: what a style is to the losses."""
        return {"gram%d" % level: gram(f) for level, f in self.features(rgb).items()}

    def describe(self, rgb):
        """What a content is to the losses: its own Gram matrices, and ``structure``, relu4_1 normalised."""
        taps = self.features(rgb)
        known = {"gram%d" % level: gram(f) for level, f in taps.items()}
        known["structure"] = _normalise(taps[4])
        return known

    def losses(self, painted, inputs):
        """Style errors ``{level: scalar}`` and the content error of pictures ``painted [b,h,w,3]``, 0..1.

        The style error of a level is the Gram matrices' Frobenius distance to the style's as a share
        of the content's own; the content error is half the mean square between the normalised
        relu4_1, which is 1 - their correlation.

        Args:
            inputs: ``style_gram1..5``, ``content_gram1..5``, ``content_structure`` and ``soft [b]``,
                how far each picture is blurred first: one network's eyes must not be told things
                that a slight blur takes away.
        """
        soft = inputs["soft"][:, None, None, None]
        seen = self.features(painted + soft * (blur(painted) - painted))
        norm = lambda m: ops.sqrt(ops.sum(ops.square(m), (1, 2)) + 1e-6)
        style = {}
        for level in LEVELS:
            target, own = inputs["style_gram%d" % level], inputs["content_gram%d" % level]
            gap = ops.maximum(norm(own - target), 0.4 * norm(target))
            style[level] = ops.mean(norm(gram(seen[level]) - target) / gap)
        return style, mean_square(_normalise(seen[4]) - inputs["content_structure"]) / 2


def _normalise(features):
    mean, variance = ops.moments(ops.cast(features, "float32"), (1, 2), keepdims=True)
    return (ops.cast(features, "float32") - mean) / ops.sqrt(variance + 1e-5)


def trackers(names):
    """Mean metrics by name."""
    return {name: keras.metrics.Mean(name=name) for name in names}
