"""Training of the cascade: five encoders and decoders, first by reconstruction, then by stylization.

Stage ``reconstruct``: linear heads of each encoder imitate the teacher's features at relu1_1..relu5_1
(distillation), and each block of a decoder reconstructs the encoder's features of the level before, the
last one the picture.  Stage ``stylize``: contents pass through all five levels with random styles, on the
canvas as at run time, and the loss network compares the results with both (`losses`); the losses of the
reconstruction remain.
"""

from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

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


def arrays_up_to(level: int, arrays: Arrays, backbone: str) -> Arrays:
    """The arrays of an encoder that the encoder of ``level`` needs."""
    return {
        name + part: arrays[name + part]
        for name, _, _ in encoder_layers(backbone, last=level)
        for part in ("_kernel", "_bias")
    }


def whiten_color(features: Any, style_mean: Any, style_covariance: Any, ridge: float) -> Any:
    """The method ``wct`` of `transfer.wct` for a batch ``[b, h, w, c]``."""
    b, h, w, c = ops.shape(features)
    mean, covariance = statistics(features)
    transform = ops.matmul(roots(covariance, ridge)[1], roots(style_covariance, 1e-4)[0])
    flat = ops.cast(ops.reshape(features, (b, h * w, c)), "float32") - mean
    return ops.cast(ops.reshape(ops.matmul(flat, transform) + style_mean, (b, h, w, c)), features.dtype)


class CascadeTrainer(Trainer):
    """Encoders, decoders and heads with the frozen loss network; ``call`` returns a dict of losses.

    Args:
        loss_network: `losses.LossNetwork`; the encoders' teacher, too.
        encoder: the initial arrays of the encoders; each uses those up to its level.
        decoder: the initial arrays of the decoders.
        heads: ``{level: (kernel [c, C], bias [C])}``.
        losses: ``{loss: weight}``; those of the stage `reconstruct` or `stylize`.
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
        self.encoders = {
            level: Encoder(arrays_up_to(level, encoder, backbone), backbone, dtype=dtype) for level in LEVELS
        }
        self.decoder = Decoder(decoder, backbone, dtype=dtype)
        self.add_heads(heads, trainable=not self.stylizing)
        self.built = True

    def batches(
        self, stage: Stage, seed: int, photos: Sequence[np.ndarray], styles: Sequence[np.ndarray]
    ) -> Callable[[np.random.Generator, int], Arrays]:
        """A function (rng, step) that returns a batch for ``stage``."""
        if not self.stylizing:
            return lambda rng, step: {"content": data.random_crops(rng, photos, styles, stage.batch, stage.size)}
        pictures = pairs(self.loss_network, stage, seed, photos, styles)

        def draw(rng, step):
            batch = pictures(rng, step)
            batch["canvas"] = canvas_crops(rng, stage.batch, stage.size).astype(np.float32)
            return batch

        return draw

    def encode(self, rgb: Any, level: int) -> Mapping[int, Any]:
        """``{level: features}`` of the encoder of ``level`` at all levels up to it."""
        return self.encoders[level](rgb, last=level)

    def stylize(self, content: Any, style: Any, noise: Any) -> Any:
        """All five levels at strength 1, on the canvas of ``noise [b,h,w,1]``: ``[b,h,w,3]``, not clipped."""
        image = content + CANVAS_AMPLITUDE * noise * flatness(content)
        for level in LEVELS:
            target = statistics(self.encode(style, level)[level])
            features = whiten_color(self.encode(image, level)[level], *target, ridge=self.ridge)
            image = ops.cast(self.decoder.decode(features, level), "float32")
        return image

    def call(self, inputs):
        content = inputs["content"]
        features = {level: self.encode(content, level) for level in LEVELS}
        losses = self.reconstruction(content, features)
        if self.stylizing:
            stylized = self.stylize(content, inputs["style"], inputs["canvas"])
            losses.update(stylization_losses(self.loss_network, inputs, stylized)[0], **artifacts(stylized))
        else:
            target = self.loss_network.features(content)
            losses.update(
                self.distillation(
                    {level: features[level][level] for level in LEVELS},
                    {level: ops.cast(ops.stop_gradient(f), "float32") for level, f in target.items()},
                )
            )
        return self.tracked(losses)

    def reconstruction(self, content: Any, encoded: Mapping[int, Mapping[int, Any]]) -> Dict[str, Any]:
        """The errors of every decoder's blocks, relative to its encoder's features, and of its picture.

        The picture's error is a logarithm, so that the shallow levels, whose errors are small, keep improving.

        Args:
            encoded: ``{level: {level: features}}`` of each encoder.
        """
        losses = {"features": 0.0}
        for level in LEVELS:
            *steps, picture = self.decoder.steps(encoded[level][level], level)
            for n, step in enumerate(steps):
                error = mean_square(step - ops.stop_gradient(encoded[level][level - 1 - n]))
                losses["features"] = losses["features"] + (1.0 if n == 0 else 0.3) * error
            error = mean_square(ops.cast(picture, "float32") - content)
            losses["image%d" % level] = ops.log(error + 1e-5)
            self.trackers["psnr%d" % level].update_state(-10 * ops.log(error) / np.log(10.0))
        return losses

    def sheet(self, content: Any, style: Any) -> List[Any]:
        """The columns of the sample sheet: content, reconstructions from relu1_1..relu5_1, style, stylized."""
        reconstructed = [self.decoder.decode(self.encode(content, level)[level], level) for level in sorted(LEVELS)]
        side = content.shape[1]
        return [content, *reconstructed, style, self.stylize(content, style, canvas()[None, :side, :side, None])]

    def exported(self) -> Arrays:
        """The arrays of encoders and decoders for the weights file."""
        arrays = {"decoder_" + key: value for key, value in self.decoder.numpy().items()}
        for level, encoder in self.encoders.items():
            arrays.update({"encoder_level%d_%s" % (level, key): value for key, value in encoder.numpy().items()})
        return arrays

    def arrays(self) -> Arrays:
        """The arrays of a checkpoint: `exported` and the heads."""
        return {**self.exported(), **self.head_arrays()}

    def assign(self, arrays: Arrays) -> None:
        """Continue from the result of `arrays` or `exported`."""
        named = {"encoder_level%d_" % level: encoder for level, encoder in self.encoders.items()}
        for prefix, network in {**named, "decoder_": self.decoder}.items():
            network.assign({key[len(prefix) :]: value for key, value in arrays.items() if key.startswith(prefix)})
        self.assign_heads(arrays)
