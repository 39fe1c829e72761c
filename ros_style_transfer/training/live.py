"""The live model's training: one encoder, one decoder, whitening and colouring at three taps between.

Stage ``reconstruct``: the encoder's taps imitate the teacher's relu3_1..relu5_1 through linear
heads, and the decoder rebuilds the picture from the deepest tap and as many finer ones as a random
depth allows, so that every decoder block learns to do without the skip connection beside it.

Stage ``stylize``: content crops are painted in random paintings' styles in one pass, end to end.
The result is held to the painting's Gram matrices (relu1_1..relu5_1 of the teacher), to the
content's normalised relu4_1, and to what a shifted, noisy view of the same scene is painted as; a
picture in its own style must come back as it was.
"""
import keras
import numpy as np
from keras import ops

from ..models.canvas import canvas
from ..models.shapes import (
    LEVELS,
    LIVE_PAIRS,
    LIVE_TAPS,
    LIVE_WIDTHS,
    MEAN_RGB,
    VGG_WIDTHS,
    live_layers,
    live_levels,
    live_modulated,
    live_pairs,
)
from .canvas import crops_of_canvas, evenness
from .data import MARGIN, inner, pairs, random_crops
from .flaws import halo, hatching, weave
from .networks import Convolutions, he_normal, upsample
from .statistics import statistics, transport
from .teacher import Teacher, mean_square, trackers

# Weights of the losses; see the model card for what each is.
WEIGHTS = {
    "distill": 1.0,
    "image": 20.0,
    "style": 1.0,
    "content": 0.08,
    "twin": 13.0,
    "same": 1.0,
    "range": 10.0,
    "grid": 400.0,
    "hatching": 0.2,
    "halo": 10.0,
}


class LiveNetwork(Convolutions):
    """Encoder and decoder of the live model (`architecture.live_layers`)."""

    def __init__(self, arrays, pairs=LIVE_PAIRS, ridge=1e-3, **options):
        super().__init__(arrays, **options)
        self.ridge = ridge
        self.pairs = tuple(pairs)
        self.levels = live_levels(pairs)

    def encode(self, rgb, grain=None):
        """``rgb [b,h,w,3]``, sides multiples of 16, to the three taps' features, finest first.

        ``grain [b,h,w,1]`` is the canvas under each picture; without it, as for styles, there is none.
        """
        grain = ops.zeros_like(rgb[..., :1]) if grain is None else grain * evenness(rgb)
        x = ops.cast(rgb - ops.convert_to_tensor(MEAN_RGB, rgb.dtype), self.compute_dtype)
        x = ops.concatenate([fold(x), fold(ops.cast(grain, self.compute_dtype))], -1)
        x = ops.relu(self.convolve(x, "encoder0"))
        taps = [self.convolve(x, "encoder1", stride=2)]
        for n in LIVE_TAPS[1:]:
            x = ops.relu(self.convolve(ops.relu(taps[-1]), "encoder%da" % n, stride=2))
            taps.append(self.convolve(x, "encoder%db" % n))
        return taps

    def drawn(self, taps, modulate):
        """What the decoder has drawn at a quarter of the sides, before it paints the finest detail."""
        x = taps[self.levels[-1] - 1]
        for n in self.levels[::-1]:
            for _, first, second in (pair for pair in live_pairs(self.pairs) if pair[0] == n):
                x = x + self.convolve(modulate(self.convolve(ops.relu(x), first), first), second)
            if n > 1:
                x = upsample(self.convolve(ops.relu(x), "up%d" % n, "none")) + taps[n - 2]
        return x

    def decode(self, taps, wanted=None):
        """Three taps' features to RGB ``[b,h,w,3]``, float32, unclipped; where the decoder has no pairs
        (`architecture.live_levels`), only their means and deviations count.

        Args:
            wanted: mean and covariance of what is to be `drawn`, of as many pictures from the first as there are.
        """
        modulate = self.modulation(taps)
        x = self.drawn(taps, modulate)
        if wanted is not None:
            count = ops.shape(wanted[0])[0]
            x = ops.concatenate([transport(x[:count], *wanted, self.ridge), x[count:]])
        x = ops.relu(unfold(self.convolve(ops.relu(x), "up1", "none")))
        x = self.convolve(modulate(self.convolve(x, "decoder0"), "decoder0"), "image")
        return unfold(ops.cast(x, "float32")) + ops.convert_to_tensor(MEAN_RGB, "float32")

    def modulation(self, taps):
        """A function (x, layer) that gives each channel the style's gain and bias, and a ReLU."""
        moments = [ops.moments(ops.cast(f, "float32"), (1, 2)) for f in taps]
        code = ops.concatenate([mean for mean, _ in moments] + [ops.sqrt(v + 1e-5) for _, v in moments], -1)
        code = ops.relu(self.convolve(ops.cast(code, self.compute_dtype)[:, None, None], "code0", "none"))
        values = self.convolve(code, "code", "none")
        parts, at = {}, 0
        for name in live_modulated(self.pairs):
            width = self.arrays[name + "_bias"].shape[0]
            parts[name] = values[..., at : at + width], values[..., at + width : at + 2 * width]
            at += 2 * width
        return lambda x, layer: ops.relu(x * (1.0 + parts[layer][0]) + parts[layer][1])


def fold(x):
    """Space to depth: ``[b,2h,2w,c]`` to ``[b,h,w,4c]``."""
    b, h, w, c = ops.shape(x)
    x = ops.transpose(ops.reshape(x, (b, h // 2, 2, w // 2, 2, c)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (b, h // 2, w // 2, 4 * c))


def unfold(x):
    """Depth to space: ``[b,h,w,4c]`` to ``[b,2h,2w,c]``."""
    b, h, w, c = ops.shape(x)
    x = ops.transpose(ops.reshape(x, (b, h, w, 2, 2, c // 4)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (b, 2 * h, 2 * w, c // 4))


def live_arrays(rng, widths=LIVE_WIDTHS, pairs=LIVE_PAIRS):
    """A start: He initialisation, residual branches, the code and the picture small."""
    arrays = {}
    for name, (side, _, channels, width) in live_layers(widths, pairs).items():
        quiet = 0.3 if name == "image" or name in [second for _, _, second in live_pairs(pairs)] else 1.0
        quiet = 0.1 if name == "code" else quiet
        arrays[name + "_kernel"] = quiet * he_normal(rng, (side, side, channels, width))
        arrays[name + "_bias"] = np.zeros(width, np.float32)
    # All four pixels that a position unfolds to start alike: no checkerboard to begin with (ICNR).
    for name in ("up1", "image"):
        kernel = arrays[name + "_kernel"]
        arrays[name + "_kernel"] = np.tile(kernel[..., : kernel.shape[-1] // 4], 4)
    return arrays


class LiveTrainer(keras.Model):
    """The live network with the frozen teacher; ``call`` gives a dict of losses.

    Args:
        teacher: `networks.Encoder`, frozen, in any dtype.
        teacher_rms: {level: root mean square of the teacher's features}.
        arrays: the network's, to start from.
        ridge: the whitening's ridge, a share of the mean eigenvalue.
        pairs: the decoder's residual pairs at each tap.
    """

    def __init__(self, teacher, teacher_rms, arrays, widths, ridge, dtype="float32", pairs=LIVE_PAIRS):
        super().__init__()
        self.teacher, self.ridge = Teacher(teacher, teacher_rms), ridge
        self.network = LiveNetwork(arrays, pairs, ridge, dtype=dtype)
        self.heads = [keras.layers.Dense(VGG_WIDTHS[n - 1], dtype="float32", name="head%d" % n) for n in (3, 4, 5)]
        for head, width in zip(self.heads, widths[1:]):
            head.build((None, width))
        self.stylizing = False
        names = ["loss", "style", "content", "twin", "range", "same", "grid", "hatching", "halo", "image", "distill"]
        self.trackers = trackers(names + ["style%d" % level for level in LEVELS])
        self.seeds = keras.random.SeedGenerator(7)
        self.built = True

    @property
    def metrics(self):
        return list(self.trackers.values())

    def begin(self, stage, args, photos, paintings):
        """Make ready for ``stage``; returns what draws a batch (`data.Batches`)."""
        self.stylizing = stage.name == "stylize"
        for head in self.heads:
            head.trainable = not self.stylizing
        side = stage.size + 2 * MARGIN
        if not self.stylizing:
            return lambda rng: {
                "content": random_crops(rng, photos, paintings, stage.batch, side),
                "canvas": crops_of_canvas(rng, stage.batch, side),
                # Most often every tap is there.
                "depth": np.where(rng.random(stage.batch) < 0.6, 1,
                                  rng.choice(self.network.levels[1:] or (1,), stage.batch)).astype(np.int32)}
        draw_pairs = pairs(self.teacher, stage, args, photos, paintings)

        def draw(rng):
            batch = draw_pairs(rng)
            batch["canvas"] = crops_of_canvas(rng, stage.batch, side)
            batch["noise"] = rng.uniform(0, 0.05, stage.batch).astype(np.float32)
            batch["shift"] = rng.integers(-MARGIN, MARGIN + 1, (1, 2)).astype(np.int32)
            return batch

        return draw

    def paint(self, content, style, grain):
        """``content`` in the style of ``style``, strength 1, unclipped."""
        taps = self.network.encode(content, grain)
        styles = self.network.encode(style)
        return self.network.decode(self.styled(taps, styles), self.wanted(styles))

    def wanted(self, styles):
        """The statistics of what the decoder would draw of the styles themselves."""
        return statistics(self.network.drawn(styles, self.network.modulation(styles)))

    def styled(self, taps, styles):
        """The taps' features with the styles' statistics; where the decoder looks at nothing else, the styles' own."""
        return [transport(own, *statistics(style), self.ridge) if n in self.network.levels else style
                for n, own, style in zip(LIVE_TAPS, taps, styles)]

    def rebuild(self, content, grain, depth=None):
        """``content`` encoded and decoded, with the taps finer than each picture's ``depth [b]`` left out."""
        taps = self.network.encode(content, grain)
        if depth is not None:
            taps = [f * ops.cast(depth <= n, f.dtype)[:, None, None, None] for n, f in zip(LIVE_TAPS, taps)]
        return self.network.decode(taps)

    def call(self, inputs):
        wide = inputs["content"]
        content, grain = inner(wide), inner(inputs["canvas"])
        if not self.stylizing:
            target = self.teacher.features(content)
            distill = 0.0
            for n, (head, features) in enumerate(zip(self.heads, self.network.encode(content, grain)), 3):
                # The teacher pads with zeros: what it sees at the border is no example.
                edge = {3: 4, 4: 2, 5: 1}[n]
                guess = head(ops.cast(features, "float32"))
                difference = (guess - ops.cast(ops.stop_gradient(target[n]), "float32"))[:, edge:-edge, edge:-edge]
                distill = distill + mean_square(difference)
            losses = {"distill": distill, "image": mean_square(self.rebuild(content, grain, inputs["depth"]) - content)}
        else:
            losses = self.painting_losses(inputs, wide, content, grain)
        for key, value in losses.items():
            self.trackers[key].update_state(value)
        return losses

    def painting_losses(self, inputs, wide, content, grain):
        side = content.shape[1]
        # Half of the scenes are seen again a few pixels on, with the camera's noise, and rebuilt as they are.
        count = ops.shape(wide)[0]
        some = (count + 1) // 2
        dy, dx = inputs["shift"][0, 0], inputs["shift"][0, 1]
        shifted = lambda x: ops.slice(x[:some], (0, MARGIN + dy, MARGIN + dx, 0), (some, side, side, x.shape[-1]))
        twin = shifted(wide)
        twin = twin + inputs["noise"][:some, None, None, None] * keras.random.normal(ops.shape(twin), seed=self.seeds)
        # The canvas goes with the scene: where the camera stands still, so does what it adds.
        taps = self.network.encode(ops.concatenate([content, twin]),
                                   ops.concatenate([grain, shifted(inputs["canvas"])]))
        styles = self.network.encode(inputs["style"])
        wanted = [ops.concatenate([part, part[:some]]) for part in self.wanted(styles)]
        styles = [ops.concatenate([style, style[:some]]) for style in styles]
        features = [ops.concatenate([painted, own[:some]]) for painted, own in zip(self.styled(taps, styles), taps)]
        output = self.network.decode(features, wanted)
        painted, other, same = output[:count], output[count : count + some], output[count + some :]
        shown = ops.clip(painted, 0.0, 1.0)
        style, structure = self.teacher.losses(shown, inputs)
        for level, error in style.items():
            self.trackers["style%d" % level].update_state(error)
        losses = {"style": sum(style.values()) / len(style), "content": structure}
        losses["range"] = mean_square(painted - shown)
        losses["same"] = mean_square(same - content[:some])
        losses["grid"] = mean_square(weave(painted))
        losses["hatching"] = hatching(painted, content, inputs["style"])
        losses["halo"] = halo(painted, content)
        # What is painted must go with the scene.
        shape = (some, side - 2 * MARGIN, side - 2 * MARGIN, 3)
        losses["twin"] = mean_square(ops.slice(painted[:some], (0, MARGIN, MARGIN, 0), shape)
                                     - ops.slice(other, (0, MARGIN - dy, MARGIN - dx, 0), shape))
        return losses

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = sum(WEIGHTS[key] * value for key, value in y_pred.items())
        self.trackers["loss"].update_state(loss)
        return loss

    def sheet(self, content, style):
        """The columns to look at: content, rebuilt from the deepest tap alone and from all, style, painted."""
        deepest = ops.full((content.shape[0],), self.network.levels[-1])
        side = content.shape[1]
        grain = ops.broadcast_to(canvas()[:side, :side, None], (content.shape[0], side, side, 1))
        return [content, self.rebuild(content, grain, deepest), self.rebuild(content, grain), style,
                self.paint(content, style, grain)]

    def arrays(self):
        """What is exported."""
        return self.network.numpy()

    def training_arrays(self):
        """Nothing more: the heads have done their work when the first stage ends."""
        return {}

    def assign(self, arrays):
        """Go on from `arrays`."""
        self.network.assign(arrays)
