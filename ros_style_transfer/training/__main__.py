"""Train a model from photographs, pictures of styles, and the official VGG16.

The defaults are the recipe of the shipped weights (`recipe`).  Training may be stopped or killed at
any moment; the same command goes on from the last checkpoint.  Checkpoints, logs (CSV), curves and
sample sheets go to the work folder, the finished weights to its subfolder `weights`.
"""
import argparse
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import numpy as np
from keras import ops

from ..errors import StyleTransferError
from ..models import weights
from . import data, networks, sheets
from .compact import CompactTrainer
from .live import LiveTrainer, initial_arrays
from .losses import LossNetwork
from .recipe import AVERAGING, BLOCKS, CLIP, DECAY, RECIPES, RIDGE, WARM_UP, WIDTHS

PHOTO_SIDE, STYLE_SIDE = 512, 640  # longer sides at which pictures are kept, pixels
VALIDATION = 4  # batches
IMAGE_LAYERS = ["image_kernel"]  # stepped by Adam, all other kernels by Muon
PATIENCE = 5  # checkpoints in a row that are worse than the best before a warning
WORSE = 1.03  # how much worse


def parse(argv=None):
    parser = argparse.ArgumentParser(prog="python -m ros_style_transfer.training",
                                     description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1])
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument("--teacher", required=True, metavar="FILE",
                        help="VGG16's ImageNet weights: .npz with Keras' names and layout, or Keras' .h5 without top")
    parser.add_argument("--photos", required=True, nargs="+", metavar="DIR", help="folders of photographs")
    parser.add_argument("--styles", required=True, nargs="+", metavar="DIR", help="folders of style pictures")
    parser.add_argument("--exclude", nargs="+", default=(), metavar="CSV",
                        help="tables of content,style pairs kept for evaluation; their pictures are never trained on")
    parser.add_argument("--work", default=".training", metavar="DIR",
                        help="checkpoints, logs and sheets (default: %(default)s)")
    parser.add_argument("--start", metavar="NPZ", help="start from these weights (fine-tuning) instead of from scratch")
    parser.add_argument("--minutes", type=float, metavar="N", help="stop after N minutes; the same command goes on")
    parser.add_argument("--steps", type=int, metavar="N", help="steps of each stage instead of the recipe's")
    parser.add_argument("--batch", type=int, metavar="N", help="pictures a step instead of the recipe's")
    parser.add_argument("--size", type=int, metavar="N", help="side of the crops, pixels, instead of the recipe's")
    parser.add_argument("--every", type=int, default=100, metavar="N",
                        help="steps between checkpoints (default: %(default)s)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help="default: the faster one on this machine")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(argv)


def feature_scale(network, photos, rng):
    """``{level: root mean square of the network's features over photographs}``."""
    sample = np.stack([data.random_crop(rng, photos[rng.integers(len(photos))], 224) for _ in range(16)])
    taps = network(ops.cast(sample.astype(np.float32) / 255.0, network.dtype))
    return {level: float(ops.sqrt(ops.mean(ops.square(ops.cast(f, "float32"))))) for level, f in taps.items()}


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, a constant rate, cosine decay to a hundredth (`recipe`)."""

    def __init__(self, stage):
        self.stage = stage

    def __call__(self, step):
        step, stage = ops.cast(step, "float32"), self.stage
        rise = ops.minimum(1.0, (step + 1.0) / max(1, min(WARM_UP, stage.steps // 10)))
        left = ops.clip((stage.steps - step) / max(1.0, DECAY * stage.steps), 0.0, 1.0)
        return stage.learning_rate * rise * (0.01 + 0.99 * (1.0 - ops.cos(np.pi * left)) / 2.0)

    def get_config(self):
        return {"stage": self.stage._asdict()}


class Run:
    """One stage of a training, from where it stands to its end.

    Files in the work folder, each replaced whole: ``MODEL_STAGE.npz`` (the averaged weights),
    ``.weights.h5`` (weights and the optimizer's state), ``.json`` (where the stage stands), ``.csv``
    (losses), ``_curves.png`` and ``_samples.jpg``.

    Args:
        draw: (rng) to a batch.
        samples: content and style, float32 ``[n,h,w,3]`` each, for the sample sheet.
    """

    def __init__(self, args, stage, trainer, draw, samples):
        self.args, self.stage, self.trainer, self.draw, self.samples = args, stage, trainer, draw, samples
        self.stem = os.path.join(args.work, "%s_%s" % (args.model, stage.name))
        self.state = read_json(self.stem + ".json") or {"step": 0, "seconds": 0.0, "best": None, "worse": 0}
        self.validation = [draw(np.random.default_rng((args.seed, 10**9 + n))) for n in range(VALIDATION)]
        trainer.compile(jit_compile=keras.backend.backend() == "jax", optimizer=keras.optimizers.Muon(
            Schedule(stage), adam_lr_ratio=0.5, adam_beta_2=0.999, exclude_layers=IMAGE_LAYERS,
            weight_decay=None, adam_weight_decay=None, global_clipnorm=CLIP,
            use_ema=True, ema_momentum=max(0.0, 1.0 - 1.0 / max(1.0, AVERAGING * stage.steps))))
        if self.state["step"] and os.path.exists(self.stem + ".weights.h5"):
            trainer.optimizer.build(trainer.trainable_variables)
            trainer.load_weights(self.stem + ".weights.h5")
        elif self.state["step"]:  # the averaged weights alone are left: the optimizer's state is soon made up again
            trainer.assign(dict(np.load(self.stem + ".npz")))
            trainer.optimizer.iterations.assign(self.state["step"])

    @property
    def finished(self):
        return self.state["step"] >= self.stage.steps

    def train(self, deadline):
        """Train until the stage's end or ``deadline`` (`time.monotonic`); True if the stage is finished."""
        while not self.finished and time.monotonic() < deadline:
            steps = min(self.args.every, self.stage.steps - self.state["step"])
            started = time.monotonic()
            # Not by `fit`, which ends by replacing the weights with their running average: each call would undo
            # most of its steps.
            losses = [self.trainer.train_on_batch(batch, return_dict=True)
                      for batch in data.prefetched(self.draw, self.state["step"], steps, self.args.seed)]
            self.state["step"] += steps
            self.state["seconds"] += time.monotonic() - started
            self._checkpoint({name: float(np.mean([each[name] for each in losses])) for name in losses[0]},
                             (time.monotonic() - started) / steps)
        return self.finished

    def _checkpoint(self, losses, seconds_per_step):
        trainer = self.trainer
        replace(self.stem + ".weights.h5", trainer.save_weights)
        latest = [ops.convert_to_numpy(variable) for variable in trainer.trainable_variables]
        trainer.optimizer.finalize_variable_values(trainer.trainable_variables)
        replace(self.stem + ".npz", lambda path: np.savez(path, **trainer.arrays()))
        losses["validation"] = float(np.mean([trainer.test_on_batch(batch, return_dict=True)["loss"]
                                              for batch in self.validation]))
        sheets.draw_sheet(trainer, *self.samples, self.stem + "_samples.jpg")
        for variable, value in zip(trainer.trainable_variables, latest):
            variable.assign(value)
        sheets.append_log(self.stem + ".csv", self.state["step"], losses)
        sheets.draw_curves(self.stem + ".csv", self.stem + "_curves.png")
        self._compare(losses["validation"])
        replace(self.stem + ".json", lambda path: write_json(path, self.state))
        left = (self.stage.steps - self.state["step"]) * seconds_per_step
        print("%s %d/%d, %s left: %s" % (self.stage.name, self.state["step"], self.stage.steps, duration(left),
              ", ".join("%s %.3g" % pair for pair in losses.items())), flush=True)

    def _compare(self, validation):
        """Say when the validation loss has been worse than its best for a while."""
        best = self.state["best"]
        if best is None or validation < best["loss"]:
            self.state.update(best={"step": self.state["step"], "loss": validation}, worse=0)
        elif not validation <= WORSE * best["loss"]:
            self.state["worse"] += 1
            if self.state["worse"] >= PATIENCE:
                print("warning: the validation loss %.4g is worse than its best, %.4g at step %d, and has been for %d "
                      "checkpoints; a lower learning rate may help" % (validation, best["loss"], best["step"],
                                                                       self.state["worse"]), flush=True)
        else:
            self.state["worse"] = 0


def replace(path, write):
    """``write`` a file under a temporary name and move it to ``path``: a kill never leaves half of one."""
    folder, name = os.path.split(path)
    stem, extension = name.split(".", 1)
    temporary = os.path.join(folder, "%s.partial.%s" % (stem, extension))
    write(temporary)
    os.replace(temporary, path)


def read_json(path):
    if not os.path.exists(path):
        return None
    with open(path) as file:
        return json.load(file)


def write_json(path, value):
    with open(path, "w") as file:
        json.dump(value, file, indent=1)


def duration(seconds):
    """``seconds`` for people: 45 s, 12 min, 3 h 20 min."""
    minutes = round(seconds / 60)
    if minutes < 90:
        return "%d min" % minutes if seconds >= 90 else "%d s" % seconds
    return "%d h %d min" % divmod(minutes, 60)


def choose_precision(args):
    """The precision asked for, the one this training began with, or the faster one on this machine."""
    path = os.path.join(args.work, args.model + ".json")
    known = read_json(path) or {}
    precision = args.precision or known.get("precision") or networks.faster_dtype()
    write_json(path, {"precision": precision})
    return precision


def build(args, stage, photos, styles, precision):
    """The trainer of ``stage`` and what draws its batches."""
    rng = np.random.default_rng(args.seed)
    teacher_arrays = networks.load_teacher(args.teacher, "vgg16")
    own = {"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision]
    teacher = networks.Encoder(teacher_arrays, padding="zero", dtype=precision)
    if args.model == "compact":
        crops = np.stack([data.random_crop(rng, photos[rng.integers(len(photos))], 224) for _ in range(24)])
        arrays, heads = networks.thin(teacher_arrays, crops.astype(np.float32) / 255.0, "vgg16",
                                      WIDTHS["compact"], rng)
        trainer = CompactTrainer(teacher, feature_scale(teacher, photos, rng), arrays, heads, stage.losses, own)
        return trainer, trainer.batches(stage, photos, styles)
    trainer = LiveTrainer(LossNetwork(teacher, feature_scale(teacher, photos, rng)),
                          initial_arrays(rng, WIDTHS[args.model], BLOCKS[args.model]),
                          BLOCKS[args.model], stage.losses, own)
    return trainer, trainer.batches(stage, args.seed, photos, styles)


def main(argv=None):
    """Train what the command line asks for and export it."""
    args = parse(argv)
    deadline = time.monotonic() + (60 * args.minutes if args.minutes else np.inf)
    keras.utils.set_random_seed(args.seed)
    os.makedirs(args.work, exist_ok=True)
    names = data.excluded(args.exclude)
    photo_paths, style_paths = data.list_pictures(args.photos, names), data.list_pictures(args.styles, names)
    stages = [stage._replace(**{key: value for key in ("steps", "batch", "size")
                                for value in [getattr(args, key)] if value is not None})
              for stage in RECIPES[args.model]]
    precision = choose_precision(args)
    print("training %s on %d photographs and %d styles in %s: %s" % (
        args.model, len(photo_paths), len(style_paths), precision,
        ", then ".join("%s (%d steps)" % (stage.name, stage.steps) for stage in stages)), flush=True)
    photos, styles = data.load_pictures(photo_paths, PHOTO_SIDE), data.load_pictures(style_paths, STYLE_SIDE)
    looks = np.random.default_rng(5)
    samples = [np.stack([data.random_crop(looks, source[looks.integers(len(source))], 224, scales) for _ in range(6)])
               .astype(np.float32) / 255.0 for source, scales in ((photos, (0.5, 0.7)), (styles, (0.5, 0.8)))]
    before = args.start
    for stage in stages:
        trainer, draw = build(args, stage, photos, styles, precision)
        if before:
            trainer.assign(dict(np.load(before)))
        run = Run(args, stage, trainer, draw, samples)
        if not run.finished:
            print("%s: step %d of %d; checkpoints every %d steps in %s"
                  % (stage.name, run.state["step"], stage.steps, args.every, args.work), flush=True)
            if not run.train(deadline):
                print("stopped at step %d of %s; the same command goes on from there" % (run.state["step"], stage.name))
                break
        before = run.stem + ".npz"
    trainer.assign(dict(np.load(run.stem + ".npz")))
    output = os.path.join(args.work, "weights")
    facts = {"blocks": list(BLOCKS[args.model])} if args.model in BLOCKS else {}
    weights.save(args.model, trainer.exported(), output, backbone="vgg16", widths=list(WIDTHS[args.model]),
                 ridge=RIDGE, **facts)
    print("wrote %s.npz to %s" % (args.model, output))


if __name__ == "__main__":
    try:
        main()
    except StyleTransferError as error:
        raise SystemExit("error: %s" % error) from None
    except KeyboardInterrupt:
        raise SystemExit("\nstopped; the same command goes on from the last checkpoint") from None
