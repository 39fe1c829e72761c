"""The compact loss network's training: VGG16 at a quarter of its widths, by distillation.

The network is pruned out of the teacher (`networks.prune`); then each of its convolutions imitates
the teacher's at the same place through a linear head (FitNets, Romero et al. 2015), on photographs,
on styles, and on mixtures of both, which stylized pictures resemble more than either.
"""
import keras
import numpy as np
from keras import ops

from .data import random_crops
from .losses import mean_square, trackers
from .networks import Encoder

LEVELS = (1, 2, 3, 4, 5)
# The teacher pads with zeros, we reflect: positions at each border that are not compared, by block.
BORDER = {1: 8, 2: 6, 3: 4, 4: 2, 5: 1}


class CompactTrainer(keras.Model):
    """The narrow encoder with linear heads and the frozen teacher; ``call`` gives a dict of losses.

    Args:
        teacher: `networks.Encoder`, frozen, in any dtype.
        rms: ``{level: root mean square of the teacher's features}``.
        arrays, heads: to start from, as `networks.prune` gives them.
        losses: ``{loss: weight}``.
    """

    def __init__(self, teacher, rms, arrays, heads, backbone, losses, dtype="float32"):
        super().__init__()
        teacher.trainable = False
        self.teacher, self.rms, self.weighting = teacher, rms, losses
        self.network = Encoder(arrays, backbone, dtype=dtype)
        self.heads = {}
        for level, (kernel, bias) in sorted(heads.items()):
            for part, value in (("kernel", kernel), ("bias", bias)):
                variable = self.add_weight(shape=value.shape, name="head%d_%s" % (level, part), initializer="zeros")
                variable.assign(value)
                self.heads["%s%d" % (part, level)] = variable
        self.trackers = trackers(["loss"] + ["distill%d" % level for level in LEVELS])
        self.built = True

    @property
    def metrics(self):
        return list(self.trackers.values())

    def batches(self, stage, photos, styles):
        """What draws a batch for ``stage``: a function (rng) to ``{"content": [b,h,w,3]}``."""

        def draw(rng):
            crops = random_crops(rng, photos, styles, stage.batch, stage.size, 0.5)
            others = random_crops(rng, photos, styles, stage.batch, stage.size, 0.5)
            weight = np.maximum(rng.uniform(-1, 1, (stage.batch, 1, 1, 1)), 0).astype(np.float32)
            return {"content": (1 - 0.6 * weight) * crops + 0.6 * weight * others}

        return draw

    def call(self, inputs):
        rgb = inputs["content"]
        target = self.teacher(ops.cast(rgb, self.teacher.dtype))
        losses, taps = {}, self.network(rgb)
        for level in LEVELS:
            wanted = ops.cast(ops.stop_gradient(target[level]), "float32") / self.rms[level]
            guess = ops.matmul(ops.cast(taps[level], "float32"), self.heads["kernel%d" % level])
            guess = guess + self.heads["bias%d" % level]
            edge = BORDER[level]
            losses["distill%d" % level] = mean_square((guess - wanted)[:, edge:-edge, edge:-edge])
        for key, value in losses.items():
            self.trackers[key].update_state(value)
        return losses

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = sum(self.weighting[key] * value for key, value in y_pred.items())
        self.trackers["loss"].update_state(loss)
        return loss

    def sheet(self, content, style):
        """Nothing to look at but the pictures themselves."""
        return [content, style]

    def exported(self):
        """The network's arrays, as the weights file has them."""
        return self.network.numpy()

    def arrays(self):
        """What a checkpoint holds: `exported` and the heads."""
        heads = {"head_" + key: ops.convert_to_numpy(value) for key, value in self.heads.items()}
        return {**self.exported(), **heads}

    def assign(self, arrays):
        """Go on from `arrays`, or from `exported` ones."""
        self.network.assign(arrays)
        for key, variable in self.heads.items():
            if "head_" + key in arrays:
                variable.assign(arrays["head_" + key])
