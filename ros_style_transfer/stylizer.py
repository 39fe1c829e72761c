"""Pictures in, painted pictures out: the one door to TensorFlow, for the node and the command line."""
import collections
import hashlib
import os
import time

import numpy as np
import tensorflow as tf

from .controls import Controls, check_model, whole, within
from .errors import ImageError, OptionError
from .media import images, memory
from .models.device import share_gpus
from .transfer import colours, masks, quantized_pipeline
from .transfer.loading import load_painter
from .transfer.pipeline import Region, blend
from .transfer.temporal import Steady

# Styles whose statistics are kept, a few hundred kilobytes each.
CACHED = 32
# Bytes of memory that a pixel takes while it is painted, in float32, measured at 4 megapixels (resident set).
BYTES_PER_PIXEL = {"live": 150, "lite": 150, "cascade": 450}
INTEGERS_BYTES_PER_PIXEL = 430  # LiteRT's, up to `quantized_pipeline.LARGEST` pixels
# Those that it takes all the time while a picture is painted in tiles: as bytes, and as floats before and after.
BYTES_KEPT = 36
LARGEST_TILE = 2048  # pixels a side; larger ones gain nothing
STRIP = 256  # rows
SMALLEST_TILE = 128  # pixels a side; below it nearly all work would be what is read around tiles


class Stylizer:
    """A model in memory with its styles.  Not thread-safe: one thread owns it.

    Args:
        model: its name in the weights' manifest.
        dtype: what convolutions compute in: ``float32``, ``bfloat16``, ``float16``, ``int8`` (see
            `quantized_pipeline.IntegerPainter`), or ``auto``, the fastest here, by measuring.
        weights_dir: a folder with weights of your own training; ours when None.
        clock: () to seconds, what cross-fades go by.
        max_memory: megabytes of this process; what does not fit is painted in tiles; 0: what is free.
        gpu_memory_mb: megabytes of a GPU's memory that TensorFlow may take; 0: as it needs them.

    Attributes:
        device: what it paints on, for people.
        dtype: what convolutions compute in.

    Raises:
        OptionError: an argument is not allowed.
        WeightsError: the weights are missing or damaged.
    """

    def __init__(self, model="cascade", dtype="float32", weights_dir=None, clock=time.monotonic, max_memory=0,
                 gpu_memory_mb=0):
        check_model(model, dtype)
        within("max_memory", max_memory, 0, 1e7)
        whole("gpu_memory_mb", gpu_memory_mb, 0, 10**7)
        gpus = share_gpus(gpu_memory_mb)
        self.device = ", ".join(gpu.name for gpu in gpus) or "CPU, %d threads" % (
            tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count())
        self.model, self._clock = model, clock
        self._painter = load_painter(model, dtype, weights_dir, bool(gpus))
        self.dtype = self._painter.dtype
        # What is taken already counts; later, memory that was given back would count as taken.
        self._memory = max_memory * 1e6 - memory.own_memory() if max_memory else None
        self._pictures = {}  # {digest: rgb} of the styles in use
        self._order = ()  # the styles' digests as they were set, for masks
        self._mix = self._mix_before = {}  # {digest: weight}, the weights sum to 1
        self._fade_start, self._fade = 0.0, 0.0
        self._known = collections.OrderedDict()
        self._streams = {}  # by name: a video's `Steady`, and how its frame before was painted

    def set_style(self, rgb, fade=0.0):
        """Paint in the style of ``rgb``, uint8 ``[h,w,3]``, from now on; one seen before costs nothing."""
        self.set_styles([rgb], fade=fade)

    def set_styles(self, pictures, weights=None, fade=0.0):
        """Paint in a mixture of styles from now on; with a mask, each in its region.

        Args:
            pictures: uint8 ``[h,w,3]`` each.
            weights: their shares in the mixture, numbers of any sum; equal when None.
            fade: seconds over which what is painted now becomes this.

        Raises:
            ImageError, OptionError: a picture, the weights or the time are not such.
        """
        if not len(pictures):
            raise OptionError("name at least one style")
        for rgb in pictures:
            images.check(rgb)
        within("fade", fade, 0.0, 3600.0)
        shares = _shares(weights, len(pictures))
        now = self._clock()
        self._mix_before = self._mixture(now)
        self._fade_start, self._fade = now, fade if self._mix_before else 0.0
        self._order = tuple(hashlib.sha256(np.ascontiguousarray(rgb)).digest() + bytes(str(rgb.shape), "ascii")
                            for rgb in pictures)
        self._mix = collections.Counter()
        for digest, share in zip(self._order, shares):
            self._mix[digest] += share
        # Copies: the caller's arrays may hold something else when the style is next encoded.
        self._pictures.update((d, rgb.copy()) for d, rgb in zip(self._order, pictures) if d not in self._pictures)
        self._pictures = {d: rgb for d, rgb in self._pictures.items() if d in self._mix or d in self._mix_before}
        if not fade:
            self.reset()  # a new style is to be seen at once

    def stylize(self, rgb, controls=Controls(), mask=None, stream="", progress=None):
        """``rgb``, uint8 ``[h,w,3]``, painted: the same size and type.

        Args:
            controls: `controls.Controls`.
            mask: uint8 ``[h,w]`` labels, see `masks.check`; None: the styles' mixture everywhere.
            stream: which video this is a frame of, for ``smoothing``.
            progress: called with the share that is done, 0..1, now and then.

        Raises:
            ImageError: ``rgb`` or ``mask`` is not a picture, or there is not the memory for it even in tiles.
            OptionError: a control is out of range, or no style was set.
        """
        images.check(rgb)
        controls = controls.resolved(self.model)
        stripped = controls.method == "whiten"
        if stripped and mask is not None:
            raise OptionError("the method whiten takes no style, so there is nothing for a mask to say")
        if not stripped and not self._mix:
            raise OptionError("no style is set; call set_style first")
        height, width = rgb.shape[:2]
        side = self._tile_side(height, width)
        labels = None if mask is None else masks.check(mask, height, width, len(self._order))
        if controls.strength == 0:
            return rgb.copy()  # the networks would only blur it
        shares = None if labels is None else masks.shares(labels, len(self._order), controls.feather)
        steady = self._steady(stream, controls, mask is not None)
        if steady is not None:
            steady.see(rgb)
        painted = self._painter.paint(images.pad(rgb), self._regions(rgb, controls, shares), controls, side,
                                      progress)
        for top in range(0, height, STRIP):  # in place: a large picture's floats fill the memory as it is
            strip = painted[top : top + STRIP]
            np.clip(strip, 0, 1, out=strip)
            strip *= 255.0
            strip += 0.5
        painted = painted[:height, :width].astype(np.uint8)
        if controls.keep_colours == "luminance":
            painted = colours.keep_luminance(rgb, painted)
        painted = painted if steady is None else steady.keep(painted)
        if shares is not None and shares[0].any():
            unpainted = shares[0][..., None]
            painted = np.uint8(unpainted * rgb + (1 - unpainted) * painted + 0.5)
        return painted

    def _tile_side(self, height, width):
        """The side of the largest tiles that there is memory for; None if the whole picture fits."""
        free = min(memory.available_memory(), self._memory or np.inf)
        small = self.dtype == "int8" and height * width <= quantized_pipeline.LARGEST
        each = INTEGERS_BYTES_PER_PIXEL if small else BYTES_PER_PIXEL[self.model]
        if height * width * each <= free:
            return None
        side = int(np.sqrt(max(0, free - height * width * BYTES_KEPT) / each)) - 2 * self._painter.largest_margin
        if side < SMALLEST_TILE:
            needed = height * width * BYTES_KEPT + (SMALLEST_TILE + 2 * self._painter.largest_margin) ** 2 * each
            raise ImageError("painting %dx%d with %s takes at least %d MB, and there are %d MB; make it smaller "
                             "(max_side), or allow or free some memory (max_memory)"
                             % (width, height, self.model, needed / 1e6, max(0, free) / 1e6))
        return min(side // 16 * 16, LARGEST_TILE)

    def reset(self):
        """Forget the frames before, which ``smoothing`` holds on to: another video begins."""
        self._streams.clear()

    def texture(self, width, height, seed=0, controls=Controls(passes=3)):
        """A texture of the style out of nothing: noise, painted; the same ``seed`` gives the same again."""
        noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        return self.stylize(noise, controls)

    def warm_up(self, width=64, height=64, controls=Controls()):
        """Trace and run everything once, so that the first picture does not pay for it."""
        self.stylize(np.zeros((height, width, 3), np.uint8), controls._replace(smoothing=0.0))

    def _regions(self, rgb, controls, shares):
        """The painter's regions: one for the whole picture, or one for each label of a mask."""
        if controls.method == "whiten":
            return [Region(None)]
        if shares is None:
            mixture = self._mixture(self._clock())
            return [Region(blend([self._style(d, rgb, controls) for d in mixture], list(mixture.values())))]
        shares = np.moveaxis(images.pad(np.moveaxis(shares, 0, 2)), 2, 0)
        regions = [Region(self._style(digest, rgb, controls), share)
                   for digest, share in zip(self._order, shares[1:]) if share.any()]
        return regions + [Region(None, shares[0])] if shares[0].any() else regions

    def _steady(self, stream, controls, masked):
        """The `Steady` of a video, which forgets the frame before if that was painted otherwise; None without
        smoothing."""
        if not controls.smoothing:
            self._streams.pop(stream, None)
            return None
        known, steady = self._streams.get(stream) or (None, Steady(controls.smoothing))
        if known != (controls, masked) or self._clock() < self._fade_start + self._fade:
            steady.reset()
        steady.smoothing = controls.smoothing
        self._streams[stream] = (controls, masked), steady
        return steady

    def _mixture(self, now):
        """``{digest: weight}`` at this time: on the way from the mixture before to the one that was set."""
        share = 1.0 if self._fade <= 0 else min(1.0, max(0.0, (now - self._fade_start) / self._fade))
        if share >= 1.0:
            return dict(self._mix)
        mixture = {digest: share * self._mix.get(digest, 0.0) + (1.0 - share) * self._mix_before.get(digest, 0.0)
                   for digest in {**self._mix_before, **self._mix}}
        return {digest: weight for digest, weight in mixture.items() if weight > 0}

    def _style(self, digest, content, controls):
        """What the painter needs of a style for this content, from memory where it can be.

        The style is seen at the content's own scale, so that its strokes keep their proportion to
        the picture, but is never enlarged: that would only blur it.
        """
        rgb = images.middle(self._pictures[digest], controls.style_crop)
        height, width = rgb.shape[:2]
        longest = min(max(1, round(max(content.shape[:2]) * controls.style_scale)), max(height, width))
        swap_level = controls.swap_level if controls.swap else None
        key = (digest, controls.style_crop, longest, swap_level)
        if controls.keep_colours == "coral":
            mean, covariance = colours.colour_statistics(content)
            key += (mean.tobytes(), covariance.tobytes())
        if key not in self._known:
            scaled = images.resize(rgb, *images.scaled_size(width, height, longest))
            if controls.keep_colours == "coral":
                scaled = colours.coral(scaled, mean, covariance)
            self._known[key] = self._painter.style_of(images.pad(scaled), swap_level,
                                                      self._tile_side(*scaled.shape[:2]))
        self._known.move_to_end(key)
        while len(self._known) > CACHED:
            self._known.popitem(last=False)
        return self._known[key]


def _shares(weights, count):
    """The ``weights`` of ``count`` styles, equal when None, with the sum 1."""
    try:
        shares = np.asarray([1.0] * count if weights is None else weights, np.float64)
        with np.errstate(over="ignore"):
            total = shares.sum()
    except (TypeError, ValueError):
        total = None
    if not total or not np.isfinite(total) or shares.shape != (count,) or shares.min() < 0:
        raise OptionError("give each of the %d styles a weight, none negative, not all 0, not %s" % (count, weights))
    return shares / total
