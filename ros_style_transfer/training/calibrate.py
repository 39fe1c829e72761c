"""Measure the activation ranges of a live model, which the precision int8 needs, and add them to its weights.

Pictures from all parts of the folders are stylized in the style of each style picture.
"""

import argparse
import os
from typing import List, Optional, Sequence, Set

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # see `environment`
import numpy as np

from ..controls import INT8_MODELS, Controls
from ..errors import StyleTransferError
from ..media import images
from ..models import weights
from ..transfer import calibration
from . import data

LONGEST = 256  # the pictures' longer side


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Add the activation ranges to the weights."""
    parser = argparse.ArgumentParser(
        prog="python -m ros_style_transfer.training.calibrate",
        description=__doc__.split("\n\n")[0],
        epilog=__doc__.split("\n\n")[1],
    )
    parser.add_argument("model", choices=INT8_MODELS)
    parser.add_argument("--photos", required=True, nargs="+", metavar="DIR", help="folders of photographs")
    parser.add_argument(
        "--styles",
        "--paintings",
        required=True,
        nargs="+",
        metavar="DIR",
        help="folders of style pictures, which also serve as contents",
    )
    parser.add_argument(
        "--exclude",
        nargs="+",
        default=(),
        metavar="CSV",
        help="tables of content,style pairs for evaluation, whose pictures are left out",
    )
    parser.add_argument("--count", type=int, default=16, help="pictures of each kind (default: %(default)s)")
    parser.add_argument("--weights", default="weights", help="folder of the weights (default: %(default)s)")
    args = parser.parse_args(argv)
    arrays, entry = weights.load(args.model, args.weights)
    photos, styles = (
        spread(folders, args.count, data.excluded(args.exclude)) for folders in (args.photos, args.styles)
    )
    ranges = calibration.activation_ranges(arrays, entry, photos + styles, styles, Controls().resolved(args.model))
    facts = {key: value for key, value in entry.items() if key not in ("file", "sha256", "bytes")}
    weights.save(args.model, dict(arrays, **ranges), args.weights, **facts)
    print("added the activation ranges of %d layers to %s in %s" % (len(ranges), args.model, args.weights))


def spread(folders: Sequence[str], count: int, excluded: Set[str]) -> List[np.ndarray]:
    """``count`` small pictures from all parts of the folders, padded for the networks."""
    paths = data.list_pictures(folders, excluded)
    paths = [paths[index] for index in np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)]
    return [images.pad(picture) for picture in data.load_pictures(paths, LONGEST)]


if __name__ == "__main__":
    try:
        main()
    except StyleTransferError as error:
        raise SystemExit("error: %s" % error) from None
