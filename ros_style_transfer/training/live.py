"""Training of the live models: the network in Keras, and the losses of a step.

Contents are stylized end to end, and a frozen loss network compares the results with content and style
(`losses`).  A content that is shifted by a few pixels and has noise must lead to the same result (temporal
consistency without video, as in ReReVST, Wang et al. 2020), and a content that is transformed to its own
statistics must be reconstructed.  `lite` first imitates the results of `live`.
"""

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np
from keras import ops

from ..models.noise import texture_noise
from ..models.shapes import (
    COLOR_FLOOR,
    DECODER_LEVELS,
    FOLD,
    LEVELS,
    MEAN_RGB,
    REFLECTED,
    live_blocks,
    live_layers,
    live_modulated,
    live_stride,
)
from .losses import mean_square
from .networks import Convolutions, fold, he_normal, unfold, upsample
from .recipe import CONTENTS_PER_STYLE, NOISE, RIDGE, SHIFT
from .statistics import statistics, transport
from .trainer import Trainer, artifacts, pairs, stylization_losses


def initial_arrays(rng: np.random.Generator, widths: Sequence[int], blocks: Sequence[int]) -> Dict[str, np.ndarray]:
    """He initialization; residual branches, the modulation and the image start small."""
    arrays: Dict[str, np.ndarray] = {}
    for name, (side, _, channels, width) in live_layers(widths, blocks).items():
        scale = 0.3 if name == "image" or (name.startswith("decoder") and name.endswith("b")) else 1.0
        scale = 0.1 if name == "modulation" else scale
        arrays[name + "_kernel"] = scale * he_normal(rng, (side, side, channels, width))
        arrays[name + "_bias"] = np.zeros(width, np.float32)
    # All pixels that a position unfolds to are the same at first, so there is no grid (ICNR, Aitken et al. 2017).
    arrays["image_kernel"] = np.tile(arrays["image_kernel"][..., :3], FOLD**2)
    return arrays


class Modulation(NamedTuple):
    """The modulation of the decoder by a style.

    Attributes:
        layers: ``{layer: (gain, shift)}``, ``[b,1,1,c]`` each.
        noise: ``{level: gain [b,1,1,c]}``.
    """

    layers: Mapping[str, Tuple[Any, Any]]
    noise: Mapping[int, Any]

    def __call__(self, x: Any, layer: str) -> Any:
        """The output ``x`` of ``layer``, scaled and shifted."""
        gain, shift = self.layers[layer]
        return x * (1.0 + gain) + shift

    def add_noise(self, x: Any, level: int, noise: Mapping[int, Any]) -> Any:
        """The decoder's features ``x`` at ``level`` plus ``noise[level] [b,h,w,1]`` times the style's gains."""
        return x + self.noise[level] * ops.cast(noise[level], x.dtype)


class LiveNetwork(Convolutions):
    """Encoder and decoder of a live model (`shapes.live_layers`)."""

    def __init__(self, arrays: Mapping[str, np.ndarray], blocks: Sequence[int], **options: Any) -> None:
        super().__init__(arrays, **options)
        self.blocks = tuple(blocks)

    def convolve(self, x, name, stride=1):
        return super().convolve(x, name, "reflect" if name in REFLECTED else "zero", stride)

    def encode(self, rgb: Any) -> List[Any]:
        """The features of levels 1 and 2 of ``rgb [b,h,w,3]``, whose sides are multiples of 16."""
        x = ops.cast(rgb - ops.convert_to_tensor(MEAN_RGB, rgb.dtype), self.compute_dtype)
        x = ops.relu(self.convolve(fold(x, FOLD), "stem"))
        x = ops.relu(self.convolve(x, "encoder1a", stride=2))
        first = self.convolve(x, "encoder1b")
        x = ops.relu(self.convolve(ops.relu(first), "encoder2a", stride=2))
        return [first, self.convolve(x, "encoder2b")]

    def decode_features(self, features: Sequence[Any], modulation: Modulation, noise: Mapping[int, Any]) -> Any:
        """The features of levels 1 and 2 to the decoder's features at level 0.

        Args:
            noise: ``{level: [b,h,w,1]}``.
        """
        x = features[1]
        for level in (2, 1):
            name = "up%d" % level
            x = self.residual_blocks(modulation.add_noise(x, level, noise), level, modulation)
            x = upsample(modulation(self.convolve(ops.relu(x), name), name))
            if level == 2:
                x = x + features[0]
        return x

    def residual_blocks(self, x: Any, level: int, modulation: Modulation) -> Any:
        """The decoder's residual blocks at ``level``."""
        for first, second in live_blocks(self.blocks, level):
            y = ops.relu(modulation(self.convolve(ops.relu(x), first), first))
            x = x + modulation(self.convolve(y, second), second)
        return x

    def decode_image(self, x: Any, modulation: Modulation, noise: Mapping[int, Any]) -> Any:
        """The features of level 0 to RGB ``[b,h,w,3]``, float32, not clipped."""
        x = self.residual_blocks(modulation.add_noise(x, 0, noise), 0, modulation)
        x = self.convolve(ops.relu(x), "image")
        return unfold(ops.cast(x, "float32"), FOLD) + ops.convert_to_tensor(MEAN_RGB, "float32")

    def modulation(self, features: Sequence[Any]) -> Modulation:
        """The `Modulation` from the mean and deviation of the transformed features of levels 1 and 2."""
        moments = [ops.moments(ops.cast(f, "float32"), (1, 2)) for f in features]
        code = ops.concatenate([mean for mean, _ in moments] + [ops.sqrt(v + 1e-5) for _, v in moments], -1)
        code = ops.relu(self.convolve(ops.cast(code, self.compute_dtype)[:, None, None], "style_code"))
        values = self.convolve(code, "modulation")
        names = live_modulated(self.blocks)
        widths = [self.arrays[name + "_bias"].shape[0] for name in names for _ in ("gain", "shift")]
        widths += [self.arrays[name + "_bias"].shape[0] for name in ("encoder2a", "encoder1a", "stem")]
        parts = ops.split(values, np.cumsum(widths)[:-1].tolist(), -1)
        return Modulation(
            dict(zip(names, zip(parts[0 : 2 * len(names) : 2], parts[1 : 2 * len(names) : 2]))),
            dict(zip(DECODER_LEVELS, parts[2 * len(names) :])),
        )


class LiveTrainer(Trainer):
    """The network of a live model with the frozen loss network; ``call`` returns a dict of losses.

    Args:
        loss_network: `losses.LossNetwork`.
        arrays: the network's, to start from.
        blocks: the decoder's residual blocks at each level.
        losses: ``{loss: weight}``.
        ridge: the whitening's ridge, a fraction of the mean eigenvalue.
        teacher: a trained `LiveNetwork` whose results are imitated, for the losses ``pixels`` and ``features``.
    """

    def __init__(self, loss_network, arrays, blocks, losses, dtype="float32", ridge=RIDGE, teacher=None):
        super().__init__(losses, ["style%d" % level for level in LEVELS] if "style" in losses else ())
        self.loss_network, self.ridge, self.teacher = loss_network, ridge, teacher
        if teacher is not None:
            teacher.trainable = False
        self.network = LiveNetwork(arrays, blocks, dtype=dtype)
        self.built = True

    def batches(self, stage, seed, photos, styles):
        """A function (rng, step) that returns a batch for ``stage``."""
        loss_network = self.loss_network if "style" in stage.losses else None
        pictures = pairs(loss_network, stage, seed, photos, styles, SHIFT, CONTENTS_PER_STYLE)

        def draw(rng, step):
            batch = pictures(rng, step)
            # Drawn here, not in the step, so that a resumed training gets the same noise.
            batch["noise"] = np.float32(rng.uniform(0, NOISE) * rng.standard_normal((1, stage.size, stage.size, 3)))
            batch["shift"] = rng.integers(-SHIFT, SHIFT + 1, (1, 2)).astype(np.int32)
            batch.update(noise_views(rng, stage.size, batch["shift"][0]))
            return batch

        return draw

    def stylize(self, content: Any, style: Any) -> Any:
        """``content [b,h,w,3]`` in the style of ``style [b,h',w',3]`` at strength 1, not clipped."""
        net = self.network
        noise = {
            level: texture_noise(level, *(side // live_stride(level) for side in content.shape[1:3]))[None]
            for level in DECODER_LEVELS
        }
        encoded_style, no_noise = net.encode(style), dict.fromkeys(DECODER_LEVELS, 0.0)
        decoder_target = statistics(net.decode_features(encoded_style, net.modulation(encoded_style), no_noise))
        encoded = [
            transport(features, *statistics(target), self.ridge)
            for features, target in zip(net.encode(content), encoded_style)
        ]
        modulation = net.modulation(encoded)
        decoded = transport(net.decode_features(encoded, modulation, noise), *decoder_target, self.ridge)
        image = net.decode_image(decoded, modulation, noise)
        return transport(image, *statistics(style), self.ridge, COLOR_FLOOR)

    def call(self, inputs):
        content, style = inner(inputs["content"]), inputs["style"]
        count, side = ops.shape(content)[0], content.shape[1]
        noise = {level: inputs["noise%d" % level] for level in DECODER_LEVELS}
        pictures = content, self.shifted(inputs), style, noise
        decoded, colored, same = self.stylize_batch(self.network, *pictures)
        stylized, twin = colored[:count], colored[count:]
        losses = artifacts(stylized)
        if "style" in self.weighting:
            errors, by_level = stylization_losses(self.loss_network, inputs, stylized, CONTENTS_PER_STYLE)
            self.tracked(by_level)
            losses.update(errors)
        if self.teacher is not None:
            losses.update(self.imitation(stylized, self.stylize_batch(self.teacher, *pictures)[1][:count]))
        losses["color"] = mean_square(decoded - ops.stop_gradient(stylized))
        losses["same"] = mean_square(same - content[-1:])
        dy, dx = inputs["shift"][0, 0], inputs["shift"][0, 1]
        shape = (1, side - 2 * SHIFT, side - 2 * SHIFT, 3)
        losses["twin"] = mean_square(
            ops.slice(stylized[:1], (0, SHIFT, SHIFT, 0), shape)
            - ops.slice(twin, (0, SHIFT - dy, SHIFT - dx, 0), shape)
        )
        return self.tracked(losses)

    def shifted(self, inputs):
        """The first content, shifted by ``shift`` pixels and with noise."""
        wide, shift = inputs["content"], inputs["shift"]
        side = wide.shape[1] - 2 * SHIFT
        view = ops.slice(wide[:1], (0, SHIFT + shift[0, 0], SHIFT + shift[0, 1], 0), (1, side, side, 3))
        return view + inputs["noise"]

    def imitation(self, stylized: Any, target: Any) -> Dict[str, Any]:
        """Mean squared differences between ``stylized [b,h,w,3]`` and the teacher's ``target``: ``pixels``, and
        ``features`` of the loss network at levels 1 to 3."""
        features, targets = (self.loss_network.features(ops.clip(rgb, 0.0, 1.0), last=3) for rgb in (stylized, target))
        distances = [mean_square(features[level] - ops.stop_gradient(targets[level])) for level in (1, 2, 3)]
        return {"pixels": mean_square(stylized - ops.stop_gradient(target)), "features": sum(distances) / 3}

    def stylize_batch(
        self, net: LiveNetwork, content: Any, twin: Any, style: Any, noise: Mapping[int, Any]
    ) -> Tuple[Any, Any, Any]:
        """``content`` stylized by ``net``, before the transform of the colors; the same and ``twin``, the shifted first
        content, after it; and the reconstruction of the last content.

        Args:
            noise: ``{level: [2,h,w,1]}`` for the contents and for ``twin``; styles and the reconstruction have none.
        """
        count = ops.shape(content)[0] + 1  # with the twin
        targets = lambda values: [
            ops.concatenate([ops.repeat(part, CONTENTS_PER_STYLE, 0), part[:1]]) for part in statistics(values)
        ]
        encoded = []
        for f in net.encode(ops.concatenate([content, twin, style])):
            transformed = transport(f[:count], *targets(f[count:]), self.ridge)
            encoded.append(ops.concatenate([transformed, f[count - 2 : count - 1], f[count:]]))
        rest = ops.shape(encoded[0])[0] - count
        views = {
            level: ops.concatenate([ops.repeat(n[:1], count - 1, 0), n[1:], ops.repeat(0.0 * n[:1], rest, 0)])
            for level, n in noise.items()
        }
        features = net.decode_features(encoded, net.modulation(encoded), views)
        transformed = transport(features[:count], *targets(features[count + 1 :]), self.ridge)
        image = net.decode_image(
            ops.concatenate([transformed, features[count : count + 1]]),
            net.modulation([f[: count + 1] for f in encoded]),
            {level: n[: count + 1] for level, n in views.items()},
        )
        colored = transport(image[:count], *targets(style), self.ridge, COLOR_FLOOR)
        return image[: count - 1], colored, image[count:]

    def sheet(self, content, style):
        """The columns of the sample sheet: content, style, stylized."""
        return [content, style, self.stylize(content, style)]

    def exported(self) -> Dict[str, np.ndarray]:
        """The network's arrays for the weights file."""
        return self.network.numpy()

    arrays = exported  # of a checkpoint

    def assign(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Continue from the result of `arrays`."""
        self.network.assign(arrays)


def noise_views(rng: np.random.Generator, size: int, shift: np.ndarray) -> Dict[str, np.ndarray]:
    """``{noiseL: [2,h,w,1]}`` for each level of the decoder: noise, and the same noise shifted by ``shift`` pixels,
    rounded to positions."""
    views = {}
    for level in DECODER_LEVELS:
        stride = live_stride(level)
        side, edge = size // stride, SHIFT // stride + 1
        wide = rng.standard_normal((side + 2 * edge, side + 2 * edge)).astype(np.float32)
        (y, x), ends = np.round(shift / stride).astype(int) + edge, edge + side
        views["noise%d" % level] = np.stack([wide[edge:ends, edge:ends], wide[y : y + side, x : x + side]])[..., None]
    return views


def inner(wide: Any) -> Any:
    """Contents without the margin that shifted views need."""
    return wide[:, SHIFT:-SHIFT, SHIFT:-SHIFT]
