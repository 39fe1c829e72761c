"""The façade: a picture in, the stylized picture out.  The node, the bags and the command line use nothing else."""

import collections
import hashlib
import logging
import time
import warnings
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from . import resources
from .controls import (
    SETTINGS,
    Controls,
    check_model,
    check_range,
    check_styles,
    check_value,
    current_name,
    normalize_weights,
)
from .errors import ImageError, OptionError
from .media import images
from .models.device import limit_gpu_memory, limit_threads
from .models.registry import MODELS
from .transfer import colours, masks, quantized_pipeline
from .transfer.loading import load_pipeline
from .transfer.regions import Region, Style, blend_styles
from .transfer.temporal import TemporalSmoother

_LOGGER = logging.getLogger(__name__)

MAX_CACHED_STYLES = 32  # a few hundred kilobytes each
# Bytes that each pixel takes all the time while a picture is processed in tiles: input, output, and the frames that a
# stream keeps.
TILED_BYTES_PER_PIXEL = 56
MIN_TILE = 128  # pixels a side; smaller tiles would spend nearly all time on their margins
MAX_TILE = 2048  # pixels a side; larger tiles are no faster
ROWS_PER_STRIP = 256


class Stylizer:
    """A model in memory with its styles.  Not thread-safe: only one thread may use it.

    Args:
        model: the model's name, one of `registry.MODELS`.
        precision: what the convolutions compute in: ``float32``, ``bfloat16``, ``float16``, ``int8`` (see
            `quantized_pipeline.QuantizedPipeline`), or ``auto``, the fastest of equal quality on this machine.
        weights_dir: a folder with weights that you have trained; None: the shipped ones.
        clock: returns the time in seconds; cross-fades follow it.
        max_memory: megabytes that this process may use; pictures that need more are processed in tiles;
            0: all free memory.
        gpu_memory_mb: megabytes of GPU memory that TensorFlow may use; 0: as much as it needs.
        dtype: the old name of ``precision``.

    Attributes:
        model: the model's name.
        device: what the model runs on, for people.
        precision: what the convolutions compute in; never ``auto``.

    Raises:
        OptionError: an argument has a value that is not allowed.
        WeightsError: the weights are missing or damaged.
    """

    def __init__(
        self,
        model: str = SETTINGS["model"].default,
        precision: str = SETTINGS["precision"].default,
        weights_dir: Optional[str] = None,
        clock: Callable[[], float] = time.monotonic,
        max_memory: float = SETTINGS["max_memory"].default,
        gpu_memory_mb: int = SETTINGS["gpu_memory_mb"].default,
        dtype: Optional[str] = None,
    ) -> None:
        if dtype is not None:
            current_name("dtype", lambda notice: warnings.warn(notice, DeprecationWarning, stacklevel=4))
            precision = dtype
        check_model(model, precision)
        check_value(SETTINGS["max_memory"], max_memory)
        check_value(SETTINGS["gpu_memory_mb"], gpu_memory_mb)
        gpus = limit_gpu_memory(gpu_memory_mb)
        threads = limit_threads()
        self.device = ", ".join(gpu.name for gpu in gpus) or "CPU, %d threads" % threads
        self.model = model
        self._clock = clock
        self._pipeline = load_pipeline(model, precision, weights_dir, bool(gpus))
        self.precision = self._pipeline.precision
        # What this process already uses counts.  Measured only now: later, freed memory would count as used.
        self._memory = max_memory * 1e6 - resources.own_memory() if max_memory else None
        self._pictures: Dict[bytes, np.ndarray] = {}  # {digest: rgb} of the styles in use
        self._order: Tuple[bytes, ...] = ()  # the styles' digests as they were set, for masks
        self._mix: Dict[bytes, float] = {}  # {digest: weight}, the weights sum to 1
        self._mix_before: Dict[bytes, float] = {}
        self._fade_start, self._fade = 0.0, 0.0
        self._style_cache: collections.OrderedDict[Any, Style] = collections.OrderedDict()
        self._streams: Dict[str, Any] = {}  # by name: how a video's last frame was stylized, and its smoother
        # What the last frames needed: controls as given and as resolved, each stream's frame size and tile side.
        self._last_controls: Optional[Controls] = None
        self._resolved = Controls()
        self._tiles: Dict[str, Tuple[Tuple[int, int], Optional[int]]] = {}

    @property
    def dtype(self) -> str:
        """The old name of ``precision``."""
        return self.precision

    def set_style(self, rgb: np.ndarray, fade: float = 0.0) -> None:
        """Use the style ``rgb``, uint8 ``[h,w,3]``, from now on; setting a recent style again costs no time."""
        self.set_styles([rgb], fade=fade)

    def set_styles(
        self, pictures: Sequence[np.ndarray], weights: Optional[Sequence[float]] = None, fade: float = 0.0
    ) -> None:
        """Use a mixture of styles from now on; with a mask, each style in its own region.

        Args:
            pictures: uint8 ``[h,w,3]`` each.
            weights: of the styles in the mixture; only their proportions count; None: equal.
            fade: seconds of cross-fade from the current mixture to this one.

        Raises:
            ImageError: a style is not a picture.
            OptionError: there is no style, or the weights or the time are not allowed.
        """
        if not len(pictures):
            raise OptionError("give at least one style")
        for rgb in pictures:
            images.check(rgb)
        check_range("fade", fade, 0.0, 3600.0)
        fractions = normalize_weights([1.0] * len(pictures) if weights is None else weights, len(pictures))
        now = self._clock()
        self._mix_before = self._mixture(now)
        self._fade_start, self._fade = now, fade if self._mix_before else 0.0
        self._order = tuple(
            hashlib.sha256(np.ascontiguousarray(rgb)).digest() + bytes(str(rgb.shape), "ascii") for rgb in pictures
        )
        self._mix = collections.Counter()
        for digest, fraction in zip(self._order, fractions):
            self._mix[digest] += fraction
        # Copies: the caller may overwrite its arrays before the style is encoded again.
        self._pictures.update((d, rgb.copy()) for d, rgb in zip(self._order, pictures) if d not in self._pictures)
        self._pictures = {d: rgb for d, rgb in self._pictures.items() if d in self._mix or d in self._mix_before}
        if not fade:
            self.reset()  # smoothing must not delay a style that is set at once

    def stylize(
        self,
        rgb: np.ndarray,
        controls: Controls = Controls(),
        mask: Optional[np.ndarray] = None,
        stream: str = "",
        progress: Optional[Callable[[float], Any]] = None,
    ) -> np.ndarray:
        """``rgb``, uint8 ``[h,w,3]``, stylized: a new array of the same size and type.

        Controls are checked, and the free memory is read, when ``controls`` is another object than in the
        call before; the latter also when the size of the stream's frames changes.

        Args:
            controls: how to stylize.
            mask: uint8 ``[h,w]`` labels, see `masks.check`; None: the mixture of styles everywhere.
            stream: the video that this is a frame of, for ``smoothing``.
            progress: called with the finished fraction of the work, 0..1.

        Raises:
            ImageError: ``rgb`` or ``mask`` is not a picture, or the memory is too small even for tiles.
            OptionError: a control is out of range, or no style was set.
        """
        images.check(rgb)
        controls = self._resolve(controls)
        check_styles(len(self._order), masked=mask is not None, method=controls.method)
        if controls.method != "whiten" and not self._mix:
            raise OptionError("no style is set; call set_style first")
        height, width = rgb.shape[:2]
        side = self._tile_side_of(stream, height, width)
        labels = None if mask is None else masks.check(mask, height, width, len(self._order))
        if controls.strength == 0:
            return rgb.copy()  # the networks would only blur it
        coverage = None if labels is None else masks.coverages(labels, len(self._order), controls.feather)
        smoother = self._smoother(stream, controls, mask is not None)
        if smoother is not None:
            smoother.warp(rgb)
        painted = self._paint(rgb, controls, coverage, stream, side, progress)
        for top in range(0, height, ROWS_PER_STRIP):  # in place: a large picture's floats take most of the memory
            strip = painted[top : top + ROWS_PER_STRIP]
            np.clip(strip, 0, 1, out=strip)
            strip *= 255.0
            strip += 0.5
        painted = self._adjust_colours(rgb, painted[:height, :width].astype(np.uint8), controls)
        painted = painted if smoother is None else smoother.blend(painted)
        if coverage is not None and coverage[0].any():
            unpainted = coverage[0][..., None]
            painted = np.uint8(unpainted * rgb + (1 - unpainted) * painted + 0.5)
        return painted

    def _paint(
        self,
        rgb: np.ndarray,
        controls: Controls,
        coverage: Optional[np.ndarray],
        stream: str,
        side: Optional[int],
        progress: Optional[Callable[[float], Any]],
    ) -> np.ndarray:
        """The network's output for ``rgb``, padded, float32; in smaller tiles if an allocation fails."""
        height, width = rgb.shape[:2]
        while True:
            try:
                regions = self._regions(rgb, controls, coverage)
                return self._pipeline.stylize(images.pad(rgb), regions, controls, side, progress)
            except (MemoryError, tf.errors.ResourceExhaustedError):
                failed = side or min(MAX_TILE, max(height, width))
                side = max(MIN_TILE, failed // 32 * 16)  # half of it
                if side >= failed:
                    raise ImageError(
                        "not enough memory to stylize %dx%d with %s, even in tiles; make the picture smaller "
                        "(max_side) or free memory" % (width, height, self.model)
                    ) from None
            self._tiles[stream] = (height, width), side  # the next frames need no second try
            _LOGGER.warning("not enough memory for %dx%d at once; trying tiles of %d pixels", width, height, side)

    def reset(self) -> None:
        """Forget the last frames that ``smoothing`` refers to, because another video begins."""
        self._streams.clear()

    def texture(self, width: int, height: int, seed: int = 0, controls: Controls = Controls(passes=3)) -> np.ndarray:
        """A texture of the style, made by stylizing noise; the same ``seed`` gives the same texture."""
        noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        return self.stylize(noise, controls)

    def warm_up(self, width: int = 64, height: int = 64, controls: Controls = Controls()) -> None:
        """Stylize a blank picture, so that the first real one does not have to wait for tracing."""
        self.stylize(np.zeros((height, width, 3), np.uint8), controls._replace(smoothing=0.0))

    def _resolve(self, controls: Controls) -> Controls:
        """`Controls.resolved`, remembered as long as a stream's frames come with the same object."""
        if controls is not self._last_controls:
            self._resolved, self._last_controls = controls.resolved(self.model), controls
            self._tiles.clear()
        return self._resolved

    def _tile_side_of(self, stream: str, height: int, width: int) -> Optional[int]:
        """`_tile_side`, remembered as long as neither the controls nor the size of the stream's frames change."""
        size, side = self._tiles.get(stream, (None, None))
        if size != (height, width):
            side = self._tile_side(height, width)
            self._tiles[stream] = (height, width), side
        return side

    def _tile_side(self, height: int, width: int) -> Optional[int]:
        """The side of the largest tiles that the memory allows; None if the whole picture fits."""
        spec, margin = MODELS[self.model], self._pipeline.largest_margin
        free = min(resources.available_memory(), self._memory or np.inf)
        quantized = self.precision == "int8" and height * width <= quantized_pipeline.MAX_INT8_PIXELS
        bytes_per_pixel = spec.int8.bytes_per_pixel if quantized and spec.int8 else spec.bytes_per_pixel
        if height * width * bytes_per_pixel <= free:
            return None
        for_tile = max(0, free - height * width * TILED_BYTES_PER_PIXEL)
        side = int(np.sqrt(for_tile / bytes_per_pixel)) - 2 * margin
        if side < MIN_TILE:
            needed = height * width * TILED_BYTES_PER_PIXEL + (MIN_TILE + 2 * margin) ** 2 * bytes_per_pixel
            raise ImageError(
                "stylizing %dx%d with %s takes at least %d MB, but only %d MB are free; make the picture "
                "smaller (max_side), or allow or free more memory (max_memory)"
                % (width, height, self.model, needed / 1e6, max(0, free) / 1e6)
            )
        return min(side // 16 * 16, MAX_TILE)

    def _adjust_colours(self, rgb: np.ndarray, painted: np.ndarray, controls: Controls) -> np.ndarray:
        """``painted`` with the controls that change nothing but its colours."""
        if controls.keep_colours == "luminance":
            painted = colours.keep_luminance(rgb, painted)
        if controls.saturation != 1.0:
            painted = colours.saturate(painted, controls.saturation)
        return painted

    def _regions(self, rgb: np.ndarray, controls: Controls, coverage: Optional[np.ndarray]) -> List[Region]:
        """The pipeline's regions: one for the whole picture, or one for each label of a mask."""
        if controls.method == "whiten":
            return [Region(None)]
        if coverage is None:
            mixture = self._mixture(self._clock())
            return [Region(blend_styles([self._style(d, rgb, controls) for d in mixture], list(mixture.values())))]
        coverage = np.moveaxis(images.pad(np.moveaxis(coverage, 0, 2)), 2, 0)
        regions = [
            Region(self._style(digest, rgb, controls), region)
            for digest, region in zip(self._order, coverage[1:])
            if region.any()
        ]
        return regions + [Region(None, coverage[0])] if coverage[0].any() else regions

    def _smoother(self, stream: str, controls: Controls, masked: bool) -> Optional[TemporalSmoother]:
        """The stream's temporal smoother, reset if the last frame was stylized otherwise; None without smoothing."""
        if not controls.smoothing:
            self._streams.pop(stream, None)
            return None
        before, smoother = self._streams.get(stream) or (None, TemporalSmoother(controls.smoothing))
        if before != (controls, masked) or self._clock() < self._fade_start + self._fade:
            smoother.reset()
        smoother.smoothing = controls.smoothing
        self._streams[stream] = (controls, masked), smoother
        return smoother

    def _mixture(self, now: float) -> Dict[bytes, float]:
        """``{digest: weight}`` at this time: during a fade, between the mixture before and the current one."""
        done = 1.0 if self._fade <= 0 else min(1.0, max(0.0, (now - self._fade_start) / self._fade))
        if done >= 1.0:
            return dict(self._mix)
        mixture = {
            digest: done * self._mix.get(digest, 0.0) + (1.0 - done) * self._mix_before.get(digest, 0.0)
            for digest in {**self._mix_before, **self._mix}
        }
        return {digest: weight for digest, weight in mixture.items() if weight > 0}

    def _style(self, digest: bytes, content: np.ndarray, controls: Controls) -> Style:
        """A style encoded for this content, from the cache if possible.

        The style is resized to the content's size, so that its strokes stay in proportion to the picture,
        but never upscaled, which would only blur it.
        """
        rgb = images.center_crop(self._pictures[digest], controls.style_crop)
        height, width = rgb.shape[:2]
        longest = min(max(1, round(max(content.shape[:2]) * controls.style_scale)), max(height, width))
        swap_level = controls.swap_level if controls.swap else None
        key: Tuple[Any, ...] = (digest, controls.style_crop, longest, swap_level)
        if controls.keep_colours == "coral":
            mean, covariance = colours.colour_statistics(content)
            key += (mean.tobytes(), covariance.tobytes())
        if key not in self._style_cache:
            scaled = images.resize(rgb, *images.fit_longest_side(width, height, longest))
            if controls.keep_colours == "coral":
                scaled = colours.coral(scaled, mean, covariance)
            self._style_cache[key] = self._pipeline.encode_style(
                images.pad(scaled), swap_level, self._tile_side(*scaled.shape[:2])
            )
        self._style_cache.move_to_end(key)
        while len(self._style_cache) > MAX_CACHED_STYLES:
            self._style_cache.popitem(last=False)
        return self._style_cache[key]
