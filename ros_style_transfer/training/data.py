"""Pictures for training: files, random crops, and what the losses need to know of each crop."""

import csv
import os
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from tqdm import tqdm

from ..transfer import colours
from .recipe import CONTENT_SCALES, DENOISED, RECOLORED, RENEWED, STYLE_SCALES

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
# A crop's pixels and descriptions are kept in memory up to this; what does not fit is described again.
CACHE_BYTES = 4e9


def excluded(tables):
    """The file names in CSV files of content,style pairs that are kept for evaluation."""
    names = set()
    for table in tables:
        with open(table, newline="") as file:
            names |= {os.path.basename(value) for row in csv.DictReader(file) for value in row.values()}
    return names


def list_pictures(folders, exclude=()):
    """The paths of the pictures in ``folders``, sorted, without those whose file name is in ``exclude``.

    Raises:
        SystemExit: a folder is missing or holds no picture.
    """
    paths = []
    for folder in folders:
        if not os.path.isdir(folder):
            raise SystemExit("no folder %s; give a folder of pictures" % folder)
        names = sorted(n for n in os.listdir(folder) if n.lower().endswith(EXTENSIONS))
        if not names:
            raise SystemExit("no pictures in %s (extensions: %s)" % (folder, ", ".join(EXTENSIONS)))
        paths += [os.path.join(folder, n) for n in names if n not in exclude]
    if not paths:
        raise SystemExit("every picture in %s is excluded" % ", ".join(folders))
    return paths


def load_pictures(paths, longest):
    """uint8 RGB arrays, the longer side at most ``longest`` pixels.

    Raises:
        SystemExit: a file is not a readable picture.
    """
    pictures = []
    for path in tqdm(paths, desc="reading pictures", unit="picture", leave=False, disable=None):
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise SystemExit("cannot read the picture %s" % path)
        scale = longest / max(image.shape[:2])
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pictures.append(np.ascontiguousarray(image[:, :, ::-1]))
    return pictures


def random_crop(rng, picture, size, scales=(0.6, 1.0)):
    """A square crop of side ``size``, uint8, from a picture scaled at random, or enlarged if it is smaller."""
    height, width = picture.shape[:2]
    scale = max(size / min(height, width), rng.uniform(*scales))
    h, w = max(size, round(height * scale)), max(size, round(width * scale))
    if (h, w) != (height, width):
        picture = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    y, x = rng.integers(0, h - size + 1), rng.integers(0, w - size + 1)
    crop = picture[y : y + size, x : x + size]
    return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)


def content_crop(rng, photos, size):
    """A random crop of a random photograph, denoised half of the time."""
    crop = random_crop(rng, photos[rng.integers(len(photos))], size, CONTENT_SCALES)
    if rng.random() < DENOISED:
        for _ in range(2):
            crop = cv2.bilateralFilter(crop, 7, 30, 3)
    return crop


def style_crop(rng, styles, palettes, size):
    """A random crop of a random style, often in the palette (mean and covariance of the colours) of another picture."""
    crop = random_crop(rng, styles[rng.integers(len(styles))], size, STYLE_SCALES)
    if rng.random() >= RECOLORED:
        return crop
    return colours.coral(crop, *colours.colour_statistics(palettes[rng.integers(len(palettes))]))


def random_crops(rng, photos, styles, count, size, style_fraction=0.2):
    """``count`` crops of photographs and, less often, of styles: float32 RGB 0..1 ``[count,size,size,3]``."""
    crops = []
    for _ in range(count):
        source = styles if rng.random() < style_fraction else photos
        crops.append(random_crop(rng, source[rng.integers(len(source))], size))
    return np.stack(crops).astype(np.float32) / 255.0


class DescribedCrops:
    """Numbered random crops with what the losses need to know of them; crop n is always the same.

    A crop is described when it is first used, so training starts at once.

    Args:
        make: (rng) to a uint8 RGB crop ``[side,side,3]``.
        count: how many different crops there are at a time.
        describe: float32 RGB 0..1 ``[b,h,w,3]`` to ``{name: [b,...]}``; kept as float16.
        seed: a tuple of integers.
        margin: pixels at each side of a crop that are not described.
        cache_bytes: most memory for what is kept.
    """

    def __init__(self, make, count, describe, seed, margin=0, cache_bytes=CACHE_BYTES):
        self.make, self.count, self.describe = make, count, describe
        self.seed, self.margin, self.cache_bytes = tuple(seed), margin, cache_bytes
        self._cache, self._cached_bytes = {}, 0

    def draw(self, rng, step, size, prefix):
        """A random batch of ``size`` for a step, as `take` gives it: from ``count`` crops, of which `RENEWED` times
        ``size`` are new in every step."""
        first = int(step * size * RENEWED)
        for n in [n for n in self._cache if n < first]:
            _, facts = entry = self._cache.pop(n)
            self._cached_bytes -= entry[0].nbytes + sum(value.nbytes for value in facts.values())
        return self.take(rng.integers(first, first + self.count, size), prefix)

    def take(self, numbers, prefix):
        """The crops ``prefix`` ``[b,side,side,3]``, float32 0..1, and their descriptions ``prefix_name``."""
        numbers = [int(n) for n in numbers]
        entries = {n: self._cache[n] for n in numbers if n in self._cache}
        entries.update(self._described([n for n in dict.fromkeys(numbers) if n not in entries]))
        batch = {prefix: np.stack([entries[n][0] for n in numbers]).astype(np.float32) / 255.0}
        for name in entries[numbers[0]][1]:
            batch["%s_%s" % (prefix, name)] = np.stack([entries[n][1][name] for n in numbers])
        return batch

    def _described(self, numbers):
        if not numbers:
            return {}
        crops = [self.make(np.random.default_rng((*self.seed, n))) for n in numbers]
        inner = slice(self.margin, crops[0].shape[0] - self.margin)
        pixels = np.stack(crops)[:, inner, inner].astype(np.float32) / 255.0
        facts = {name: np.asarray(value).astype(np.float16) for name, value in self.describe(pixels).items()}
        entries = {}
        for k, n in enumerate(numbers):
            entries[n] = crops[k], {name: value[k].copy() for name, value in facts.items()}
            size = crops[k].nbytes + sum(value.nbytes for value in entries[n][1].values())
            if self._cached_bytes + size <= self.cache_bytes:
                self._cache[n] = entries[n]
                self._cached_bytes += size
        return entries


def prefetched(draw, first, steps, seed):
    """``steps`` random batches from number ``first`` on, each drawn while the one before is used.

    Batch n depends on ``seed`` and n alone, so a resumed training sees the pictures that it would have seen.

    Args:
        draw: (rng, number) to a batch, a dict of arrays.
    """
    with ThreadPoolExecutor(1) as thread:
        following = lambda n: thread.submit(draw, np.random.default_rng((seed, first + n)), first + n)
        batch = following(0)
        for n in range(steps):
            ready, batch = batch.result(), following(n + 1) if n + 1 < steps else None
            yield ready
