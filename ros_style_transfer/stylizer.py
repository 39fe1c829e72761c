"""Pictures in, painted pictures out: the one door to TensorFlow, for the node and the command line."""
import collections
import hashlib

import numpy as np
import tensorflow as tf

from . import images, weights
from .architecture import LEVELS
from .cascade import Cascade
from .errors import OptionError
from .options import check_options

# Styles whose statistics are kept, a few hundred kilobytes each.
CACHED = 16


class Stylizer:
    """A model in memory with a style.  Not thread-safe: one thread owns it.

    Args:
        model: its name in the weights' manifest.
        levels: the levels that paint, in order.
        dtype: what convolutions compute in: ``float32``, ``bfloat16`` or ``float16``.

    Raises:
        OptionError: an argument is not allowed.
        WeightsError: the weights are missing or damaged.
    """

    def __init__(self, model="cascade", levels=LEVELS, dtype="float32"):
        check_options(model, levels, dtype)
        for gpu in tf.config.list_physical_devices("GPU"):
            # TensorFlow would take all memory, which a Jetson's GPU shares with everything else.
            try:
                tf.config.experimental.set_memory_growth(gpu, True)
            except RuntimeError:
                pass  # a second model in one process: the first has seen to it
        arrays, entry = weights.load(model)
        self._network = Cascade(arrays, entry["backbone"], entry["widths"], levels, tf.as_dtype(dtype))
        self._style = None
        self._statistics = collections.OrderedDict()

    def set_style(self, rgb):
        """Paint in the style of ``rgb``, uint8 ``[h,w,3]``, from now on; one seen before costs nothing."""
        images.check(rgb)
        self._style = (hashlib.sha256(np.ascontiguousarray(rgb)).digest(), rgb)

    def stylize(self, rgb, strength=1.0):
        """``rgb``, uint8 ``[h,w,3]``, painted: the same size and type.

        Args:
            strength: the paper's alpha, applied at every level; 0 gives the picture back untouched.

        Raises:
            ImageError: ``rgb`` is not a picture.
            OptionError: the strength is out of range, or no style was set.
        """
        images.check(rgb)
        check_options(strength=strength)
        if self._style is None:
            raise OptionError("no style is set; call set_style first")
        if strength == 0:
            return rgb.copy()  # the networks would only blur it
        height, width = rgb.shape[:2]
        painted = self._network.paint(
            tf.constant(images.pad(rgb)), self._style_for(max(height, width)), tf.constant(strength, tf.float32))
        return painted.numpy()[:height, :width]

    def warm_up(self):
        """Trace and run the network once, so that the first picture does not pay for it."""
        self.stylize(np.zeros((64, 64, 3), np.uint8))

    def _style_for(self, longest):
        """The style's statistics for content of this longer side.

        The style is seen at the content's own scale, so that its strokes keep their proportion to
        the picture, but is never enlarged: that would only blur it.
        """
        digest, rgb = self._style
        height, width = rgb.shape[:2]
        longest = min(longest, max(height, width))
        key = (digest, longest)
        if key not in self._statistics:
            size = images.scaled_size(width, height, longest)
            scaled = images.pad(images.resize(rgb, *size))
            self._statistics[key] = self._network.style_of(tf.constant(scaled))
        self._statistics.move_to_end(key)
        while len(self._statistics) > CACHED:
            self._statistics.popitem(last=False)
        return self._statistics[key]
