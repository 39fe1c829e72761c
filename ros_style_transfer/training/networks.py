"""The networks as Keras 3 layers that use only `keras.ops`, so the same code trains with any backend.

The input of every network is RGB in 0..1, ``[batch, height, width, 3]``; the sides are multiples of 16,
because all training pictures are crops.
"""

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

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

Arrays = Mapping[str, np.ndarray]
Heads = Dict[int, Tuple[np.ndarray, np.ndarray]]  # {level: (kernel, bias)}


def convolve(x: Any, kernel: Any, bias: Any, padding: str = "reflect", stride: int = 1) -> Any:
    """A convolution with padding ``reflect`` (3x3 kernels), ``zero`` or ``none``."""
    if padding == "reflect":
        x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    y = ops.conv(x, ops.cast(kernel, x.dtype), stride, "same" if padding == "zero" else "valid")
    return y + ops.cast(bias, x.dtype)


def upsample(x: Any) -> Any:
    """Nearest-neighbour upsampling to twice the sides (no checkerboard: Odena et al. 2016)."""
    b, h, w, c = ops.shape(x)
    x = ops.broadcast_to(ops.reshape(x, (b, h, 1, w, 1, c)), (b, h, 2, w, 2, c))
    return ops.reshape(x, (b, 2 * h, 2 * w, c))


def fold(x: Any, n: int) -> Any:
    """Space to depth: ``[b,n h,n w,c]`` to ``[b,h,w,n n c]``."""
    b, h, w, c = ops.shape(x)
    x = ops.transpose(ops.reshape(x, (b, h // n, n, w // n, n, c)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (b, h // n, w // n, n * n * c))


def unfold(x: Any, n: int) -> Any:
    """Depth to space: ``[b,h,w,n n c]`` to ``[b,n h,n w,c]``."""
    b, h, w, c = ops.shape(x)
    x = ops.transpose(ops.reshape(x, (b, h, w, n, n, c // n**2)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (b, n * h, n * w, c // n**2))


def faster_dtype() -> str:
    """The faster of ``bfloat16`` and ``float32`` on this machine; few machines support the former in hardware."""
    return max(("bfloat16", "float32"), key=convolution_rate)


def convolution_rate(dtype: str) -> float:
    """Measured multiply-adds per second of a 3x3 convolution in this precision."""
    x, kernel = ops.ones((4, 48, 48, 128), dtype), ops.ones((3, 3, 128, 128), dtype)
    convolve = lambda: float(ops.cast(ops.max(ops.conv(x, kernel, padding="same")), "float32"))
    return 4 * 48 * 48 * 9 * 128 * 128 / shortest_time(convolve)


def he_normal(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """A kernel of this shape by He initialization."""
    return rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape).astype(np.float32)


class Convolutions(keras.layers.Layer):
    """Named kernels and biases from arrays ``NAME_kernel``, ``NAME_bias``.

    A kernel is stored as a matrix ``[side * side * in, out]``, which Muon orthogonalizes.
    """

    def __init__(self, arrays: Arrays, **options: Any) -> None:
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

    def assign(self, arrays: Arrays) -> None:
        """Set all kernels and biases."""
        for key, variable in self.arrays.items():
            variable.assign(np.reshape(arrays[key], variable.shape))

    def numpy(self) -> Dict[str, np.ndarray]:
        """All kernels and biases, as they were given, float32."""
        return {
            key: ops.convert_to_numpy(v).astype(np.float32).reshape(self.shapes[key]) for key, v in self.arrays.items()
        }

    def convolve(self, x: Any, name: str, padding: str = "reflect", stride: int = 1) -> Any:
        """The convolution ``name`` of ``x``."""
        kernel = ops.reshape(self.arrays[name + "_kernel"], self.shapes[name + "_kernel"])
        return convolve(x, kernel, self.arrays[name + "_bias"], padding, stride)


class Encoder(Convolutions):
    """An encoder in the shape of VGG; ``call`` returns ``{level: relu{level}_1 features}`` up to ``last``."""

    def __init__(self, arrays: Arrays, backbone: str = "vgg16", padding: str = "reflect", **options: Any) -> None:
        super().__init__(arrays, **options)
        self.layers = encoder_layers(backbone)
        self.padding = padding

    def call(self, rgb: Any, last: int = 5) -> Dict[int, Any]:
        x = ops.cast(rgb - ops.convert_to_tensor(MEAN_RGB, rgb.dtype), self.compute_dtype)
        features: Dict[int, Any] = {}
        for name, _, _ in self.layers:
            block = int(name[5])
            if name == feature_layer(block) and block > 1:
                x = ops.max_pool(x, 2, 2)
            x = ops.relu(self.convolve(x, name, self.padding))
            if name == feature_layer(block):
                features[block] = x
            if name == feature_layer(last):
                break
        return features


class Decoder(Convolutions):
    """The decoders of all levels."""

    def __init__(self, arrays: Arrays, backbone: str = "vgg16", **options: Any) -> None:
        super().__init__(arrays, **options)
        self.layers = {level: [name for name, _, _ in decoder_layers(level, backbone)] for level in LEVELS}

    def decode(self, x: Any, level: int) -> Any:
        """Features of ``level`` to the picture."""
        return self.steps(x, level)[-1]

    def steps(self, x: Any, level: int) -> List[Any]:
        """The results of all blocks: ``[relu{level-1}_1 features, ..., relu1_1 features, picture]``."""
        steps: List[Any] = []
        previous = None
        for name in self.layers[level]:
            block = name.split("_")[1]
            if previous not in (None, block):
                steps.append(x)
            previous = block
            x = self.convolve(x, name)
            if not is_image_layer(name):
                x = ops.relu(x)
            if is_upsampled(name):
                x = upsample(x)
        return steps + [x]


def decoder_arrays(rng: np.random.Generator, backbone: str, widths: Sequence[int]) -> Dict[str, np.ndarray]:
    """The initial arrays of the decoders: He initialization, and the mean color for the picture."""
    arrays: Dict[str, np.ndarray] = {}
    for level in LEVELS:
        for name, channels, width in decoder_layers(level, backbone, widths):
            arrays[name + "_kernel"] = he_normal(rng, (3, 3, channels, width)) * (0.3 if is_image_layer(name) else 1.0)
            arrays[name + "_bias"] = (
                np.array(MEAN_RGB, np.float32) if is_image_layer(name) else np.zeros(width, np.float32)
            )
    return arrays


def load_teacher(path: Optional[str], backbone: str = "vgg16") -> Dict[str, np.ndarray]:
    """The official weights (`vgg_weights.load`; downloaded if ``path`` is None), converted for RGB in 0..1.

    Returns:
        ``{NAME_kernel, NAME_bias: float32}``.
    """
    arrays = dict(vgg_weights.load(backbone, path or vgg_weights.fetch(backbone)))
    arrays["block1_conv1_kernel"] = arrays["block1_conv1_kernel"][:, :, ::-1] * 255.0
    return arrays


def blank(backbone: str, widths: Sequence[int]) -> Tuple[Dict[str, np.ndarray], Heads]:
    """Arrays of an encoder and its heads in the form of `prune`, all zero."""
    arrays: Dict[str, np.ndarray] = {}
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


def patches(x: np.ndarray, rng: np.random.Generator, count: int) -> Tuple[np.ndarray, Any]:
    """``count`` random 3x3 patches of ``x [b, h, w, c]`` away from its border, and the indices of their centers."""
    b, h, w, _ = x.shape
    index = rng.integers(0, b, count), rng.integers(4, h - 4, count), rng.integers(4, w - 4, count)
    rows = [x[index[0], index[1] + dy, index[2] + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return np.concatenate(rows, 1), index


def choose_channels(covariance: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` channels that together explain the others best (pivoted Cholesky)."""
    rest = covariance.astype(np.float64).copy()
    chosen: List[int] = []
    scale = 1.0 / np.maximum(np.diag(covariance), 1e-12)
    floor = 1e-9 * np.diag(covariance).max()  # below it are only rounding errors
    for _ in range(count):
        # The channel whose unexplained part explains most of the unexplained parts of all channels.
        gain = (rest**2 * scale[:, None]).sum(0) / np.maximum(np.diag(rest), floor)
        gain[chosen] = -1
        pick = int(np.argmax(gain))
        chosen.append(pick)
        if rest[pick, pick] > floor:
            column = rest[:, pick] / np.sqrt(rest[pick, pick])
            rest -= np.outer(column, column)
    return np.sort(chosen)


def prune(
    teacher: Arrays,
    pictures: np.ndarray,
    backbone: str,
    widths: Sequence[int],
    rng: np.random.Generator,
    count: int = 40000,
) -> Tuple[Dict[str, np.ndarray], Heads]:
    """A narrow encoder that is fitted to the teacher layer by layer, before any training.

    For each layer the teacher's channels that explain the others best are chosen, and a kernel that
    computes their activations from the features of the narrow network is fitted by least squares (the
    idea of ThiNet, Luo et al. 2017, and of He et al. 2017).  Last, every layer is scaled to a root mean
    square of 1, which a ReLU network allows exactly.

    Args:
        teacher: as `load_teacher` returns it.
        pictures: float32 RGB 0..1, ``[n, height, width, 3]``.
        count: positions that are sampled for each fit.

    Returns:
        The encoder's arrays, and ``{level: (kernel, bias)}`` of linear heads from its features to the
        teacher's, divided by their root mean square.
    """
    arrays: Dict[str, np.ndarray] = {}
    heads: Dict[int, Tuple[np.ndarray, np.ndarray]] = {}
    factor: Optional[float] = 1.0  # scale of the narrow network before its first narrower layer; then None
    wide = narrow = pictures - np.array(MEAN_RGB, np.float32)
    for name, channels, _ in encoder_layers(backbone):
        block = int(name[5])
        if name == feature_layer(block) and block > 1:
            wide, narrow = (ops.convert_to_numpy(ops.max_pool(x, 2, 2)) for x in (wide, narrow))
        teacher_kernel, teacher_bias = teacher[name + "_kernel"], teacher[name + "_bias"]
        target = ops.convert_to_numpy(convolve(wide, teacher_kernel, teacher_bias, "zero"))
        wide = np.maximum(target, 0)
        if factor is not None and widths[block - 1] == wide.shape[-1]:
            kernel, bias = teacher_kernel / factor, teacher_bias
        else:
            factor = None
            flat = wide[:, 4:-4, 4:-4].reshape(-1, wide.shape[-1])
            flat = flat[rng.integers(0, len(flat), count)].astype(np.float64)
            color_channels = 2 * channels if channels == 3 and widths[0] > 8 else 0
            chosen = choose_channels(np.cov(flat.T), widths[block - 1] - color_channels)
            kernel, bias = refit(narrow, target, chosen, rng, count)
            if color_channels:
                kernel, bias = add_color_channels(kernel, bias, narrow)
        narrow = np.maximum(ops.convert_to_numpy(convolve(narrow, kernel, bias)), 0)
        scale = 1.0 / np.sqrt(np.mean(narrow**2, (0, 1, 2)).mean())
        narrow *= scale
        factor = scale if factor is not None else None
        arrays[name + "_kernel"], arrays[name + "_bias"] = kernel * scale, bias * scale
        if name == feature_layer(block):
            index = tuple(
                rng.integers(4, s - 4, count) if n else rng.integers(0, s, count)
                for n, s in enumerate(narrow.shape[:3])
            )
            x = np.concatenate([narrow[index], np.ones((count, 1))], 1).astype(np.float64)
            target = wide[index] / np.sqrt(np.mean(wide**2))
            solution = np.linalg.lstsq(x, target, rcond=None)[0].astype(np.float32)
            heads[block] = solution[:-1], solution[-1]
    return arrays, heads


def refit(
    narrow: np.ndarray, wide: np.ndarray, chosen: np.ndarray, rng: np.random.Generator, count: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Kernel and bias from the narrow network's features to the ``chosen`` channels of the teacher's, ``wide``, which
    are taken before the ReLU."""
    x, index = patches(narrow, rng, count)
    x = np.concatenate([x, np.ones((count, 1))], 1).astype(np.float64)
    target = wide[index][:, chosen]
    # The ReLU clips negative values, so their exact values do not matter.
    target = np.maximum(target, -0.5 * np.sqrt(np.mean(target**2, 0)))
    gram = x.T @ x
    gram += 1e-4 * np.trace(gram) / len(gram) * np.eye(len(gram))
    solution = np.linalg.solve(gram, x.T @ target)
    kernel = solution[:-1].reshape(3, 3, narrow.shape[-1], len(chosen))
    return kernel.astype(np.float32), solution[-1].astype(np.float32)


def add_color_channels(kernel: np.ndarray, bias: np.ndarray, pictures: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The first layer with two more channels for each color, its positive and its negative part.

    A ReLU discards half of a filter's response; with both halves of each color the picture can be
    reconstructed exactly from the first level.
    """
    responses = ops.convert_to_numpy(convolve(pictures, kernel, bias))
    gain = np.sqrt(np.mean(np.maximum(responses, 0) ** 2)) / np.sqrt(np.mean(pictures**2) / 2)
    colors = np.zeros((3, 3, 3, 6), np.float32)
    for channel in range(3):
        colors[1, 1, channel, 2 * channel : 2 * channel + 2] = gain, -gain
    return np.concatenate([kernel, colors], 3), np.concatenate([bias, np.zeros(6, np.float32)])
