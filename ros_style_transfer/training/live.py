"""The live model's training: the network in Keras, and what one step compares.

Contents are stylized end to end.  The results are compared with content and style by a frozen loss
network (`losses`); a content seen again a few pixels on and with noise must be stylized to the same
(temporal consistency without video, as ReReVST, Wang et al. 2020), and one that is given its own
statistics must come back as it was.
"""

from typing import Any, Mapping, NamedTuple, Tuple

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


def initial_arrays(rng, widths, blocks):
    """He initialisation; residual branches, the modulation and the image start small."""
    arrays = {}
    for name, (side, _, channels, width) in live_layers(widths, blocks).items():
        scale = 0.3 if name == "image" or (name.startswith("decoder") and name.endswith("b")) else 1.0
        scale = 0.1 if name == "modulation" else scale
        arrays[name + "_kernel"] = scale * he_normal(rng, (side, side, channels, width))
        arrays[name + "_bias"] = np.zeros(width, np.float32)
    # All pixels that a position unfolds to start alike: no grid to begin with (ICNR, Aitken et al. 2017).
    arrays["image_kernel"] = np.tile(arrays["image_kernel"][..., :3], FOLD**2)
    return arrays


class Modulation(NamedTuple):
    """What a style makes of the decoder.

    Attributes:
        layers: ``{layer: (gain, shift)}``, ``[b,1,1,c]`` each.
        noise: ``{level: gain [b,1,1,c]}``.
    """

    layers: Mapping[str, Tuple[Any, Any]]
    noise: Mapping[int, Any]

    def __call__(self, x, layer):
        """The values ``x`` of ``layer``, scaled and shifted."""
        gain, shift = self.layers[layer]
        return x * (1.0 + gain) + shift

    def noisy(self, x, level, noise):
        """The decoder's features ``x`` at ``level``, with as much of ``noise [b,h,w,1]`` as the style asks for."""
        return x + self.noise[level] * ops.cast(noise[level], x.dtype)


class LiveNetwork(Convolutions):
    """Encoder and decoder of the live model (`shapes.live_layers`)."""

    def __init__(self, arrays, blocks, **options):
        super().__init__(arrays, **options)
        self.blocks = tuple(blocks)

    def convolve(self, x, name, stride=1):
        return super().convolve(x, name, "reflect" if name in REFLECTED else "zero", stride)

    def encode(self, rgb):
        """``rgb [b,h,w,3]``, sides multiples of 16, to the features of levels 1 and 2."""
        x = ops.cast(rgb - ops.convert_to_tensor(MEAN_RGB, rgb.dtype), self.compute_dtype)
        x = ops.relu(self.convolve(fold(x, FOLD), "stem"))
        x = ops.relu(self.convolve(x, "encoder1a", stride=2))
        first = self.convolve(x, "encoder1b")
        x = ops.relu(self.convolve(ops.relu(first), "encoder2a", stride=2))
        return [first, self.convolve(x, "encoder2b")]

    def decode_features(self, taps, modulate, noise):
        """The features of levels 1 and 2 to the decoder's own at level 0.

        Args:
            modulate: `Modulation`.
            noise: ``{level: [b,h,w,1]}``.
        """
        x = taps[1]
        for level in (2, 1):
            name = "up%d" % level
            x = self.residual_blocks(modulate.noisy(x, level, noise), level, modulate)
            x = upsample(modulate(self.convolve(ops.relu(x), name), name))
            if level == 2:
                x = x + taps[0]
        return x

    def residual_blocks(self, x, level, modulate):
        for first, second in live_blocks(self.blocks, level):
            y = ops.relu(modulate(self.convolve(ops.relu(x), first), first))
            x = x + modulate(self.convolve(y, second), second)
        return x

    def decode_image(self, x, modulate, noise):
        """Level 0's features to RGB ``[b,h,w,3]``, float32, unclipped."""
        x = self.residual_blocks(modulate.noisy(x, 0, noise), 0, modulate)
        x = self.convolve(ops.relu(x), "image")
        return unfold(ops.cast(x, "float32"), FOLD) + ops.convert_to_tensor(MEAN_RGB, "float32")

    def modulation(self, taps):
        """The `Modulation` by the mean and deviation of the transformed features ``taps``."""
        moments = [ops.moments(ops.cast(f, "float32"), (1, 2)) for f in taps]
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
    """The live network with the frozen loss network; ``call`` gives a dict of losses.

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
        """What draws a batch for ``stage``: a function (rng, step) to a dict of arrays."""
        loss_network = self.loss_network if "style" in stage.losses else None
        pictures = pairs(loss_network, stage, seed, photos, styles, SHIFT, CONTENTS_PER_STYLE)

        def draw(rng, step):
            batch = pictures(rng, step)
            # Drawn here rather than in the step, so that a resumed training sees the same.
            batch["noise"] = np.float32(rng.uniform(0, NOISE) * rng.standard_normal((1, stage.size, stage.size, 3)))
            batch["shift"] = rng.integers(-SHIFT, SHIFT + 1, (1, 2)).astype(np.int32)
            batch.update(noise_views(rng, stage.size, batch["shift"][0]))
            return batch

        return draw

    def stylize(self, content, style):
        """``content [b,h,w,3]`` in the style of ``style [b,h',w',3]``, strength 1, unclipped."""
        net = self.network
        noise = {
            level: texture_noise(level, *(side // live_stride(level) for side in content.shape[1:3]))[None]
            for level in DECODER_LEVELS
        }
        styles, none = net.encode(style), dict.fromkeys(DECODER_LEVELS, 0.0)
        wanted = statistics(net.decode_features(styles, net.modulation(styles), none))
        taps = [transport(own, *statistics(f), self.ridge) for own, f in zip(net.encode(content), styles)]
        modulate = net.modulation(taps)
        features = transport(net.decode_features(taps, modulate, noise), *wanted, self.ridge)
        image = net.decode_image(features, modulate, noise)
        return transport(image, *statistics(style), self.ridge, COLOR_FLOOR)

    def call(self, inputs):
        content, style = inner(inputs["content"]), inputs["style"]
        count, side = ops.shape(content)[0], content.shape[1]
        noise = {level: inputs["noise%d" % level] for level in DECODER_LEVELS}
        pictures = content, self.shifted(inputs), style, noise
        decoded, colored, same = self.painted(self.network, *pictures)
        painted, other = colored[:count], colored[count:]
        losses = artifacts(painted)
        if "style" in self.weighting:
            errors, by_level = stylization_losses(self.loss_network, inputs, painted, CONTENTS_PER_STYLE)
            self.tracked(by_level)
            losses.update(errors)
        if self.teacher is not None:
            losses.update(self.imitation(painted, self.painted(self.teacher, *pictures)[1][:count]))
        losses["color"] = mean_square(decoded - ops.stop_gradient(painted))
        losses["same"] = mean_square(same - content[-1:])
        dy, dx = inputs["shift"][0, 0], inputs["shift"][0, 1]
        shape = (1, side - 2 * SHIFT, side - 2 * SHIFT, 3)
        losses["twin"] = mean_square(
            ops.slice(painted[:1], (0, SHIFT, SHIFT, 0), shape)
            - ops.slice(other, (0, SHIFT - dy, SHIFT - dx, 0), shape)
        )
        return self.tracked(losses)

    def shifted(self, inputs):
        """The first content seen again, ``shift`` pixels on and with noise."""
        wide, shift = inputs["content"], inputs["shift"]
        side = wide.shape[1] - 2 * SHIFT
        view = ops.slice(wide[:1], (0, SHIFT + shift[0, 0], SHIFT + shift[0, 1], 0), (1, side, side, 3))
        return view + inputs["noise"]

    def imitation(self, painted, target):
        """Mean squares between ``painted [b,h,w,3]`` and the teacher's ``target``: ``pixels``, and the loss network's
        ``features`` of levels 1 to 3."""
        ours, theirs = (self.loss_network.features(ops.clip(rgb, 0.0, 1.0), last=3) for rgb in (painted, target))
        distances = [mean_square(ours[level] - ops.stop_gradient(theirs[level])) for level in (1, 2, 3)]
        return {"pixels": mean_square(painted - ops.stop_gradient(target)), "features": sum(distances) / 3}

    def painted(self, net, content, twin, style, noise):
        """Three results of ``net``: ``content`` stylized, before its colors are the style's; the same and ``twin`` (of
        the first) after that; and the last content rebuilt as it is.

        Args:
            noise: ``{level: [2,h,w,1]}``, for the contents and for ``twin``; styles, and what is rebuilt, have none.
        """
        seen = ops.shape(content)[0] + 1
        targets = lambda values: [
            ops.concatenate([ops.repeat(part, CONTENTS_PER_STYLE, 0), part[:1]]) for part in statistics(values)
        ]
        moved = []
        for f in net.encode(ops.concatenate([content, twin, style])):
            transformed = transport(f[:seen], *targets(f[seen:]), self.ridge)
            moved.append(ops.concatenate([transformed, f[seen - 2 : seen - 1], f[seen:]]))
        rest = ops.shape(moved[0])[0] - seen
        views = {
            level: ops.concatenate([ops.repeat(n[:1], seen - 1, 0), n[1:], ops.repeat(0.0 * n[:1], rest, 0)])
            for level, n in noise.items()
        }
        features = net.decode_features(moved, net.modulation(moved), views)
        transformed = transport(features[:seen], *targets(features[seen + 1 :]), self.ridge)
        image = net.decode_image(
            ops.concatenate([transformed, features[seen : seen + 1]]),
            net.modulation([f[: seen + 1] for f in moved]),
            {level: n[: seen + 1] for level, n in views.items()},
        )
        colored = transport(image[:seen], *targets(style), self.ridge, COLOR_FLOOR)
        return image[: seen - 1], colored, image[seen:]

    def sheet(self, content, style):
        """The columns to look at."""
        return [content, style, self.stylize(content, style)]

    def exported(self):
        """The network's arrays, as the weights file has them."""
        return self.network.numpy()

    arrays = exported  # what a checkpoint holds

    def assign(self, arrays):
        """Go on from `arrays`."""
        self.network.assign(arrays)


def noise_views(rng, size, shift):
    """``{noiseL: [2,h,w,1]}`` for each level of the decoder: noise, and the same ``shift`` pixels on, to the nearest
    position."""
    views = {}
    for level in DECODER_LEVELS:
        stride = live_stride(level)
        side, edge = size // stride, SHIFT // stride + 1
        wide = rng.standard_normal((side + 2 * edge, side + 2 * edge)).astype(np.float32)
        (y, x), ends = np.round(shift / stride).astype(int) + edge, edge + side
        views["noise%d" % level] = np.stack([wide[edge:ends, edge:ends], wide[y : y + side, x : x + side]])[..., None]
    return views


def inner(wide):
    """Contents without the margin for their shifted view."""
    return wide[:, SHIFT:-SHIFT, SHIFT:-SHIFT]
