"""A training, from the arguments of the command line to exported weights: stages, checkpoints, messages."""

import argparse
import json
import os
import time
import zipfile
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import keras
import numpy as np
from keras import ops

from ..errors import OptionError
from ..models import weights
from ..models.shapes import VGG_WIDTHS, cascade_multiply_adds, encoder_layers, live_multiply_adds
from . import data, networks, sheets
from .cascade import CascadeTrainer
from .compact import CompactTrainer
from .live import LiveNetwork, LiveTrainer, initial_arrays
from .losses import LossNetwork
from .recipe import (
    AVERAGING,
    BLOCKS,
    CLIP,
    CONTENT_CROPS,
    CONTENTS_PER_STYLE,
    DECAY,
    RIDGE,
    STYLE_CROPS,
    WARM_UP,
    WIDTHS,
    Stage,
)

PHOTO_SIDE, STYLE_SIDE = 512, 640  # longer sides at which pictures are kept, pixels
SAMPLES, SAMPLE_SIDE = 6, 224  # pictures of a sample sheet and their side at most, pixels
SCALE_CROPS = 16  # in which the teacher's features are scaled
PRUNE_CROPS, PRUNE_SIDE, PRUNE_POSITIONS = 24, 224, 40000  # from which a narrow encoder is fitted to the teacher
VALIDATION = 4  # batches
IMAGE_LAYERS = ["image_kernel", "level._block1_conv1_kernel"]  # stepped by Adam, all other kernels by Muon
WARNING_CHECKPOINTS = 5  # worse checkpoints in a row before a warning
WORSE = 1.03  # ratio to the best validation loss that counts as worse
OVERHEAD = 1.6  # ratio of a step's time to that of its convolutions at the measured rate, for the first estimate
MEASURED_STEPS, MEASURED_SECONDS = 10, 30.0  # after which a measured estimate is printed
MARKER = ".training"  # file in folders of weights that a training has created

Draw = Callable[[np.random.Generator, int], Dict[str, np.ndarray]]


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, a constant rate, cosine decay to a hundredth (`recipe`)."""

    def __init__(self, stage: Stage):
        self.stage = stage

    def __call__(self, step):
        step, stage = ops.cast(step, "float32"), self.stage
        rise = ops.minimum(1.0, (step + 1.0) / max(1, min(WARM_UP, stage.steps // 10)))
        left = ops.clip((stage.steps - step) / max(1.0, DECAY * stage.steps), 0.0, 1.0)
        return stage.learning_rate * rise * (0.01 + 0.99 * (1.0 - ops.cos(np.pi * left)) / 2.0)

    def get_config(self):
        return {"stage": self.stage._asdict()}


class Run:
    """One stage of a training, from its last checkpoint to its end.

    Files in the work folder, each replaced atomically: ``MODEL_STAGE.npz`` (the averaged weights),
    ``.weights.h5`` (weights and the optimizer's state), ``.json`` (steps and validation), ``.csv``
    (losses), ``_curves.png`` and ``_samples.jpg``.

    Args:
        draw: (rng, step) to a batch.
        samples: content and style, float32 ``[n,h,w,3]`` each, for the sample sheet.
    """

    def __init__(
        self, args: argparse.Namespace, stage: Stage, trainer: keras.Model, draw: Draw, samples: Sequence[np.ndarray]
    ):
        self.args, self.stage, self.trainer, self.draw, self.samples = args, stage, trainer, draw, samples
        self.stem, self.state, self.measured = stem_of(args, stage), state_of(args, stage), None
        self.validation: List[Dict[str, np.ndarray]] = []
        trainer.compile(
            jit_compile=keras.backend.backend() == "jax",
            optimizer=keras.optimizers.Muon(
                Schedule(stage),
                adam_lr_ratio=0.5,
                adam_beta_2=0.999,
                exclude_layers=IMAGE_LAYERS,
                weight_decay=None,
                adam_weight_decay=None,
                global_clipnorm=CLIP,
                use_ema=True,
                ema_momentum=max(0.0, 1.0 - 1.0 / max(1.0, AVERAGING * stage.steps)),
            ),
        )
        if self.state["step"] and os.path.exists(self.stem + ".weights.h5"):
            trainer.optimizer.build(trainer.trainable_variables)
            trainer.load_weights(self.stem + ".weights.h5")
            # The process may have been killed between this file and the one with the step.
            self.state["step"] = int(ops.convert_to_numpy(trainer.optimizer.iterations))
        elif self.state["step"]:  # only the averaged weights are left; the optimizer's state recovers soon
            trainer.assign(read_arrays(self.stem + ".npz"))
            trainer.optimizer.iterations.assign(self.state["step"])

    @property
    def finished(self) -> bool:
        return self.state["step"] >= self.stage.steps

    def train(self, deadline: float) -> bool:
        """Train until the stage's end or ``deadline`` (`time.monotonic`); True if the stage is finished."""
        while not self.finished and time.monotonic() < deadline:
            losses = self._steps(min(self.args.every, self.stage.steps - self.state["step"]), deadline)
            self._checkpoint(losses)
        return self.finished

    def _steps(self, count: int, deadline: float) -> Dict[str, float]:
        """Take ``count`` steps, or fewer until the deadline; returns their mean losses."""
        started, done, reported, sums = time.monotonic(), 0, self.measured is not None, {}
        # Not by `fit`, which finally replaces the weights by their running average and so would undo most steps.
        for batch in data.prefetched(self.draw, self.state["step"], count, self.args.seed):
            self.trainer.reset_metrics()
            for name, value in self.trainer.train_on_batch(batch, return_dict=True).items():
                sums[name] = sums.get(name, 0.0) + float(value)
            done += 1
            if done == 1:  # compiles
                first = time.monotonic()
            else:
                self.measured = (time.monotonic() - first) / (done - 1)
                if not reported and (done > MEASURED_STEPS or time.monotonic() - first > MEASURED_SECONDS):
                    reported = True
                    print(
                        "%s: %.2g s a step, measured; %s left"
                        % (
                            self.stage.name,
                            self.measured,
                            duration((self.stage.steps - self.state["step"] - done) * self.measured),
                        ),
                        flush=True,
                    )
            if time.monotonic() >= deadline:
                break
        self.state["step"] += done
        self.state["seconds"] += time.monotonic() - started
        self.measured = self.measured or time.monotonic() - started
        return {name: total / done for name, total in sums.items()}

    def _checkpoint(self, losses: Dict[str, float]) -> None:
        trainer = self.trainer
        replace(self.stem + ".weights.h5", trainer.save_weights)
        latest = [ops.convert_to_numpy(variable) for variable in trainer.trainable_variables]
        trainer.optimizer.finalize_variable_values(trainer.trainable_variables)
        replace(self.stem + ".npz", lambda path: np.savez(path, **trainer.arrays()))
        losses["validation"] = self._validate()
        sheets.draw_sheet(trainer, *self.samples, self.stem + "_samples.jpg")
        for variable, value in zip(trainer.trainable_variables, latest):
            variable.assign(value)
        sheets.append_log(self.stem + ".csv", self.state["step"], losses)
        sheets.draw_curves(self.stem + ".csv", self.stem + "_curves.png")
        warning = self._compare(losses["validation"])
        replace(self.stem + ".json", lambda path: write_json(path, self.state))
        print(
            "%s %d/%d, %s left: %s"
            % (
                self.stage.name,
                self.state["step"],
                self.stage.steps,
                duration((self.stage.steps - self.state["step"]) * self.measured),
                ", ".join("%s %.3g" % pair for pair in losses.items()),
            ),
            flush=True,
        )
        if warning:
            print("warning: " + warning, flush=True)

    def _validate(self) -> float:
        """The mean loss of batches that are the same at every checkpoint and are not trained on."""
        if not self.validation:
            self.validation = [
                self.draw(np.random.default_rng((self.args.seed, 10**9 + n)), 0) for n in range(VALIDATION)
            ]
        self.trainer.reset_metrics()  # which accumulate
        for batch in self.validation:
            losses = self.trainer.test_on_batch(batch, return_dict=True)
        return float(losses["loss"])

    def _compare(self, validation: float) -> Optional[str]:
        """A warning if the validation loss has been worse than its best for several checkpoints."""
        best = self.state["best"]
        if best is None or np.isnan(best["loss"]) or validation < best["loss"]:
            self.state.update(best={"step": self.state["step"], "loss": validation}, worse=0)
        elif validation <= WORSE * best["loss"]:
            self.state["worse"] = 0
        else:
            self.state["worse"] += 1
            if self.state["worse"] >= WARNING_CHECKPOINTS:
                return (
                    "the validation loss %.4g is worse than its best, %.4g at step %d, and has been for %d "
                    "checkpoints; a lower learning rate may help"
                    % (validation, best["loss"], best["step"], self.state["worse"])
                )
        return None


def stem_of(args: argparse.Namespace, stage: Stage) -> str:
    """The common beginning of a stage's files."""
    return os.path.join(args.work, "%s_%s" % (args.model, stage.name))


def state_of(args: argparse.Namespace, stage: Stage) -> dict:
    """Steps, seconds and validation of a stage so far."""
    return read_json(stem_of(args, stage) + ".json") or {"step": 0, "seconds": 0.0, "best": None, "worse": 0}


def replace(path: str, write: Callable[[str], object]) -> None:
    """``write`` a file under a temporary name and move it to ``path``, so that it is always complete."""
    folder, name = os.path.split(path)
    stem, extension = name.split(".", 1)
    temporary = os.path.join(folder, "%s.partial.%s" % (stem, extension))
    write(temporary)
    os.replace(temporary, path)


def read_json(path: str) -> Optional[dict]:
    """The content of a JSON file; None if there is no file."""
    if not os.path.exists(path):
        return None
    with open(path) as file:
        return json.load(file)


def write_json(path: str, value: object) -> None:
    """Write ``value`` as JSON."""
    with open(path, "w") as file:
        json.dump(value, file, indent=1)


def read_arrays(path: str) -> Dict[str, np.ndarray]:
    """The arrays of a ``.npz`` file, float32."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name].astype(np.float32) for name in file.files}


def duration(seconds: float) -> str:
    """``seconds`` in a readable form: 45 s, 12 min, 3 h 20 min."""
    minutes = round(seconds / 60)
    if minutes < 90:
        return "%d min" % minutes if seconds >= 90 else "%d s" % round(seconds)
    return "%d h %d min" % divmod(minutes, 60)


def choose_precision(args: argparse.Namespace) -> str:
    """The requested precision, the one with which this training started, or the faster one on this machine."""
    path = os.path.join(args.work, args.model + ".json")
    previous = read_json(path) or {}
    precision = args.precision or previous.get("precision") or networks.faster_dtype()
    replace(path, lambda path: write_json(path, {"precision": precision}))
    return precision


def claim(folder: str) -> None:
    """Mark ``folder`` as written by this training.

    Raises:
        OptionError: it holds files that no training has written.
    """
    marker = os.path.join(folder, MARKER)
    if os.path.isdir(folder) and os.listdir(folder) and not os.path.exists(marker):
        raise OptionError("%s holds files that no training has written; choose another folder with --work" % folder)
    os.makedirs(folder, exist_ok=True)
    with open(marker, "w") as file:
        file.write("python -m ros_style_transfer.training has written these weights and may replace them\n")


def step_multiply_adds(model: str, stage: Stage) -> float:
    """Approximate multiply-adds of a step's convolutions, forward and backward."""
    side, widths, batch = stage.size, WIDTHS[model], stage.batch
    # The backward pass costs the same again for the features, and again for kernels that are trained.
    loss_network = 2 * encoder_multiply_adds(VGG_WIDTHS, side)
    if model == "compact":
        return batch * (loss_network / 2 + 3 * encoder_multiply_adds(widths, side))
    if model == "cascade":
        whole = 3 * sum(cascade_multiply_adds("vgg16", widths, side, side).values())
        return batch * (2.5 * whole + loss_network if "style" in stage.losses else whole + loss_network / 2)
    pictures = batch + 1 + batch // CONTENTS_PER_STYLE
    return batch * loss_network + 3 * pictures * sum(live_multiply_adds(widths, BLOCKS[model], side, side).values())


def estimate(model: str, stages: Sequence[Tuple[Stage, int]], precision: str) -> float:
    """Estimated seconds of the remaining steps of each stage, from this machine's rate of convolutions."""
    rate, total = networks.convolution_rate(precision), 0.0
    for stage, left in stages:
        total += left * step_multiply_adds(model, stage)
        if "style" in stage.losses and left:  # for the descriptions of the crops
            crops = min(CONTENT_CROPS + STYLE_CROPS, 2 * left * stage.batch)
            total += crops * encoder_multiply_adds(VGG_WIDTHS, stage.size)
    return OVERHEAD * total / rate


def encoder_multiply_adds(widths: Sequence[int], side: int) -> float:
    """Multiply-adds of a VGG16 of these widths for one crop."""
    return sum(
        9 * channels * width * (side / 2 ** (int(name[5]) - 1)) ** 2
        for name, channels, width in encoder_layers(widths=widths)
    )


def feature_scale(
    network: networks.Encoder, photos: Sequence[np.ndarray], rng: np.random.Generator, side: int
) -> Mapping[int, float]:
    """``{level: root mean square of the network's features over photographs}``."""
    sample = np.stack([data.random_crop(rng, photos[rng.integers(len(photos))], side) for _ in range(SCALE_CROPS)])
    features = network(ops.cast(sample.astype(np.float32) / 255.0, network.dtype))
    return {level: float(ops.sqrt(ops.mean(ops.square(ops.cast(f, "float32"))))) for level, f in features.items()}


def build(
    args: argparse.Namespace,
    stage: Stage,
    photos: Sequence[np.ndarray],
    styles: Sequence[np.ndarray],
    precision: str,
    fresh: bool,
) -> Tuple[keras.Model, Draw]:
    """The trainer of ``stage`` and the function that draws its batches.

    Args:
        fresh: whether there are no weights to continue from.
    """
    rng = np.random.default_rng(args.seed)
    widths = WIDTHS[args.model]
    teacher_arrays = networks.load_teacher(args.teacher, "vgg16")
    policy = {"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision]
    teacher = networks.Encoder(teacher_arrays, padding="zero", dtype=precision)
    rms = feature_scale(teacher, photos, rng, stage.size)
    if args.model in BLOCKS:
        initial = initial_arrays(np.random.default_rng((args.seed, 0)), widths, BLOCKS[args.model])
        imitated = None
        if "pixels" in stage.losses:
            arrays, entry = weights.load("live", args.live)
            imitated = LiveNetwork(dict(arrays), entry["blocks"], dtype=policy)
        trainer = LiveTrainer(
            LossNetwork(teacher, rms), initial, BLOCKS[args.model], stage.losses, policy, teacher=imitated
        )
        return trainer, trainer.batches(stage, args.seed, photos, styles)
    if fresh:
        print("pruning the teacher to a narrow encoder", flush=True)
        crops = np.stack(
            [data.random_crop(rng, photos[rng.integers(len(photos))], PRUNE_SIDE) for _ in range(PRUNE_CROPS)]
        )
        arrays, heads = networks.prune(
            teacher_arrays, crops.astype(np.float32) / 255.0, "vgg16", widths, rng, PRUNE_POSITIONS
        )
    else:
        arrays, heads = networks.blank("vgg16", widths)
    if args.model == "compact":
        trainer = CompactTrainer(teacher, rms, arrays, heads, "vgg16", stage.losses, policy)
        return trainer, trainer.batches(stage, photos, styles)
    trainer = CascadeTrainer(
        LossNetwork(teacher, rms),
        arrays,
        networks.decoder_arrays(rng, "vgg16", widths),
        heads,
        "vgg16",
        stage.losses,
        policy,
    )
    return trainer, trainer.batches(stage, args.seed, photos, styles)


def start_from(trainer: keras.Model, path: str) -> None:
    """Continue from the weights in the file ``path``.

    Raises:
        OptionError: the file cannot be read, or does not fit the model.
    """
    try:
        trainer.assign(read_arrays(path))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise OptionError("cannot start from %s: %s" % (path, error)) from None


def train(
    args: argparse.Namespace,
    stages: Sequence[Stage],
    photo_paths: Sequence[str],
    style_paths: Sequence[str],
    deadline: float,
) -> None:
    """Continue all stages until ``deadline`` (`time.monotonic`) and export the weights."""
    keras.utils.set_random_seed(args.seed)
    output = os.path.join(args.work, "weights")
    claim(output)
    precision = choose_precision(args)
    left = [(stage, max(0, stage.steps - state_of(args, stage)["step"])) for stage in stages]
    if any(steps for _, steps in left):
        print(
            "in %s; about %s left, estimated; checkpoints every %d steps in %s"
            % (precision, duration(estimate(args.model, left, precision)), args.every, args.work),
            flush=True,
        )
    photos, styles = data.load_pictures(photo_paths, PHOTO_SIDE), data.load_pictures(style_paths, STYLE_SIDE)
    before, trainer, trained = args.start, None, None
    for stage, steps in left:
        if not steps:
            print("%s is finished" % stage.name)
            before = trained = stem_of(args, stage) + ".npz"
            continue
        resumed = state_of(args, stage)["step"] > 0
        trainer, draw = build(args, stage, photos, styles, precision, not (before or resumed))
        if before and not resumed:
            start_from(trainer, before)
        run = Run(args, stage, trainer, draw, draw_samples(photos, styles, min(SAMPLE_SIDE, stage.size)))
        print("%s: step %d of %d" % (stage.name, run.state["step"], stage.steps), flush=True)
        finished = run.train(deadline)
        before = trained = run.stem + ".npz" if run.state["step"] else None
        if not finished:
            print("stopped at step %d of %s; run the same command to continue" % (run.state["step"], stage.name))
            break
    if trained:
        export(args, trainer or build(args, stages[-1], photos, styles, precision, False)[0], trained, output)


def draw_samples(photos: Sequence[np.ndarray], styles: Sequence[np.ndarray], side: int) -> List[np.ndarray]:
    """Contents and styles for the sample sheet, always the same."""
    rng = np.random.default_rng(5)
    return [
        np.stack(
            [data.random_crop(rng, source[rng.integers(len(source))], side, scales) for _ in range(SAMPLES)]
        ).astype(np.float32)
        / 255.0
        for source, scales in ((photos, (0.5, 0.7)), (styles, (0.5, 0.8)))
    ]


def export(args: argparse.Namespace, trainer: keras.Model, path: str, output: str) -> None:
    """Write the averaged weights of the checkpoint ``path`` to the folder ``output``."""
    trainer.assign(read_arrays(path))
    facts = {"blocks": list(BLOCKS[args.model])} if args.model in BLOCKS else {}
    weights.save(
        args.model, trainer.exported(), output, backbone="vgg16", widths=list(WIDTHS[args.model]), ridge=RIDGE, **facts
    )
    print("wrote %s.npz to %s" % (args.model, output))
