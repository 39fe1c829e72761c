"""Perceptual losses: what a frozen loss network (VGG16) sees in a stylized picture.

Style: Gram matrices (Gatys et al. 2015), relative to the content's own distance, so that every pair
counts alike (style-aware normalisation, Cheng et al. 2021), and patches, compared with the most
similar patch of the style (Li and Wand 2016), in both directions (relaxed earth mover's distance,
Kolkin et al. 2019).  Content: normalised relu4_1 features.  Structure: self-similarity (Kolkin et al. 2019).
"""

import keras
from keras import ops

from ..models.shapes import LEVELS

PATCH_LEVELS = (3, 4)
PATCH_STRIDES = {3: 3, 4: 2}  # positions between the patches that are compared
GAP_FLOOR = 0.4  # least normaliser of a Gram error, a fraction of the target's norm


def gram(features):
    """``F'F/N`` of ``features [b,h,w,c]``: ``[b,c,c]``, float32."""
    b, h, w, c = ops.shape(features)
    flat = ops.reshape(features, (b, h * w, c))
    return ops.cast(ops.matmul(ops.transpose(flat, (0, 2, 1)), flat), "float32") / (h * w)


def mean_square(x):
    """The mean of squares, float32."""
    return ops.mean(ops.square(ops.cast(x, "float32")))


def standardized(features):
    """``features [b,h,w,c]`` with mean 0 and deviation 1 in each channel, float32."""
    features = ops.cast(features, "float32")
    mean, variance = ops.moments(features, (1, 2), keepdims=True)
    return (features - mean) / ops.sqrt(variance + 1e-5)


def self_similarity(features):
    """Cosines between all positions of ``features [b,h,w,c]`` less their mean: ``[b,hw,hw]``."""
    b, h, w, c = ops.shape(features)
    flat = ops.cast(ops.reshape(features, (b, h * w, c)), "float32")
    flat = flat - ops.mean(flat, 1, keepdims=True)
    flat = flat / ops.sqrt(ops.sum(ops.square(flat), -1, keepdims=True) + 1e-8)
    return ops.matmul(flat, ops.transpose(flat, (0, 2, 1)))


def unit_patches(features, stride):
    """3x3 patches of ``features [b,h,w,c]``, every ``stride`` positions, of unit length: ``[b,n,9c]``."""
    h, w = features.shape[1] - 2, features.shape[2] - 2
    parts = [features[:, y : y + h : stride, x : x + w : stride] for y in range(3) for x in range(3)]
    patches = ops.concatenate(parts, -1)
    b, h, w, c = ops.shape(patches)
    patches = ops.reshape(patches, (b, h * w, c))
    scale = ops.sqrt(ops.sum(ops.square(ops.cast(patches, "float32")), -1, keepdims=True) + 1e-8)
    return patches / ops.cast(scale, patches.dtype)


def patch_distance(painted, style, stride):
    """1 - cosine between patches and their nearest ones, from the painted picture to the style and back.

    Args:
        painted, style: features ``[b,h,w,c]``.

    Returns:
        Two scalars: painted to style, style to painted.
    """
    ours, theirs = unit_patches(painted, stride), unit_patches(style, stride)
    similarity = ops.cast(ops.matmul(ours, ops.transpose(theirs, (0, 2, 1))), "float32")
    forth = 1.0 - ops.mean(ops.max(similarity, 2))
    back = 1.0 - ops.mean(ops.max(similarity, 1))
    return forth, back


class LossNetwork:
    """A frozen VGG and what it compares.

    Args:
        network: `networks.Encoder`, in any dtype.
        rms: ``{level: root mean square of its features over photographs}``.
    """

    def __init__(self, network, rms):
        network.trainable = False
        self.network, self.rms = network, rms

    def features(self, rgb, last=5):
        """``{level: relu{level}_1 features / rms}`` of ``rgb [b,h,w,3]``, 0..1, up to level ``last``."""
        taps = self.network(ops.cast(rgb, self.network.dtype), last=last)
        return {level: f / ops.cast(self.rms[level], f.dtype) for level, f in taps.items()}

    def describe_style(self, rgb):
        """What `losses` need of a style: ``gram1``..``gram5``, ``features3``, ``features4``."""
        taps = self.features(rgb)
        known = {"gram%d" % level: gram(f) for level, f in taps.items()}
        known.update(("features%d" % level, taps[level]) for level in PATCH_LEVELS)
        return known

    def describe_content(self, rgb):
        """What `losses` need of a content: ``gram1``..``gram5``, ``relu4`` (standardized), ``pooled3``."""
        taps = self.features(rgb)
        known = {"gram%d" % level: gram(f) for level, f in taps.items()}
        known["relu4"] = standardized(taps[4])
        known["pooled3"] = ops.average_pool(ops.cast(taps[3], "float32"), 2, 2)
        return known

    def losses(self, painted, content, style):
        """Errors of ``painted [b,h,w,3]``, 0..1, by name, each a scalar.

        Args:
            content, style: what `describe_content` and `describe_style` gave.

        Returns:
            ``style1``..``style5`` (Gram errors as fractions of the content's own), ``content``
            (1 - correlation at relu4_1), ``patch``, ``coverage`` (the style's patches that are
            found in the picture) and ``structure``.
        """
        seen = self.features(painted)
        norm = lambda m: ops.sqrt(ops.sum(ops.square(m), (1, 2)) + 1e-6)
        found = {}
        for level in LEVELS:
            target = ops.cast(style["gram%d" % level], "float32")
            gap = norm(ops.cast(content["gram%d" % level], "float32") - target)
            gap = ops.maximum(gap, GAP_FLOOR * norm(target))
            found["style%d" % level] = ops.mean(norm(gram(seen[level]) - target) / gap)
        found["content"] = mean_square(standardized(seen[4]) - ops.cast(content["relu4"], "float32")) / 2
        both = [
            patch_distance(seen[level], ops.cast(style["features%d" % level], seen[level].dtype), PATCH_STRIDES[level])
            for level in PATCH_LEVELS
        ]
        found["patch"] = sum(forth for forth, _ in both) / len(both)
        found["coverage"] = sum(back for _, back in both) / len(both)
        pooled = ops.average_pool(ops.cast(seen[3], "float32"), 2, 2)
        difference = self_similarity(pooled) - self_similarity(ops.cast(content["pooled3"], "float32"))
        found["structure"] = ops.mean(ops.abs(difference))
        return found


class Compiled(keras.Model):
    """``function`` of arrays, compiled by Keras' backend: `predict_on_batch` takes arrays to float32 arrays."""

    def __init__(self, function):
        super().__init__()
        self.function, self.built = function, True

    def call(self, values):
        return {name: ops.cast(value, "float32") for name, value in self.function(values).items()}
