"""Common parts of the trainers: weighted losses and their means, linear heads, and pairs of pictures."""

from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import keras
import numpy as np
from keras import ops

from ..models.shapes import LEVELS
from . import data
from .artifacts import grid
from .losses import Compiled, LossNetwork, mean_square
from .recipe import CONTENT_CROPS, STYLE_CROPS, Stage

# Positions at the borders that are not compared, by level: the teacher pads with zeros, the encoders by reflection.
BORDER = {1: 8, 2: 6, 3: 4, 4: 2, 5: 1}


class Trainer(keras.Model):
    """A model whose ``call`` returns a dict of losses.

    Args:
        losses: ``{loss: weight}``.
        names: other figures whose means are logged.
    """

    def __init__(self, losses: Mapping[str, float], names: Iterable[str]):
        super().__init__()
        self.weighting, self.heads = losses, {}
        self.trackers = {name: keras.metrics.Mean(name=name) for name in ["loss", *losses, *names]}

    @property
    def metrics(self) -> List[keras.metrics.Metric]:
        return list(self.trackers.values())

    def tracked(self, losses: Dict[str, Any]) -> Dict[str, Any]:
        """``losses``, after an update of their means."""
        for name, value in losses.items():
            self.trackers[name].update_state(value)
        return losses

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = sum(self.weighting[name] * value for name, value in y_pred.items())
        self.trackers["loss"].update_state(loss)
        return loss

    def add_heads(self, heads: Mapping[int, Tuple[np.ndarray, np.ndarray]], trainable: bool = True) -> None:
        """Add linear heads that predict the teacher's features: ``{level: (kernel [c, C], bias [C])}``."""
        for level, (kernel, bias) in sorted(heads.items()):
            for part, value in (("kernel", kernel), ("bias", bias)):
                variable = self.add_weight(
                    shape=value.shape, name="head%d_%s" % (level, part), initializer="zeros", trainable=trainable
                )
                variable.assign(value)
                self.heads["%s%d" % (part, level)] = variable

    def distillation(self, features: Mapping[int, Any], target: Mapping[int, Any]) -> Dict[str, Any]:
        """``{distillN: mean square}`` of the difference between the heads' predictions from ``features`` and the
        teacher's features ``target``, ``{level: [b,h,w,c]}`` each, without the borders."""
        losses = {}
        for level in LEVELS:
            prediction = ops.matmul(ops.cast(features[level], "float32"), self.heads["kernel%d" % level])
            prediction = prediction + self.heads["bias%d" % level]
            border = BORDER[level]
            losses["distill%d" % level] = mean_square((prediction - target[level])[:, border:-border, border:-border])
        return losses

    def head_arrays(self) -> Dict[str, np.ndarray]:
        """The heads' arrays for a checkpoint."""
        return {"head_" + key: ops.convert_to_numpy(value) for key, value in self.heads.items()}

    def assign_heads(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Set the heads from the result of `head_arrays`; exported weights have none."""
        for key, variable in self.heads.items():
            if "head_" + key in arrays:
                variable.assign(arrays["head_" + key])


def pairs(
    loss_network: Optional[LossNetwork],
    stage: Stage,
    seed: int,
    photos: Sequence[np.ndarray],
    styles: Sequence[np.ndarray],
    margin: int = 0,
    contents_per_style: int = 1,
) -> Callable[[np.random.Generator, int], Dict[str, np.ndarray]]:
    """A function (rng, step) that returns a batch: ``content``, ``style`` and their descriptions.

    Args:
        loss_network: computes the descriptions; None: none.
        margin: pixels around each content that are not described.
        contents_per_style: how many contents of a batch share a style.
    """
    palettes = [*photos, *styles]
    no_description = lambda rgb: {}
    contents = data.DescribedCrops(
        lambda rng: data.content_crop(rng, photos, stage.size + 2 * margin),
        CONTENT_CROPS,
        Compiled(loss_network.describe_content).predict_on_batch if loss_network else no_description,
        (seed, 1),
        margin,
    )
    crops = data.DescribedCrops(
        lambda rng: data.style_crop(rng, styles, palettes, stage.size),
        STYLE_CROPS,
        Compiled(loss_network.describe_style).predict_on_batch if loss_network else no_description,
        (seed, 2),
    )

    def draw(rng, step):
        batch = contents.draw(rng, step, stage.batch, "content")
        batch.update(crops.draw(rng, step, stage.batch // contents_per_style, "style"))
        return batch

    return draw


def stylization_losses(
    loss_network: LossNetwork, inputs: Mapping[str, Any], stylized: Any, contents_per_style: int = 1
) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """The loss network's errors of ``stylized [b,h,w,3]``, clipped.

    Returns:
        ``{loss: scalar}``, and the style errors by level, ``{style1: scalar, ...}``.
    """
    described = lambda prefix: {key[len(prefix) :]: value for key, value in inputs.items() if key.startswith(prefix)}
    styles = described("style_")
    if contents_per_style > 1:
        styles = {key: ops.repeat(value, contents_per_style, 0) for key, value in styles.items()}
    errors = loss_network.losses(ops.clip(stylized, 0.0, 1.0), described("content_"), styles)
    by_level = {"style%d" % level: errors.pop("style%d" % level) for level in sorted(LEVELS)}
    return {"style": sum(by_level.values()) / len(by_level), **errors}, by_level


def artifacts(stylized: Any) -> Dict[str, Any]:
    """Losses against artifacts in ``stylized [b,h,w,3]``: values outside 0..1 (``range``), and ``grid``."""
    return {"range": mean_square(stylized - ops.clip(stylized, 0.0, 1.0)), "grid": mean_square(grid(stylized))}
