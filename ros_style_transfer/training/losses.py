"""Perceptual losses: comparisons of features of a frozen loss network (VGG16).

Style: Gram matrices (Gatys et al. 2015), relative to the content's own distance, so that every pair
has the same weight (style-aware normalization, Cheng et al. 2021), and patches, compared with the most
similar patch of the style (Li and Wand 2016), in both directions (relaxed earth mover's distance,
Kolkin et al. 2019).  Content: standardized relu4_1 features.  Structure: self-similarity (Kolkin et al. 2019).
"""

from typing import Any, Callable, Dict, Mapping, Tuple

import keras
from keras import ops

from ..models.shapes import LEVELS
from .networks import Encoder

PATCH_LEVELS = (3, 4)
PATCH_STRIDES = {3: 3, 4: 2}  # positions between the patches that are compared
GAP_FLOOR = 0.4  # minimum divisor of a Gram error, relative to the target's norm


def gram(features: Any) -> Any:
    """``F'F/N`` of ``features [b,h,w,c]``: ``[b,c,c]``, float32."""
    b, h, w, c = ops.shape(features)
    flat = ops.reshape(features, (b, h * w, c))
    return ops.cast(ops.matmul(ops.transpose(flat, (0, 2, 1)), flat), "float32") / (h * w)


def mean_square(x: Any) -> Any:
    """The mean of squares, float32."""
    return ops.mean(ops.square(ops.cast(x, "float32")))


def standardized(features: Any) -> Any:
    """``features [b,h,w,c]`` with mean 0 and deviation 1 in each channel, float32."""
    features = ops.cast(features, "float32")
    mean, variance = ops.moments(features, (1, 2), keepdims=True)
    return (features - mean) / ops.sqrt(variance + 1e-5)


def self_similarity(features: Any) -> Any:
    """Cosines between all positions of ``features [b,h,w,c]`` less their mean: ``[b,hw,hw]``."""
    b, h, w, c = ops.shape(features)
    flat = ops.cast(ops.reshape(features, (b, h * w, c)), "float32")
    flat = flat - ops.mean(flat, 1, keepdims=True)
    flat = flat / ops.sqrt(ops.sum(ops.square(flat), -1, keepdims=True) + 1e-8)
    return ops.matmul(flat, ops.transpose(flat, (0, 2, 1)))


def unit_patches(features: Any, stride: int) -> Any:
    """3x3 patches of ``features [b,h,w,c]`` at every ``stride``-th position, normalized: ``[b,n,9c]``."""
    h, w = features.shape[1] - 2, features.shape[2] - 2
    parts = [features[:, y : y + h : stride, x : x + w : stride] for y in range(3) for x in range(3)]
    patches = ops.concatenate(parts, -1)
    b, h, w, c = ops.shape(patches)
    patches = ops.reshape(patches, (b, h * w, c))
    scale = ops.sqrt(ops.sum(ops.square(ops.cast(patches, "float32")), -1, keepdims=True) + 1e-8)
    return patches / ops.cast(scale, patches.dtype)


def patch_distances(stylized: Any, style: Any, stride: int) -> Tuple[Any, Any]:
    """1 - cosine between each patch and its nearest one, in both directions.

    Args:
        stylized, style: features ``[b,h,w,c]``.

    Returns:
        Two scalars: from the stylized picture to the style, from the style to the stylized picture.
    """
    patches, style_patches = unit_patches(stylized, stride), unit_patches(style, stride)
    similarity = ops.cast(ops.matmul(patches, ops.transpose(style_patches, (0, 2, 1))), "float32")
    return 1.0 - ops.mean(ops.max(similarity, 2)), 1.0 - ops.mean(ops.max(similarity, 1))


class LossNetwork:
    """A frozen VGG and its losses.

    Args:
        network: `networks.Encoder`, in any dtype.
        rms: ``{level: root mean square of its features over photographs}``.
    """

    def __init__(self, network: Encoder, rms: Mapping[int, float]) -> None:
        network.trainable = False
        self.network, self.rms = network, rms

    def features(self, rgb: Any, last: int = 5) -> Dict[int, Any]:
        """``{level: relu{level}_1 features / rms}`` of ``rgb [b,h,w,3]``, 0..1, up to level ``last``."""
        features = self.network(ops.cast(rgb, self.network.dtype), last=last)
        return {level: f / ops.cast(self.rms[level], f.dtype) for level, f in features.items()}

    def describe_style(self, rgb: Any) -> Dict[str, Any]:
        """The targets that `losses` takes from a style: ``gram1``..``gram5``, ``features3``, ``features4``."""
        features = self.features(rgb)
        targets = {"gram%d" % level: gram(f) for level, f in features.items()}
        targets.update(("features%d" % level, features[level]) for level in PATCH_LEVELS)
        return targets

    def describe_content(self, rgb: Any) -> Dict[str, Any]:
        """The targets that `losses` takes from a content: ``gram1``..``gram5``, ``relu4``, ``pooled3``."""
        features = self.features(rgb)
        targets = {"gram%d" % level: gram(f) for level, f in features.items()}
        targets["relu4"] = standardized(features[4])
        targets["pooled3"] = ops.average_pool(ops.cast(features[3], "float32"), 2, 2)
        return targets

    def losses(self, stylized: Any, content: Mapping[str, Any], style: Mapping[str, Any]) -> Dict[str, Any]:
        """Errors of ``stylized [b,h,w,3]``, 0..1, by name, each a scalar.

        Args:
            content, style: the results of `describe_content` and `describe_style`.

        Returns:
            ``style1``..``style5`` (Gram errors as fractions of the content's own), ``content``
            (1 - correlation at relu4_1), ``patch``, ``coverage`` (how well the picture covers the
            style's patches) and ``structure``.
        """
        features = self.features(stylized)
        norm = lambda m: ops.sqrt(ops.sum(ops.square(m), (1, 2)) + 1e-6)
        errors = {}
        for level in LEVELS:
            target = ops.cast(style["gram%d" % level], "float32")
            gap = norm(ops.cast(content["gram%d" % level], "float32") - target)
            gap = ops.maximum(gap, GAP_FLOOR * norm(target))
            errors["style%d" % level] = ops.mean(norm(gram(features[level]) - target) / gap)
        errors["content"] = mean_square(standardized(features[4]) - ops.cast(content["relu4"], "float32")) / 2
        distances = [
            patch_distances(
                features[level], ops.cast(style["features%d" % level], features[level].dtype), PATCH_STRIDES[level]
            )
            for level in PATCH_LEVELS
        ]
        errors["patch"] = sum(patch for patch, _ in distances) / len(distances)
        errors["coverage"] = sum(coverage for _, coverage in distances) / len(distances)
        pooled = ops.average_pool(ops.cast(features[3], "float32"), 2, 2)
        difference = self_similarity(pooled) - self_similarity(ops.cast(content["pooled3"], "float32"))
        errors["structure"] = ops.mean(ops.abs(difference))
        return errors


class Compiled(keras.Model):
    """``function``, compiled by the backend: `predict_on_batch` maps arrays to float32 arrays."""

    def __init__(self, function: Callable[[Any], Mapping[str, Any]]) -> None:
        super().__init__()
        self.function, self.built = function, True

    def call(self, values: Any) -> Dict[str, Any]:
        return {name: ops.cast(value, "float32") for name, value in self.function(values).items()}
