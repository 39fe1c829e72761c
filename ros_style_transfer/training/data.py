"""Pictures for training: crops of photographs, and paintings with the teacher's statistics."""
import csv
import hashlib
import os

import cv2
import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from ..transfer import colours

# Any picture is to be a style, and paintings are few: a network trained on 204 in their own colours
# had a fifth less style error on them than on others.  So they are shown in many crops and palettes,
# and photographs are styles, too.
PHOTOGRAPHS = 0.05  # share of the styles that are photographs
RECOLOURED = 0.6  # share of the paintings' crops that take another picture's palette
STYLE_SCALES = (0.35, 1.0)
CONTENT_SCALES = (0.6, 1.2)
CLEAN = 0.5  # share of the contents whose even places are freed of the camera's and the JPEG's grain
MARGIN = 8  # pixels around the contents of pairs, for a second view of the same scene
AT_ONCE = 8  # crops that the teacher looks at together
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def excluded(table):
    """The file names in a CSV of content,style pairs that are kept for evaluation; None: none."""
    if not table:
        return set()
    with open(table, newline="") as file:
        return {os.path.basename(value) for row in csv.DictReader(file) for value in row.values()}


def list_pictures(folder, exclude=()):
    """The pictures in ``folder``, sorted, without those whose file name is in ``exclude``."""
    names = sorted(n for n in os.listdir(folder) if n.lower().endswith(EXTENSIONS) and n not in exclude)
    if not names:
        raise SystemExit("no pictures in %s (looked for %s)" % (folder, ", ".join(EXTENSIONS)))
    return [os.path.join(folder, n) for n in names]


def load_pictures(paths, longest):
    """uint8 RGB arrays, the longer side at most ``longest``; kept in memory, since disks are slow."""
    pictures = []
    for path in tqdm(paths, desc="reading pictures", unit="picture"):
        image = cv2.imread(path, cv2.IMREAD_COLOR)
        if image is None:
            raise SystemExit("cannot read the picture %s" % path)
        scale = longest / max(image.shape[:2])
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pictures.append(np.ascontiguousarray(image[:, :, ::-1]))
    return pictures


def random_crop(rng, picture, size, scales=(0.6, 1.0)):
    """A square crop of side ``size``, uint8, from a picture scaled at random (and as large as need be)."""
    height, width = picture.shape[:2]
    scale = max(size / min(height, width), rng.uniform(*scales))
    h, w = max(size, round(height * scale)), max(size, round(width * scale))
    if (h, w) != (height, width):
        picture = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    y, x = rng.integers(0, h - size + 1), rng.integers(0, w - size + 1)
    crop = picture[y : y + size, x : x + size]
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def recoloured(rng, crop, pictures):
    """``crop``, most often with the palette (mean and covariance of the colours) of a random other picture."""
    if rng.random() >= RECOLOURED:
        return crop
    return colours.coral(crop, *colours.colour_statistics(pictures[rng.integers(len(pictures))]))


def cleaned(rng, crop):
    """``crop``, half the time with even places truly even, as in a good camera's picture that was scaled down:
    a network that always finds grain there would learn to paint from nothing else."""
    if rng.random() >= CLEAN:
        return crop
    for _ in range(2):
        crop = cv2.bilateralFilter(np.ascontiguousarray(crop), 7, 30, 3)
    return crop


class Bank:
    """Square crops of pictures with what the losses need to know of them, computed once and kept on disk.

    Args:
        crops: uint8 RGB ``[n, size + 2 margin, size + 2 margin, 3]``.
        describe: float32 RGB 0..1 ``[b,h,w,3]`` to ``{name: [b,...]}``; kept as float16.
        cache: the start of the file names for what was computed; a run with the same crops finds it there.
    """

    def __init__(self, crops, describe, cache, margin=0, name="pictures"):
        self.crops, self.margin = crops, margin
        self.known = {}
        digest = hashlib.sha256(self.crops.tobytes()).hexdigest()[:12]
        stem = "%s_%s_%s" % (cache, name, digest)
        path = lambda key: "%s_%s.npy" % (stem, key)
        if os.path.exists(stem + ".done"):
            with open(stem + ".done") as file:
                self.known = {key: np.load(path(key), mmap_mode="r") for key in file.read().split()}
            return
        for n in tqdm(range(0, len(self.crops), AT_ONCE), desc="statistics of the " + name, unit="%d crops" % AT_ONCE):
            facts = {key: ops.convert_to_numpy(value)
                     for key, value in describe(self._pixels(slice(n, n + AT_ONCE), margin)).items()}
            self.known = self.known or {key: np.lib.format.open_memmap(
                path(key), "w+", np.float16, (len(self.crops), *value.shape[1:])) for key, value in facts.items()}
            for key, value in facts.items():
                self.known[key][n : n + AT_ONCE] = value
        with open(stem + ".done", "w") as file:
            file.write(" ".join(self.known))

    def _pixels(self, picks, cut):
        side = self.crops.shape[1] - cut
        return self.crops[picks, cut:side, cut:side].astype(np.float32) / 255.0

    def take(self, picks, prefix, facts=None, inner=False):
        """The chosen crops, float32 0..1 (without the margin if ``inner``), and their facts as ``prefix_name``."""
        taken = {prefix: self._pixels(picks, self.margin if inner else 0)}
        taken.update((prefix + "_" + key, self.known[key][picks].astype(np.float32)) for key in facts or self.known)
        return taken


def pairs(teacher, stage, args, photos, paintings):
    """What draws pairs of content and style for a painting network: a function (rng) to a batch.

    A batch holds ``content`` (with `MARGIN` pixels more on each side than is described), ``style``,
    their facts as `teacher.Teacher.losses` takes them, and ``soft``.
    """
    cache = os.path.join(args.work, "bank_%s" % teacher.digest)
    # A generator each: what is chosen for the contents leaves the styles, and their bank on disk, as they are.
    rng = np.random.default_rng((args.seed, 0))
    contents = Bank(np.stack([cleaned(rng, random_crop(rng, photo, stage.size + 2 * MARGIN, CONTENT_SCALES))
                              for photo in photos for _ in range(args.content_variants)]),
                    teacher.describe, cache, MARGIN, "photographs")
    rng, palettes = np.random.default_rng((args.seed, 1)), photos + paintings
    styles = Bank(np.stack([recoloured(rng, random_crop(rng, painting, stage.size, STYLE_SCALES), palettes)
                            for painting in paintings for _ in range(args.variants)]),
                  teacher.grams, cache, name="paintings")

    def draw(rng):
        pick = lambda bank: rng.integers(0, len(bank.crops), stage.batch)
        batch = contents.take(pick(contents), "content")
        photograph = rng.random(stage.batch) < PHOTOGRAPHS
        others = contents.take(pick(contents), "style", styles.known, inner=True)
        for key, value in styles.take(pick(styles), "style").items():
            batch[key] = np.where(photograph.reshape((-1,) + (1,) * (value.ndim - 1)), others[key], value)
        batch["soft"] = np.maximum(rng.uniform(-1, 1, stage.batch), 0).astype(np.float32)
        return batch

    return draw


def inner(wide):
    """What is described of contents ``[b, h + 2 MARGIN, w + 2 MARGIN, 3]``."""
    return wide[:, MARGIN:-MARGIN, MARGIN:-MARGIN]


class Batches(keras.utils.PyDataset):
    """One epoch of random batches; batch ``n`` depends on ``seed`` (integers) and ``n`` alone, so a
    resumed run goes on with the pictures that it would have seen.

    Args:
        draw: (rng) to the batch, a dict of arrays.
    """

    def __init__(self, draw, steps, seed):
        super().__init__(workers=1, max_queue_size=4)
        self.draw, self.steps, self.seed = draw, steps, seed

    def __len__(self):
        return self.steps

    def __getitem__(self, n):
        return (self.draw(np.random.default_rng((*self.seed, n))),)


def random_crops(rng, photos, paintings, count, size, painting_share=0.2):
    """``count`` crops of photographs and, less often, of paintings; float32 RGB 0..1."""
    crops = []
    for _ in range(count):
        source = paintings if rng.random() < painting_share else photos
        crops.append(random_crop(rng, source[rng.integers(len(source))], size))
    return np.stack(crops).astype(np.float32) / 255.0
