"""Training of the loss network `compact`: VGG16 at a quarter of its widths, by distillation.

The network is pruned from the teacher (`networks.prune`); then linear heads of its levels imitate the
teacher's features (FitNets, Romero et al. 2015) on photographs, on styles, and on mixtures of both,
which are closer to stylized pictures than either.
"""

import numpy as np
from keras import ops

from .data import random_crops
from .networks import Encoder
from .trainer import Trainer


class CompactTrainer(Trainer):
    """The narrow encoder with linear heads and the frozen teacher; ``call`` gives a dict of losses.

    Args:
        teacher: `networks.Encoder`, frozen, in any dtype.
        rms: ``{level: root mean square of the teacher's features}``.
        arrays, heads: the initial ones, as `networks.prune` returns them.
        losses: ``{loss: weight}``.
    """

    def __init__(self, teacher, rms, arrays, heads, backbone, losses, dtype="float32"):
        super().__init__(losses, ())
        teacher.trainable = False
        self.teacher, self.rms = teacher, rms
        self.network = Encoder(arrays, backbone, dtype=dtype)
        self.add_heads(heads)
        self.built = True

    def batches(self, stage, photos, styles):
        """A function (rng, step) that returns a batch for ``stage``: ``{"content": [b, h, w, 3]}``."""

        def draw(rng, step):
            crops = random_crops(rng, photos, styles, stage.batch, stage.size, 0.5)
            others = random_crops(rng, photos, styles, stage.batch, stage.size, 0.5)
            weight = np.maximum(rng.uniform(-1, 1, (stage.batch, 1, 1, 1)), 0).astype(np.float32)
            return {"content": (1 - 0.6 * weight) * crops + 0.6 * weight * others}

        return draw

    def call(self, inputs):
        rgb = inputs["content"]
        target = self.teacher(ops.cast(rgb, self.teacher.dtype))
        target = {level: ops.cast(ops.stop_gradient(f), "float32") / self.rms[level] for level, f in target.items()}
        return self.tracked(self.distillation(self.network(rgb), target))

    def sheet(self, content, style):
        """The columns of the sample sheet: only the pictures themselves."""
        return [content, style]

    def exported(self):
        """The network's arrays for the weights file."""
        return self.network.numpy()

    def arrays(self):
        """The arrays of a checkpoint: `exported` and the heads."""
        return {**self.exported(), **self.head_arrays()}

    def assign(self, arrays):
        """Continue from the result of `arrays` or `exported`."""
        self.network.assign(arrays)
        self.assign_heads(arrays)
