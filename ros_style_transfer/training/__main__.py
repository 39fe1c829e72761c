"""Train a model of ours from photographs, paintings and the official VGG16.

Each stage goes on from its last checkpoint if there is one, so the same command resumes a run that
was cut off.  Checkpoints, logs (CSV), curves and sheets of pictures are written to the work folder;
the finished weights go into the output folder with their entry in the manifest.
"""
import argparse
import os
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # see `environment`
import keras
import numpy as np
from keras import ops

from ..errors import StyleTransferError
from ..models import weights
from ..models.shapes import CONVOLUTIONS, LITE_PAIRS, LIVE_PAIRS, LIVE_WIDTHS
from . import data, networks, sheets
from .cascade import CascadeTrainer
from .live import LiveTrainer, live_arrays


class Stage(NamedTuple):
    """One part of the training with its hyperparameters."""

    name: str
    steps: int
    batch: int
    size: int  # side of the content crops, pixels
    learning_rate: float  # the peak: linear warm-up, then cosine decay to a hundredth
    clip: float  # largest norm of a step's whole gradient
    beta_2: float  # Adam's memory of squared gradients, for what Muon leaves to it


STAGES = {
    "cascade": (
        Stage("reconstruct", steps=3500, batch=4, size=192, learning_rate=2e-3, clip=20.0, beta_2=0.99),
        Stage("stylize", steps=4000, batch=2, size=256, learning_rate=1e-3, clip=5.0, beta_2=0.999),
    ),
    "live": (
        Stage("reconstruct", steps=500, batch=8, size=192, learning_rate=2e-3, clip=20.0, beta_2=0.99),
        Stage("stylize", steps=12000, batch=4, size=192, learning_rate=1e-3, clip=5.0, beta_2=0.999),
    ),
}
STAGES["lite"] = STAGES["live"]
WIDTHS = {"cascade": (16, 32, 64, 128, 128), "live": LIVE_WIDTHS, "lite": LIVE_WIDTHS}
PAIRS = {"live": LIVE_PAIRS, "lite": LITE_PAIRS}
WARM_UP = 100  # steps
IMAGE_LAYERS = "image_kernel|level._block1_conv1_kernel"  # the layers that give the picture
AVERAGED = 0.1  # share of a stage's steps that the weights' running average goes back over


def parse(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m ros_style_transfer.training",
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1])
    parser.add_argument("model", choices=sorted(STAGES))
    parser.add_argument("--teacher", help="VGG's official ImageNet weights: a .npz with Keras' names and layout, or "
                                          "Keras' .h5 without top; fetched if this is not given")
    parser.add_argument("--backbone", choices=sorted(CONVOLUTIONS), default="vgg16",
                        help="which VGG the teacher is (default: %(default)s)")
    parser.add_argument("--widths", type=lambda text: tuple(int(width) for width in text.split(",")),
                        help="channels of each block, such as 64,128,256,512,512 for the paper's full cascade (%s)"
                        % "; ".join("%s: %s" % (m, ",".join(map(str, w))) for m, w in sorted(WIDTHS.items())))
    parser.add_argument("--photos", required=True, help="folder of photographs")
    parser.add_argument("--paintings", required=True, help="folder of paintings")
    parser.add_argument("--exclude", help="CSV of content,style pairs kept for evaluation: never trained on")
    parser.add_argument("--work", default=".training", help="checkpoints, logs and sheets (default: %(default)s)")
    parser.add_argument("--output", default="weights", help="where the finished weights go (default: %(default)s)")
    parser.add_argument("--start", help="a work folder's .npz to start from instead of the thinned teacher")
    parser.add_argument("--stages", nargs="+", choices=("reconstruct", "stylize"), default=("reconstruct", "stylize"))
    for field, kind in (("steps", int), ("batch", int), ("size", int), ("learning_rate", float)):
        own = ", ".join("%s's %s %g" % (model, stage.name, getattr(stage, field))
                        for model, stages in sorted(STAGES.items()) for stage in stages)
        parser.add_argument("--" + field.replace("_", "-"), type=kind, metavar="N",
                            help="instead of each stage's own (%s)" % own)
    parser.add_argument("--variants", type=int, default=24, help="crops of each painting (default: %(default)s)")
    parser.add_argument("--content-variants", type=int, default=2,
                        help="crops of each photograph, for stylize (default: %(default)s)")
    parser.add_argument("--ridge", type=float, default=1e-3,
                        help="whitening's ridge, share of the mean eigenvalue (default: %(default)s)")
    parser.add_argument("--every", type=int, default=100, help="steps between checkpoints (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"),
                        help="what convolutions compute in (the faster one on this machine)")
    args = parser.parse_args(argv)
    args.widths = args.widths or WIDTHS[args.model]
    if len(args.widths) != len(WIDTHS[args.model]):
        parser.error("%s has %d widths, not %d" % (args.model, len(WIDTHS[args.model]), len(args.widths)))
    return args


def build(args, photos, rng, resuming):
    """The trainer with its teacher; the cascade's encoder is thinned out of it unless there is a later one."""
    arrays = networks.load_teacher(args.teacher, args.backbone)
    sample = np.stack([data.random_crop(rng, photos[rng.integers(len(photos))], 224) for _ in range(24)])
    sample = sample.astype(np.float32) / 255.0
    taps = networks.Encoder(arrays, args.backbone, padding="zero")(sample)
    rms = {level: float(ops.sqrt(ops.mean(ops.square(f)))) for level, f in taps.items()}
    computes = args.dtype or networks.faster_dtype()
    print("convolutions in %s" % computes)
    teacher = networks.Encoder(arrays, args.backbone, padding="zero", dtype=computes)
    own = {"float32": "float32", "bfloat16": "mixed_bfloat16"}[computes]
    if args.model in PAIRS:
        pairs = PAIRS[args.model]
        trainer = LiveTrainer(teacher, rms, live_arrays(rng, args.widths, pairs), args.widths, args.ridge, own, pairs)
    else:
        if args.start or resuming:
            encoder, heads = networks.blank(args.backbone, args.widths)  # about to be replaced
        else:
            encoder, heads = networks.thin(arrays, sample, args.backbone, args.widths, rng)
        decoder = networks.decoder_arrays(rng, args.backbone, args.widths)
        trainer = CascadeTrainer(teacher, rms, encoder, decoder, heads, args.backbone, args.ridge, own)
    if args.start:
        with np.load(args.start, allow_pickle=False) as file:
            trainer.assign({key: file[key] for key in file.files})
    return trainer


def checkpoint_stem(args, stage):
    return os.path.join(args.work, "%s_%s" % (args.model, stage.name))


def run(args, stage, trainer, photos, paintings):
    """Train one stage from where it stands to its end."""
    draw = trainer.begin(stage, args, photos, paintings)
    warm_up = min(WARM_UP, stage.steps // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.05 * stage.learning_rate, stage.steps - warm_up, alpha=0.01,
        warmup_target=stage.learning_rate, warmup_steps=warm_up)
    # Muon (Jordan et al. 2024): kernels are stepped along orthogonal matrices; the layers that give the
    # picture, and biases, by Adam.  What is exported is the average over the last steps: as good as a
    # slower rate, at any moment.
    trainer.compile(optimizer=keras.optimizers.Muon(
                        schedule, adam_lr_ratio=0.5, adam_beta_2=stage.beta_2, exclude_layers=[IMAGE_LAYERS],
                        weight_decay=None, adam_weight_decay=None, global_clipnorm=stage.clip,
                        use_ema=True, ema_momentum=max(0.0, 1.0 - 1.0 / (AVERAGED * stage.steps))),
                    jit_compile=keras.backend.backend() == "jax")
    stem = checkpoint_stem(args, stage)
    done = 0
    if os.path.exists(stem + ".weights.h5"):
        trainer.optimizer.build(trainer.trainable_variables)
        trainer.load_weights(stem + ".weights.h5")
        done = int(trainer.optimizer.iterations)
        print("resuming at step %d" % done)
    looks = np.random.default_rng(5)
    content, style = (np.stack([
        data.random_crop(looks, source[looks.integers(len(source))], 224) for _ in range(4)]).astype(np.float32) / 255
        for source in (photos, paintings))

    def average():
        trainer.optimizer.finalize_variable_values(trainer.trainable_variables)

    def checkpoint(_epoch, _logs):
        trainer.save_weights(stem + ".weights.h5")
        now = [ops.convert_to_numpy(variable) for variable in trainer.trainable_variables]
        average()
        np.savez(stem + ".npz", **trainer.arrays(), **trainer.training_arrays())
        sheets.draw_sheet(trainer, content, style, stem + ".jpg")
        for variable, value in zip(trainer.trainable_variables, now):
            variable.assign(value)
        print(flush=True)

    for number in range(done // args.every, -(-stage.steps // args.every)):
        steps = min(args.every, stage.steps - number * args.every)
        batches = data.Batches(draw, steps, (args.seed, number))
        trainer.fit(batches, initial_epoch=number, epochs=number + 1, verbose=2, callbacks=[
            keras.callbacks.CSVLogger(stem + ".csv", append=True),
            keras.callbacks.LambdaCallback(on_epoch_end=checkpoint)])
        sheets.draw_curves(stem + ".csv", stem + "_curves.png", args.every)
    average()


def main(argv=None):
    """Train what the command line asks for and export it."""
    args = parse(argv)
    keras.utils.set_random_seed(args.seed)
    os.makedirs(args.work, exist_ok=True)
    excluded = data.excluded(args.exclude)
    photos = data.load_pictures(data.list_pictures(args.photos, excluded), 512)
    paintings = data.load_pictures(data.list_pictures(args.paintings, excluded), 640)
    every = STAGES[args.model]
    stages = [stage for stage in every if stage.name in args.stages]
    if stages[0] is not every[0] and not args.start:
        args.start = checkpoint_stem(args, every[0]) + ".npz"  # a later stage goes on from the one before
        if not os.path.exists(args.start):
            raise SystemExit("stage %s needs the one before it: no %s; name weights with --start"
                             % (stages[0].name, args.start))
    # A later stage's checkpoint alone is no start for an earlier one.
    resuming = os.path.exists(checkpoint_stem(args, stages[0]) + ".weights.h5")
    trainer = build(args, photos, np.random.default_rng(args.seed), resuming)
    for stage in stages:
        given = {field: getattr(args, field) for field in ("steps", "batch", "size", "learning_rate")}
        stage = stage._replace(**{key: value for key, value in given.items() if value is not None})
        run(args, stage, trainer, photos, paintings)
    facts = {"pairs": list(PAIRS[args.model])} if args.model in PAIRS else {}
    weights.save(args.model, trainer.arrays(), args.output, backbone=args.backbone, widths=list(args.widths),
                 ridge=args.ridge, **facts)
    print("exported %s to %s" % (args.model, args.output))


if __name__ == "__main__":
    try:
        main()
    except StyleTransferError as error:
        raise SystemExit("error: %s" % error) from None
