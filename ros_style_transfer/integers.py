"""The live models in 8-bit integers, by LiteRT: faster than floats where a processor multiplies those slowly.

A value is rounded to one of 256 between two bounds, the kernel's weights to 255 for each channel that
they make, and a convolution sums their products exactly (Jacob et al. 2018).  The bounds of what each
layer is given and makes, its *ranges*, come with the weights: `ranges` finds them in paintings.
Statistics, maps and what lies between the convolutions stay in float32::

    picture -> look -> features, statistics -> numpy: maps -> draw -> features, statistics -> maps -> finish -> picture

``look``, ``draw`` and ``finish`` are programs of LiteRT, each as TensorFlow's graph has it (`painter.Painter.graphed`).
"""
import contextlib
import functools
import os
import re
import sys
import tempfile
import time
import warnings

import numpy as np
import tensorflow as tf

from . import vgg, wct
from .architecture import DRAWN, MEAN_RGB
from .errors import WeightsError
from .live import Live
from .painter import Painter, Region, floats, planned, strength_of
from .vgg import Convolutions, graph

GIVEN, MADE = 0, 1  # the rows of a layer's ranges
LARGEST = 2**21  # pixels of a picture: LiteRT takes three times TensorFlow's memory
# LiteRT's notes on its own work.
NOTES = re.compile(rb"[IW]\d{4} |WARNING: All log|WARNING:absl|INFO: Created TensorFlow Lite|fully_quantize")


class Integers(Convolutions):
    """`vgg.Convolutions` for a `Program`: float32 tensors, with the bounds that make integers of them.

    Args:
        arrays: with ``NAME_range`` ``[2, 2]`` for every layer that a picture goes through: the least and
            the largest value that it is given, and that it makes.

    Raises:
        WeightsError: there are no ranges.
    """

    def __init__(self, layers, arrays, prefix, dtype, name):
        super().__init__(layers, arrays, prefix, dtype, name)
        self._ranges = {layer: arrays[prefix + layer + "_range"] for layer in self.shapes
                        if prefix + layer + "_range" in arrays}
        if not self._ranges:
            raise WeightsError("the weights say no ranges, which int8 needs; find them with "
                               "python -m ros_style_transfer.training.ranges, or choose another dtype")

    def __call__(self, x, layer, relu=True, modulation=None):
        side, stride = self.shapes[layer][:2]
        x = self._bounded(x, layer, GIVEN)
        if side == 3:
            x = _reflect(x)
        x = tf.nn.conv2d(x, self._weights[layer + "_kernel"], stride, "VALID") + self._weights[layer + "_bias"]
        if modulation is not None:  # of the values: the kernel's integers stay as they are
            gain, shift = modulation
            return self.relu(self._bounded(x, layer, MADE) * (1.0 + gain) + shift)
        return self._bounded(tf.nn.relu(x) if relu else x, layer, MADE)

    def relu(self, x):
        """``x`` as it is: what the next layer is given has no room for less than zero."""
        # Of bounds that follow each other LiteRT would take one: something must stand between them.
        return tf.nn.leaky_relu(x, 0.1) if x.op.type.startswith("FakeQuant") else x

    def upsample(self, x):
        # Four times the same, unfolded: LiteRT's own resizing is slower.
        return tf.nn.depth_to_space(tf.concat([x] * 4, -1), 2)

    def _bounded(self, x, layer, row):
        if layer not in self._ranges:  # the style's code: no picture
            return x
        low, high = self._ranges[layer][row]
        return tf.quantization.fake_quant_with_min_max_args(x, float(low), float(high))


class _Observed(Integers):
    """The same layers in floats; they note the bounds of each picture, as long as no graph is made of them."""

    def __init__(self, layers, arrays, prefix, dtype, name):
        unknown = {layer[0] + "_range": np.zeros((2, 2), np.float32) for layer in layers}
        super().__init__(layers, dict(arrays, **unknown), prefix, dtype, name)
        self.seen = {}  # {(layer, row): [(least, largest), ...]}

    def relu(self, x):
        return tf.nn.relu(x)

    def _bounded(self, x, layer, row):
        if x.shape[1] * x.shape[2] > 1:
            self.seen.setdefault((layer, row), []).append((min(0.0, np.min(x)), max(0.0, np.max(x))))
        return x


def ranges(arrays, entry, contents, styles, controls):
    """``{NAME_range: [2, 2]}`` of a live model, in paintings of every one of ``contents`` in every one of ``styles``.

    The bounds that nine of ten paintings keep: the rest is so rare that it is better cut off than made
    room for by coarser steps.

    Args:
        arrays, entry: as `weights.load` gives them.
        contents, styles: uint8 ``[h, w, 3]`` each; sides are multiples of 16 and 32 at least.
        controls: `options.Controls`, resolved.
    """
    network = Live(arrays, entry["widths"], entry["pairs"], kind=_Observed)
    painter = Painter(network, entry["ridge"])
    eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        looks = [painter.style_of(style) for style in styles]
        network.net.seen.clear()  # floats look at styles
        for content in contents:
            for look in looks:
                painter.paint(content, [Region(look)], controls)
    finally:
        tf.config.run_functions_eagerly(eager)
    bounds = {key: np.array(each) for key, each in network.net.seen.items()}
    found = {layer + "_range": np.float32([_usual(bounds[layer, GIVEN]), _usual(bounds[layer, MADE])])
             for layer in dict.fromkeys(layer for layer, _ in bounds)}
    # Blacker than black and whiter than white are cut off in the end: no step is spent on them.
    found["image_range"][MADE] = -max(MEAN_RGB), 1.0 - min(MEAN_RGB)
    return found


def _usual(bounds):
    return np.percentile(bounds[:, 0], 10), np.percentile(bounds[:, 1], 90)


def known(arrays):
    """Whether the weights ``arrays`` say ranges."""
    return any(name.endswith("_range") for name in arrays)


def gain(dtype):
    """How many times faster than in floats of type ``dtype`` this machine convolves in integers, frame by frame.

    Frames come with pauses between them.  While LiteRT's threads wait for each other they hold their
    cores: where one that slept is then given no core of its own, as in some virtual machines, they wait
    for 20 to 40 ms.  So the mean counts, of calls after pauses.
    """
    program, seconds = _convolutions(5), []
    program()
    for _ in range(10):
        time.sleep(0.025)
        started = time.perf_counter()
        program()
        seconds.append(time.perf_counter() - started)
    return 5 * vgg.convolution_time(dtype) / np.mean(seconds)


def convolution_time(side, channels, clock):
    """Seconds that a 3x3 convolution of ``[side, side, channels]`` takes in integers; see `vgg.convolution_time`."""
    five, one = (clock(_convolutions(count, side, channels)) for count in (5, 1))
    return max(1e-9, five - one) / 4  # what goes in and out as floats is in both


def _convolutions(count, side=96, channels=64):
    """() to so many 3x3 convolutions, one of another."""
    names = ["layer%d" % n for n in range(count)]
    arrays = {name + part: value for name in names for part, value in (
        ("_kernel", np.full((3, 3, channels, channels), 1 / (9 * channels), np.float32)),
        ("_bias", np.zeros(channels, np.float32)), ("_range", np.float32([[0, 1], [0, 1]])))}
    net = Integers([(name, 3, 1, channels, channels) for name in names], arrays, "", tf.float32, "convolutions")
    return functools.partial(Program(lambda x: functools.reduce(net, names, x[None])[0]),
                             np.ones((side, side, channels), np.float32))


class Program:
    """A function of tensors as a program of LiteRT, made at its first call; another size costs some milliseconds.

    Args:
        function: float32 tensors to any structure of such.  Of tensors with three dimensions the first
            two, a picture's sides, may differ from call to call.
    """

    def __init__(self, function):
        self._function, self._interpreter, self._shapes = function, None, None

    def __call__(self, *arguments):
        """Arrays to arrays."""
        shapes = [argument.shape for argument in arguments]
        if self._interpreter is None:
            with _quiet():
                self._convert(arguments)
                self._resize(shapes)
        elif shapes != self._shapes:
            self._resize(shapes)
        for index, argument in zip(self._inputs, arguments):
            self._interpreter.set_tensor(index, argument)
        self._interpreter.invoke()
        return tf.nest.pack_sequence_as(self._structure, [self._interpreter.get_tensor(index)
                                                          for index in self._outputs])

    def _convert(self, arguments):
        signature = [tf.TensorSpec((None, None, a.shape[2]) if a.ndim == 3 else a.shape, name="given%d" % n)
                     for n, a in enumerate(arguments)]
        concrete = graph(self._function, *signature).get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        self._interpreter = tf.lite.Interpreter(
            model_content=converter.convert(),
            num_threads=tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count())
        inputs = {detail["name"]: detail["index"] for detail in self._interpreter.get_input_details()}
        self._inputs = [inputs[spec.name] for spec in signature]
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]
        self._structure = concrete.structured_outputs

    def _resize(self, shapes):
        for index, shape in zip(self._inputs, shapes):
            self._interpreter.resize_tensor_input(index, shape)
        self._interpreter.allocate_tensors()
        self._shapes = shapes


class IntegerPainter(Painter):
    """Paints whole pictures in one style in integers; larger ones, tiles, masks and swapped patches in floats.

    Args:
        network: what paints in floats, and looks at styles.
        integers: the same `live.Live` of `Integers`.
        ridge: see `painter.Painter`.
    """

    def __init__(self, network, integers, ridge=wct.RIDGE):
        super().__init__(network, ridge)
        self.dtype, self._integers, self._programs = "int8", integers, {}

    def _in_one_piece(self, picture, under, levels, style, controls):
        if picture.shape[0] * picture.shape[1] > LARGEST:
            return super()._in_one_piece(picture, under, levels, style, controls)
        if levels not in self._programs:
            self._programs[levels] = [Program(functools.partial(stage, levels))
                                      for stage in (self._looked, self._drawn, self._finished)]
        look, draw, finish = self._programs[levels]
        looked = look(self._integers.laid(np.asarray(floats(picture)), under))
        targets = {level: wct.Statistics(*map(np.asarray, known)) for level, known in style.statistics.items()}
        moments = {level: wct.moments(targets[level]) for level in self.network.code_levels}
        features, after = self._planned(looked, levels, targets, controls)
        moments.update(after)
        moments = [part for pair in moments.values() for part in pair]
        if DRAWN in levels:
            features, _ = self._planned(draw(*features, *moments), levels, targets, controls)
        return finish(*features, *moments)

    def _planned(self, looked, levels, targets, controls):
        """All features that were ``looked`` at, then the numbers of the maps that give them the style's statistics;
        and ``{level: moments}`` that they will have."""
        features, maps, moments = [], [], {}
        for level, (values, content) in looked.items():
            # What is not to be painted is looked at as well, and stays.
            strength = strength_of(level, controls) if level in levels else 0.0
            affine, moments[level] = planned(content, targets[level], controls.method, strength, self.ridge)
            features.append(values)
            maps += affine
        return features + maps, moments

    def _looked(self, levels, laid):
        """The first program: ``{level: (features, statistics)}``."""
        features = self._integers.features(laid, levels)
        return {level: (values, wct.statistics(values)) for level, values in features.items()}

    def _drawn(self, levels, *given):
        """The second, where the decoder's drawing is painted: ``{DRAWN: (features, statistics)}``."""
        features, code = self._mapped(self._integers.seen(levels), given)
        drawn = self._integers.draw(features, code[0])
        return {DRAWN: (drawn, wct.statistics(drawn))}

    def _finished(self, levels, *given):
        """The last: the picture."""
        redrawn = DRAWN in levels
        features, code = self._mapped([DRAWN] if redrawn else self._integers.seen(levels), given)
        drawn = features[DRAWN] if redrawn else self._integers.draw(features, code[0])
        return self._integers.finish(drawn, code[1])

    def _mapped(self, levels, given):
        """Features, numbers of their maps and moments to ``{level: features}`` through their maps, and the code."""
        count, mapped = len(levels), {}
        features, maps, moments = given[:count], given[count : 4 * count], given[4 * count :]
        for n, level in enumerate(levels):
            centre, matrix, offset = maps[3 * n : 3 * n + 3]
            # `wct.apply` for a matrix that LiteRT does not know beforehand.
            shift = offset - tf.linalg.matvec(matrix, centre, transpose_a=True)
            mapped[level] = tf.matmul(features[n], matrix[None]) + shift
        return mapped, self._integers.code(dict(zip(self.network.code_levels, zip(moments[::2], moments[1::2]))))


def _reflect(x):
    # `vgg.reflect` gathers rows, which LiteRT does slowly.
    x = tf.concat([x[:, :, 1:2], x, x[:, :, -2:-1]], 2)
    return tf.concat([x[:, 1:2], x, x[:, -2:-1]], 1)


@contextlib.contextmanager
def _quiet():
    """Without what LiteRT says of its conversion, most of it straight to the standard error, to anyone's alarm."""
    with warnings.catch_warnings(), tempfile.TemporaryFile() as said:
        warnings.simplefilter("ignore")
        sys.stderr.flush()
        error = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(error, 2)
            os.close(error)
            said.seek(0)
            for line in said:  # other threads may have said something, too
                if not NOTES.match(line):
                    os.write(2, line)
