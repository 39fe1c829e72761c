"""The networks as Keras 3 layers, in `keras.ops` alone: the same code trains with any backend.

Every network takes RGB in 0..1, ``[batch, height, width, 3]``; sides are multiples of 16 here,
since all training pictures are crops.
"""

import keras
import numpy as np
from keras import ops

from ..models import vgg_weights
from ..models.shapes import (
    LEVELS,
    MEAN_RGB,
    VGG_WIDTHS,
    decoder_layers,
    encoder_layers,
    feature_layer,
    is_image_layer,
    is_upsampled,
)
from ..models.timing import shortest_time


def convolve(x, kernel, bias, padding="reflect", stride=1):
    """A convolution with ``reflect`` (3x3 kernels), ``zero`` or no padding (``none``)."""
    if padding == "reflect":
        x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    y = ops.conv(x, ops.cast(kernel, x.dtype), stride, "same" if padding == "zero" else "valid")
    return y + ops.cast(bias, x.dtype)


def upsample(x):
    """Twofold nearest-neighbour upsampling (no checkerboard: Odena et al. 2016)."""
    b, h, w, c = ops.shape(x)
    x = ops.broadcast_to(ops.reshape(x, (b, h, 1, w, 1, c)), (b, h, 2, w, 2, c))
    return ops.reshape(x, (b, 2 * h, 2 * w, c))


def fold(x, n):
    """Space to depth: ``[b,n h,n w,c]`` to ``[b,h,w,n n c]``."""
    b, h, w, c = ops.shape(x)
    x = ops.transpose(ops.reshape(x, (b, h // n, n, w // n, n, c)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (b, h // n, w // n, n * n * c))


def unfold(x, n):
    """Depth to space: ``[b,h,w,n n c]`` to ``[b,n h,n w,c]``."""
    b, h, w, c = ops.shape(x)
    x = ops.transpose(ops.reshape(x, (b, h, w, n, n, c // n**2)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (b, n * h, n * w, c // n**2))


def faster_dtype():
    """``bfloat16`` or ``float32``, whichever this machine convolves faster in: few have it in hardware."""
    return max(("bfloat16", "float32"), key=convolution_rate)


def convolution_rate(dtype):
    """Multiply-adds a second of a 3x3 convolution in this precision, measured."""
    x, kernel = ops.ones((4, 48, 48, 128), dtype), ops.ones((3, 3, 128, 128), dtype)
    convolve = lambda: float(ops.cast(ops.max(ops.conv(x, kernel, padding="same")), "float32"))
    return 4 * 48 * 48 * 9 * 128 * 128 / shortest_time(convolve)


def he_normal(rng, shape):
    return rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape).astype(np.float32)


class Convolutions(keras.layers.Layer):
    """Named kernels and biases, made from a dict of arrays ``NAME_kernel``, ``NAME_bias``.

    A kernel is kept as the matrix ``[side * side * in, out]``: what Muon orthogonalizes.
    """

    def __init__(self, arrays, **options):
        super().__init__(**options)
        self.built = True
        self.shapes = {key: value.shape for key, value in arrays.items()}
        self.arrays = {
            key: self.add_weight(
                shape=shape if len(shape) < 2 else (int(np.prod(shape[:-1])), shape[-1]),
                name=key,
                initializer="zeros",
                dtype=self.dtype,
            )
            for key, shape in self.shapes.items()
        }
        self.assign(arrays)

    def assign(self, arrays):
        for key, variable in self.arrays.items():
            variable.assign(np.reshape(arrays[key], variable.shape))

    def numpy(self):
        return {
            key: ops.convert_to_numpy(v).astype(np.float32).reshape(self.shapes[key]) for key, v in self.arrays.items()
        }

    def convolve(self, x, name, padding="reflect", stride=1):
        kernel = ops.reshape(self.arrays[name + "_kernel"], self.shapes[name + "_kernel"])
        return convolve(x, kernel, self.arrays[name + "_bias"], padding, stride)


class Encoder(Convolutions):
    """A VGG-shaped encoder; ``call`` gives ``{level: relu{level}_1 features}`` up to ``last``."""

    def __init__(self, arrays, backbone="vgg16", padding="reflect", **options):
        super().__init__(arrays, **options)
        self.layers = encoder_layers(backbone)
        self.padding = padding

    def call(self, rgb, last=5):
        x = ops.cast(rgb - ops.convert_to_tensor(MEAN_RGB, rgb.dtype), self.compute_dtype)
        taps = {}
        for name, _, _ in self.layers:
            block = int(name[5])
            if name == feature_layer(block) and block > 1:
                x = ops.max_pool(x, 2, 2)
            x = ops.relu(self.convolve(x, name, self.padding))
            if name == feature_layer(block):
                taps[block] = x
            if name == feature_layer(last):
                return taps


class Decoder(Convolutions):
    """The decoders of all levels."""

    def __init__(self, arrays, backbone="vgg16", **options):
        super().__init__(arrays, **options)
        self.layers = {level: [name for name, _, _ in decoder_layers(level, backbone)] for level in LEVELS}

    def decode(self, x, level):
        """Features of ``level`` to the picture."""
        return self.steps(x, level)[-1]

    def steps(self, x, level):
        """Features of ``level`` to ``[relu{level-1}_1 features, ..., relu1_1 features, picture]``, a block each."""
        steps, before = [], None
        for name in self.layers[level]:
            block = name.split("_")[1]
            if before not in (None, block):
                steps.append(x)
            before = block
            x = self.convolve(x, name)
            if not is_image_layer(name):
                x = ops.relu(x)
            if is_upsampled(name):
                x = upsample(x)
        return steps + [x]


def decoder_arrays(rng, backbone, widths):
    """The decoders' start: He initialisation, and mid-grey for the picture."""
    arrays = {}
    for level in LEVELS:
        for name, channels, width in decoder_layers(level, backbone, widths):
            arrays[name + "_kernel"] = he_normal(rng, (3, 3, channels, width)) * (0.3 if is_image_layer(name) else 1.0)
            arrays[name + "_bias"] = (
                np.array(MEAN_RGB, np.float32) if is_image_layer(name) else np.zeros(width, np.float32)
            )
    return arrays


def load_teacher(path, backbone="vgg16"):
    """ImageNet's weights (`vgg_weights.load`; fetched if ``path`` is None) for a network that takes RGB in 0..1.

    Returns:
        ``{NAME_kernel, NAME_bias: float32}``.
    """
    arrays = dict(vgg_weights.load(backbone, path or vgg_weights.fetch(backbone)))
    arrays["block1_conv1_kernel"] = arrays["block1_conv1_kernel"][:, :, ::-1] * 255.0
    return arrays


def blank(backbone, widths):
    """An encoder's and its heads' arrays, all zero: only their shapes count (see `prune`)."""
    arrays = {}
    for name, channels, width in encoder_layers(backbone, widths):
        arrays[name + "_kernel"] = np.zeros((3, 3, channels, width), np.float32)
        arrays[name + "_bias"] = np.zeros(width, np.float32)
    heads = {
        level: (
            np.zeros((widths[level - 1], VGG_WIDTHS[level - 1]), np.float32),
            np.zeros(VGG_WIDTHS[level - 1], np.float32),
        )
        for level in LEVELS
    }
    return arrays, heads


def patches(x, rng, count):
    """``count`` random 3x3 patches of ``x [b,h,w,c]`` (none at the border) and their places."""
    b, h, w, _ = x.shape
    at = rng.integers(0, b, count), rng.integers(4, h - 4, count), rng.integers(4, w - 4, count)
    rows = [x[at[0], at[1] + dy, at[2] + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return np.concatenate(rows, 1), at


def choose_channels(covariance, count):
    """The ``count`` channels that between them explain the others best (pivoted Cholesky)."""
    rest, chosen = covariance.astype(np.float64).copy(), []
    scale = 1.0 / np.maximum(np.diag(covariance), 1e-12)
    floor = 1e-9 * np.diag(covariance).max()  # below it stands rounding alone
    for _ in range(count):
        # The channel whose remainder explains most of what is left of all channels.
        gain = (rest**2 * scale[:, None]).sum(0) / np.maximum(np.diag(rest), floor)
        gain[chosen] = -1
        pick = int(np.argmax(gain))
        chosen.append(pick)
        if rest[pick, pick] > floor:
            column = rest[:, pick] / np.sqrt(rest[pick, pick])
            rest -= np.outer(column, column)
    return np.sort(chosen)


def prune(teacher, pictures, backbone, widths, rng, count=40000):
    """A narrow encoder fitted to the teacher layer by layer, before any training.

    For each layer the channels that best explain the teacher's others are chosen, and the kernel
    that reads the narrow network's own features is refitted by least squares to give their
    activations (the idea of ThiNet, Luo et al. 2017, and of He et al. 2017); last, every layer is
    scaled to a root mean square of 1, which a ReLU network allows exactly.

    Args:
        teacher: the teacher's arrays, as `load_teacher` gives them.
        pictures: float32 RGB 0..1, ``[n, height, width, 3]``.

    Returns:
        (the encoder's arrays, {level: (kernel, bias)} of linear heads that give the teacher's
        features, divided by their root mean square, from the narrow ones).
    """
    arrays, heads = {}, {}
    factor = 1.0  # narrow over wide, as long as no layer has been narrowed; then None
    wide = narrow = pictures - np.array(MEAN_RGB, np.float32)
    for name, channels, _ in encoder_layers(backbone):
        block = int(name[5])
        if name == feature_layer(block) and block > 1:
            wide, narrow = (ops.convert_to_numpy(ops.max_pool(x, 2, 2)) for x in (wide, narrow))
        teacher_kernel, teacher_bias = teacher[name + "_kernel"], teacher[name + "_bias"]
        before = ops.convert_to_numpy(convolve(wide, teacher_kernel, teacher_bias, "zero"))
        wide = np.maximum(before, 0)
        if factor is not None and widths[block - 1] == wide.shape[-1]:
            kernel, bias = teacher_kernel / factor, teacher_bias
        else:
            factor = None
            flat = wide[:, 4:-4, 4:-4].reshape(-1, wide.shape[-1])
            flat = flat[rng.integers(0, len(flat), count)].astype(np.float64)
            pairs = 2 * channels if channels == 3 and widths[0] > 8 else 0
            chosen = choose_channels(np.cov(flat.T), widths[block - 1] - pairs)
            kernel, bias = refit(narrow, before, chosen, rng, count)
            if pairs:
                kernel, bias = add_colours(kernel, bias, narrow)
        narrow = np.maximum(ops.convert_to_numpy(convolve(narrow, kernel, bias)), 0)
        scale = 1.0 / np.sqrt(np.mean(narrow**2, (0, 1, 2)).mean())
        narrow *= scale
        factor = scale if factor is not None else None
        arrays[name + "_kernel"], arrays[name + "_bias"] = kernel * scale, bias * scale
        if name == feature_layer(block):
            at = tuple(
                rng.integers(4, s - 4, count) if n else rng.integers(0, s, count)
                for n, s in enumerate(narrow.shape[:3])
            )
            x = np.concatenate([narrow[at], np.ones((count, 1))], 1).astype(np.float64)
            target = wide[at] / np.sqrt(np.mean(wide**2))
            solution = np.linalg.lstsq(x, target, rcond=None)[0].astype(np.float32)
            heads[block] = solution[:-1], solution[-1]
    return arrays, heads


def refit(narrow, before, chosen, rng, count):
    """Kernel and bias that give the teacher's ``chosen`` channels (``before`` its ReLU) from ``narrow``."""
    x, at = patches(narrow, rng, count)
    x = np.concatenate([x, np.ones((count, 1))], 1).astype(np.float64)
    target = before[at][:, chosen]
    # Negative values are cut off by the ReLU: how negative need not be met.
    target = np.maximum(target, -0.5 * np.sqrt(np.mean(target**2, 0)))
    gram = x.T @ x
    gram += 1e-4 * np.trace(gram) / len(gram) * np.eye(len(gram))
    solution = np.linalg.solve(gram, x.T @ target)
    kernel = solution[:-1].reshape(3, 3, narrow.shape[-1], len(chosen))
    return kernel.astype(np.float32), solution[-1].astype(np.float32)


def add_colours(kernel, bias, pictures):
    """The first layer with two channels more for each colour, the positive and the negative part.

    A ReLU throws half of a filter's answer away; with both halves of each colour the picture can
    be rebuilt from the first level exactly.
    """
    answers = ops.convert_to_numpy(convolve(pictures, kernel, bias))
    loudness = np.sqrt(np.mean(np.maximum(answers, 0) ** 2)) / np.sqrt(np.mean(pictures**2) / 2)
    colours = np.zeros((3, 3, 3, 6), np.float32)
    for channel in range(3):
        colours[1, 1, channel, 2 * channel : 2 * channel + 2] = loudness, -loudness
    return np.concatenate([kernel, colours], 3), np.concatenate([bias, np.zeros(6, np.float32)])
