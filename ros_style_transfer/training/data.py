"""Pictures for training: crops of photographs, and paintings with the teacher's statistics."""
import hashlib
import os

import cv2
import keras
import numpy as np
from keras import ops
from tqdm import tqdm

STYLE_SIZE = 320  # side of the paintings' crops, pixels
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


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


def random_crop(rng, picture, size, smallest=0.6):
    """A square crop of side ``size``, uint8, from a picture scaled at random (never up beyond need)."""
    height, width = picture.shape[:2]
    scale = max(size / min(height, width), rng.uniform(smallest, 1.0))
    h, w = max(size, round(height * scale)), max(size, round(width * scale))
    if (h, w) != (height, width):
        picture = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)
    y, x = rng.integers(0, h - size + 1), rng.integers(0, w - size + 1)
    crop = picture[y : y + size, x : x + size]
    return crop[:, ::-1] if rng.random() < 0.5 else crop


class Bank:
    """Square crops of pictures with what the losses need to know of them, computed once and kept on disk.

    Args:
        pictures: uint8 RGB arrays.
        describe: float32 RGB 0..1 ``[1,h,w,3]`` to ``{name: [1,...]}``; kept as float16.
        size: side of what is described, pixels; the crops are larger by ``margin`` on each side.
        variants: crops of each picture.
        cache: the start of the file names for what was computed; a run with the same crops finds it there.
    """

    def __init__(self, pictures, describe, size, variants, rng, smallest, cache, margin=0, name="pictures"):
        side = size + 2 * margin
        self.crops = np.stack([
            random_crop(rng, picture, side, smallest) for picture in pictures for _ in range(variants)])
        self.known = {}
        digest = hashlib.sha256(self.crops.tobytes()).hexdigest()[:12]
        stem = "%s_%s_%s" % (cache, name, digest)
        progress = tqdm(self.crops, desc="statistics of the " + name, unit="crop")
        for n, crop in enumerate(progress):
            inner = crop[None, margin : margin + size, margin : margin + size].astype(np.float32) / 255.0
            facts = {key: ops.convert_to_numpy(value)[0] for key, value in describe(inner).items()}
            if n == 0:
                paths = {key: "%s_%s.npy" % (stem, key) for key in facts}
                if os.path.exists(stem + ".done"):
                    self.known = {key: np.load(path, mmap_mode="r") for key, path in paths.items()}
                    progress.close()
                    return
                self.known = {key: np.lib.format.open_memmap(paths[key], "w+", np.float16, (len(self.crops), *v.shape))
                              for key, v in facts.items()}
            for key, value in facts.items():
                self.known[key][n] = value
        open(stem + ".done", "w").close()

    def take(self, picks, prefix):
        """The chosen crops, 0..1, and their facts under ``prefix_name``; float32."""
        taken = {prefix: self.crops[picks].astype(np.float32) / 255.0}
        taken.update((prefix + "_" + key, value[picks].astype(np.float32)) for key, value in self.known.items())
        return taken


def pairs(teacher, stage, args, photos, paintings, margin=0):
    """What draws pairs of content and style for a painting network: a function (rng) to a batch.

    A batch holds ``content`` (with ``margin`` pixels more on each side than is described),
    ``style``, their facts as `teacher.Teacher.losses` takes them, and ``soft``.
    """
    rng = np.random.default_rng(args.seed)
    cache = os.path.join(args.work, "bank_%s" % teacher.digest)
    contents = Bank(photos, teacher.describe, stage.size, args.content_variants, rng,
                    smallest=0.6, margin=margin, name="photographs", cache=cache)
    styles = Bank(paintings, teacher.grams, STYLE_SIZE, args.variants, rng,
                  smallest=0.6, name="paintings", cache=cache)

    def draw(rng):
        batch = contents.take(rng.integers(0, len(contents.crops), stage.batch), "content")
        batch.update(styles.take(rng.integers(0, len(styles.crops), stage.batch), "style"))
        batch["soft"] = np.maximum(rng.uniform(-1, 1, stage.batch), 0).astype(np.float32)
        return batch

    return draw


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
