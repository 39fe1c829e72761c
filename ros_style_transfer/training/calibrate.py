"""Find the ranges of a live model's layers, which the dtype int8 needs, and add them to its weights.

The model paints pictures that lie spread over the two folders, each in the style of each painting.
"""
import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # see `environment`
import numpy as np

from ..controls import INT8_MODELS, Controls
from ..errors import StyleTransferError
from ..media import images
from ..models import weights
from ..transfer import calibration as integers
from . import data

LONGEST = 256  # the pictures' longer side


def main(argv=None):
    """Add the ranges to the weights that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m ros_style_transfer.training.ranges",
        description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1])
    parser.add_argument("model", choices=INT8_MODELS)
    parser.add_argument("--photos", required=True, help="folder of photographs")
    parser.add_argument("--paintings", required=True, help="folder of paintings, contents and styles")
    parser.add_argument("--exclude", help="CSV of content,style pairs kept for evaluation: not looked at")
    parser.add_argument("--count", type=int, default=16, help="pictures of each folder (default: %(default)s)")
    parser.add_argument("--weights", default="weights", help="folder of the weights (default: %(default)s)")
    args = parser.parse_args(argv)
    arrays, entry = weights.load(args.model, args.weights)
    photos, paintings = (spread(folder, args.count, data.excluded(args.exclude))
                         for folder in (args.photos, args.paintings))
    found = integers.ranges(arrays, entry, photos + paintings, paintings, Controls().resolved(args.model))
    facts = {key: value for key, value in entry.items() if key not in ("file", "sha256", "bytes")}
    weights.save(args.model, dict(arrays, **found), args.weights, **facts)
    print("added the ranges of %d layers to %s in %s" % (len(found), args.model, args.weights))


def spread(folder, count, excluded):
    """``count`` pictures from all over a folder, small, of sides that the networks take."""
    paths = data.list_pictures(folder, excluded)
    paths = [paths[index] for index in np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)]
    return [images.pad(picture) for picture in data.load_pictures(paths, LONGEST)]


if __name__ == "__main__":
    try:
        main()
    except StyleTransferError as error:
        raise SystemExit("error: %s" % error) from None
