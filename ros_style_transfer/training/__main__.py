"""Train a model from photographs, style pictures, and the official VGG16.

The defaults are the recipe of each model (`recipe`).  You can stop or kill a training at any time; the
same command continues from the last checkpoint.  Checkpoints, logs (CSV), curves and sample sheets are
written to the work folder, the finished weights to its subfolder `weights`.
"""

import argparse
import os
import signal
import time
from typing import Optional, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from ..errors import StyleTransferError
from .recipe import CONTENTS_PER_STYLE, RECIPES

STOPPED = "\nstopped; run the same command to continue from the last checkpoint"
MIN_CROP_SIDE = 64  # pixels; smaller crops have nothing to compare at relu5_1


def parse(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(
        prog="python -m ros_style_transfer.training",
        description=__doc__.split("\n\n")[0],
        epilog=__doc__.split("\n\n")[1],
    )
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument(
        "--teacher",
        required=True,
        metavar="FILE",
        help="VGG16's ImageNet weights: .npz with Keras' names and layout, or Keras' .h5 without top",
    )
    parser.add_argument("--photos", required=True, nargs="+", metavar="DIR", help="folders of photographs")
    parser.add_argument("--styles", required=True, nargs="+", metavar="DIR", help="folders of style pictures")
    parser.add_argument(
        "--exclude",
        nargs="+",
        default=(),
        metavar="CSV",
        help="tables of content,style pairs for evaluation, whose pictures are not trained on",
    )
    parser.add_argument(
        "--work", default=".training", metavar="DIR", help="checkpoints, logs and sheets (default: %(default)s)"
    )
    parser.add_argument("--start", metavar="NPZ", help="start from these weights (fine-tuning) instead of from scratch")
    parser.add_argument(
        "--live", metavar="DIR", help="folder with the weights of live, which lite imitates (default: the shipped ones)"
    )
    parser.add_argument("--minutes", type=float, metavar="N", help="stop after N minutes; the same command continues")
    parser.add_argument("--steps", type=int, metavar="N", help="steps per stage (default: the recipe's)")
    parser.add_argument("--batch", type=int, metavar="N", help="pictures per step (default: the recipe's)")
    parser.add_argument("--size", type=int, metavar="N", help="side of the crops in pixels (default: the recipe's)")
    parser.add_argument(
        "--every", type=int, default=100, metavar="N", help="steps between checkpoints (default: %(default)s)"
    )
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help="default: the faster one on this machine")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    for name in ("steps", "batch", "every"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error("--%s must be at least 1, not %d" % (name, getattr(args, name)))
    if args.size is not None and (args.size < MIN_CROP_SIDE or args.size % 16):
        parser.error("--size must be a multiple of 16 and at least %d, not %d" % (MIN_CROP_SIDE, args.size))
    if args.batch is not None and args.model in ("live", "lite") and args.batch % CONTENTS_PER_STYLE:
        parser.error(
            "--batch must be a multiple of %d for %s, because that many contents share a style, not %d"
            % (CONTENTS_PER_STYLE, args.model, args.batch)
        )
    for name in ("teacher", "start"):
        path = getattr(args, name)
        if path is not None and not os.path.isfile(path):
            parser.error("--%s: no file %s" % (name, path))
    return args


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the training."""
    started = time.monotonic()
    args = parse(argv)
    stages = [
        stage._replace(
            **{key: value for key in ("steps", "batch", "size") for value in [getattr(args, key)] if value is not None}
        )
        for stage in RECIPES[args.model]
    ]
    from . import data

    names = data.excluded(args.exclude)
    photos, styles = data.list_pictures(args.photos, names), data.list_pictures(args.styles, names)
    print(
        "training %s on %d photographs and %d styles: %s"
        % (
            args.model,
            len(photos),
            len(styles),
            ", then ".join("%s (%d steps)" % (stage.name, stage.steps) for stage in stages),
        ),
        flush=True,
    )
    from .run import train  # not at the top: the import of Keras takes seconds

    train(args, stages, photos, styles, started + 60 * args.minutes if args.minutes else float("inf"))


if __name__ == "__main__":
    try:
        main()
    except StyleTransferError as error:
        raise SystemExit("error: %s" % error) from None
    except OSError as error:
        raise SystemExit("error: %s" % error) from None
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would interrupt the message
        raise SystemExit(STOPPED) from None
