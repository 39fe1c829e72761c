"""The cascade's training: five encoders and decoders together, first to see and rebuild, then to stylize.

Stage ``reconstruct``: each level's encoder imitates the teacher's features at relu1_1..relu5_1
through a linear head (distillation), while the decoder's blocks turn them into the encoder's own of
the levels before and into the picture.  Stage ``stylize``: contents go through the five levels with
random styles, and the results are compared with both by the loss network (`losses`).  They stand on
the canvas, as at run time; the reconstruction goes on.
"""

from typing import Callable, Dict, List, Mapping, Sequence, Tuple

import numpy as np
from keras import ops

from ..models.canvas import CANVAS_AMPLITUDE, canvas
from ..models.shapes import LEVELS, encoder_layers
from . import data
from .canvas import canvas_crops, flatness
from .losses import LossNetwork, mean_square
from .networks import Decoder, Encoder
from .recipe import RIDGE, Stage
from .statistics import roots, statistics
from .trainer import Trainer, artifacts, pairs, stylization_losses

Arrays = Dict[str, np.ndarray]


def up_to(level, arrays, backbone):
    """The part of an encoder's arrays that the encoder of ``level`` has."""
    return {
        name + part: arrays[name + part]
        for name, _, _ in encoder_layers(backbone, last=level)
        for part in ("_kernel", "_bias")
    }


def whiten_color(features, style_mean, style_covariance, ridge):
    """WCT of a batch; the runtime's `wct`, for training."""
    b, h, w, c = ops.shape(features)
    mean, covariance = statistics(features)
    transform = ops.matmul(roots(covariance, ridge)[1], roots(style_covariance, 1e-4)[0])
    flat = ops.cast(ops.reshape(features, (b, h * w, c)), "float32") - mean
    return ops.cast(ops.reshape(ops.matmul(flat, transform) + style_mean, (b, h, w, c)), features.dtype)


class CascadeTrainer(Trainer):
    """Encoders, decoders and heads with the frozen loss network; ``call`` gives a dict of losses.

    Args:
        loss_network: `losses.LossNetwork`; the encoders' teacher, too.
        encoder: arrays that the encoder of each level starts from, as far as it reaches.
        decoder: arrays to start from.
        heads: ``{level: (kernel [c, C], bias [C])}``.
        losses: ``{loss: weight}``; those of the stage `reconstruct` or of `stylize`.
        ridge: the whitening's ridge, a fraction of the mean eigenvalue.
    """

    def __init__(
        self,
        loss_network: LossNetwork,
        encoder: Arrays,
        decoder: Arrays,
        heads: Mapping[int, Tuple[np.ndarray, np.ndarray]],
        backbone: str,
        losses: Mapping[str, float],
        dtype: str = "float32",
        ridge: float = RIDGE,
    ):
        super().__init__(losses, ["psnr%d" % level for level in LEVELS])
        self.loss_network, self.ridge = loss_network, ridge
        self.stylizing = "style" in losses
        self.encoders = {level: Encoder(up_to(level, encoder, backbone), backbone, dtype=dtype) for level in LEVELS}
        self.decoder = Decoder(decoder, backbone, dtype=dtype)
        self.add_heads(heads, trainable=not self.stylizing)
        self.built = True

    def batches(
        self, stage: Stage, seed: int, photos: Sequence[np.ndarray], styles: Sequence[np.ndarray]
    ) -> Callable[[np.random.Generator, int], Arrays]:
        """What draws a batch for ``stage``: a function (rng, step) to a dict of arrays."""
        if not self.stylizing:
            return lambda rng, step: {"content": data.random_crops(rng, photos, styles, stage.batch, stage.size)}
        pictures = pairs(self.loss_network, stage, seed, photos, styles)

        def draw(rng, step):
            batch = pictures(rng, step)
            batch["canvas"] = canvas_crops(rng, stage.batch, stage.size).astype(np.float32)
            return batch

        return draw

    def encode(self, rgb, level):
        """The taps of the encoder of ``level``, up to there."""
        return self.encoders[level](rgb, last=level)

    def stylize(self, content, style, grain):
        """The five levels, strength 1, on the canvas ``grain [b,h,w,1]``: ``[b,h,w,3]``, unclipped."""
        image = content + CANVAS_AMPLITUDE * grain * flatness(content)
        for level in LEVELS:
            target = statistics(self.encode(style, level)[level])
            features = whiten_color(self.encode(image, level)[level], *target, ridge=self.ridge)
            image = ops.cast(self.decoder.decode(features, level), "float32")
        return image

    def call(self, inputs):
        content = inputs["content"]
        taps = {level: self.encode(content, level) for level in LEVELS}
        losses = self.reconstruction(content, taps)
        if self.stylizing:
            painted = self.stylize(content, inputs["style"], inputs["canvas"])
            losses.update(stylization_losses(self.loss_network, inputs, painted)[0], **artifacts(painted))
        else:
            target = self.loss_network.features(content)
            losses.update(
                self.distillation(
                    {level: taps[level][level] for level in LEVELS},
                    {level: ops.cast(ops.stop_gradient(f), "float32") for level, f in target.items()},
                )
            )
        return self.tracked(losses)

    def reconstruction(self, content, taps):
        """How far every level's decoder misses its encoder's features on its way, and the picture: the logarithm of
        the error, so that the shallow levels, whose errors are small, go on improving."""
        losses = {"features": 0.0}
        for level in LEVELS:
            *steps, picture = self.decoder.steps(taps[level][level], level)
            for n, step in enumerate(steps):
                error = mean_square(step - ops.stop_gradient(taps[level][level - 1 - n]))
                losses["features"] = losses["features"] + (1.0 if n == 0 else 0.3) * error
            error = mean_square(ops.cast(picture, "float32") - content)
            losses["image%d" % level] = ops.log(error + 1e-5)
            self.trackers["psnr%d" % level].update_state(-10 * ops.log(error) / np.log(10.0))
        return losses

    def sheet(self, content, style) -> List:
        """The columns to look at: content, rebuilt from relu1_1..relu5_1, style, stylized."""
        rebuilt = [self.decoder.decode(self.encode(content, level)[level], level) for level in sorted(LEVELS)]
        side = content.shape[1]
        return [content, *rebuilt, style, self.stylize(content, style, canvas()[None, :side, :side, None])]

    def exported(self) -> Arrays:
        """The encoders' and the decoders' arrays, as the weights file has them."""
        arrays = {"decoder_" + key: value for key, value in self.decoder.numpy().items()}
        for level, encoder in self.encoders.items():
            arrays.update({"encoder_level%d_%s" % (level, key): value for key, value in encoder.numpy().items()})
        return arrays

    def arrays(self) -> Arrays:
        """What a checkpoint holds: `exported` and the heads."""
        return {**self.exported(), **self.head_arrays()}

    def assign(self, arrays: Arrays) -> None:
        """Go on from `arrays`, or from `exported` ones."""
        named = {"encoder_level%d_" % level: encoder for level, encoder in self.encoders.items()}
        for prefix, network in {**named, "decoder_": self.decoder}.items():
            network.assign({key[len(prefix) :]: value for key, value in arrays.items() if key.startswith(prefix)})
        self.assign_heads(arrays)
