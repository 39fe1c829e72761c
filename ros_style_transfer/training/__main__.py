"""``python -m ros_style_transfer.training cascade``: train a model, resume it, export it."""
import argparse
import csv
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import keras
import numpy as np
from keras import ops

from ..architecture import LEVELS
from . import data, networks
from .cascade import CascadeTrainer

WIDTHS = (16, 32, 64, 128, 128)


def parse(argv=None):
    parser = argparse.ArgumentParser(prog="python -m ros_style_transfer.training", description=__doc__)
    parser.add_argument("model", choices=["cascade"])
    parser.add_argument("--teacher", required=True, help="the official VGG weights as .npz, Keras' names and layout")
    parser.add_argument("--photos", required=True, help="folder of photographs")
    parser.add_argument("--paintings", required=True, help="folder of paintings")
    parser.add_argument("--exclude", help="CSV of content,style pairs kept for evaluation: never trained on")
    parser.add_argument("--work", default=".training", help="checkpoints, logs and sheets (default: %(default)s)")
    parser.add_argument("--start", help="exported weights (.npz) to start from")
    parser.add_argument("--stage", choices=["reconstruct", "stylize"], required=True)
    parser.add_argument("--steps", type=int, default=2000, help="steps of this stage (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=192, help="side of the content crops (default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--ridge", type=float, default=1e-3, help="whitening's ridge, share of the mean eigenvalue")
    parser.add_argument("--variants", type=int, default=3, help="crops of each painting (default: %(default)s)")
    parser.add_argument("--every", type=int, default=100, help="steps between checkpoints (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--teacher-dtype", default="bfloat16")
    parser.add_argument("--dtype", default="mixed_bfloat16", help="precision of our networks (default: %(default)s)")
    return parser.parse_args(argv)


def main():
    args = parse()
    rng = np.random.default_rng(args.seed)
    keras.utils.set_random_seed(args.seed)
    os.makedirs(args.work, exist_ok=True)
    excluded = set()
    if args.exclude:
        with open(args.exclude, newline="") as file:
            excluded = {os.path.basename(v) for row in csv.DictReader(file) for v in row.values()}
    photos = data.load_pictures(data.list_pictures(args.photos, excluded), 512)
    paintings = data.load_pictures(data.list_pictures(args.paintings, excluded), 640)

    arrays = networks.load_teacher(args.teacher)
    sample = np.stack([data.random_crop(rng, photos[rng.integers(len(photos))], 224) for _ in range(24)])
    sample = sample.astype(np.float32) / 255.0
    taps = networks.Encoder(arrays, padding="zero")(sample)
    rms = {level: float(ops.sqrt(ops.mean(ops.square(f)))) for level, f in taps.items()}
    teacher = networks.Encoder(arrays, padding="zero", dtype=args.teacher_dtype)

    encoder, heads = networks.thin(arrays, sample, "vgg16", WIDTHS, rng)
    decoder = networks.decoder_arrays(rng, "vgg16", WIDTHS)
    trainer = CascadeTrainer(teacher, rms, encoder, decoder, heads, "vgg16", args.ridge, args.dtype)
    if args.start:
        with np.load(args.start, allow_pickle=False) as file:
            start = {k: file[k].astype(np.float32) for k in file.files}
        trainer.encoder.assign({k[8:]: v for k, v in start.items() if k.startswith("encoder_")})
        trainer.decoder.assign({k[8:]: v for k, v in start.items() if k.startswith("decoder_")})
        for key, variable in trainer.heads.items():
            if "head_" + key in start:
                variable.assign(start["head_" + key])
    bank = None
    if args.stage == "stylize":
        trainer.stylizing = True
        grams = lambda rgb: {l: data.gram(f) for l, f in trainer.teacher_features(rgb).items()}
        bank = data.StyleBank(paintings, grams, 320, args.variants, np.random.default_rng(7))

    warmup = min(100, args.steps // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.05 * args.learning_rate, args.steps - warmup, warmup_target=args.learning_rate, warmup_steps=warmup, alpha=0.01)
    trainer.compile(
        optimizer=keras.optimizers.Adam(schedule, beta_2=0.99, global_clipnorm=5.0 if bank else 20.0),
        jit_compile=keras.backend.backend() == "jax")
    checkpoint = os.path.join(args.work, "%s_%s.weights.h5" % (args.model, args.stage))
    log = os.path.join(args.work, "%s_%s.csv" % (args.model, args.stage))
    epoch = 0
    if os.path.exists(checkpoint):
        trainer.optimizer.build(trainer.trainable_variables)
        trainer.load_weights(checkpoint)
        epoch = int(trainer.optimizer.iterations) // args.every
        print("resuming at step %d" % (epoch * args.every))

    def save(number, logs):
        trainer.save_weights(checkpoint)
        exported = dict(trainer.arrays(), **{
            "head_" + k: ops.convert_to_numpy(v).astype(np.float32) for k, v in trainer.heads.items()})
        np.savez(os.path.join(args.work, "%s.npz" % args.model), **exported)
        print(flush=True)

    for number in range(epoch, args.steps // args.every):
        batches = data.Batches(photos, paintings, bank, args.batch, args.size, args.every, args.seed * 100000 + number)
        trainer.fit(batches, initial_epoch=number, epochs=number + 1, verbose=2, callbacks=[
            keras.callbacks.CSVLogger(log, append=True), keras.callbacks.LambdaCallback(on_epoch_end=save)])


if __name__ == "__main__":
    main()
