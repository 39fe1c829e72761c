"""What the commands, and the program for bags, have in common: their options, and how they speak.

All that can be known to be wrong is said before TensorFlow's import, which takes seconds.
"""
import argparse
import os
import sys
import warnings

import numpy as np
from tqdm import tqdm

from .. import environment
from ..controls import DESCRIPTIONS, DTYPES, MODELS, Controls, check_weights, within
from ..errors import OptionError, StyleError, StyleTransferError
from ..media import images
from ..media.style_library import StyleLibrary
from ..transfer import masks


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as everything else here does."""

    def error(self, message):
        raise OptionError("%s (see %s --help)" % (message, self.prog))


def add_network(command, model):
    """Add the options of what paints to the parser ``command``; ``model`` is the default."""
    command.add_argument("--style", nargs="+", metavar="S",
                         help="shipped styles' names (see `styles`), any pictures, or `random`")
    command.add_argument("--model", default=model, help="%s (default: %%(default)s)" % ", ".join(MODELS))
    command.add_argument("--weights-dir", metavar="DIR", help="weights of your own training (default: ours)")
    command.add_argument("--max-memory", type=float, default=0.0, metavar="MB",
                         help="of the whole process; larger pictures are painted in tiles, with the same result "
                              "(default: 0, what is free)")
    command.add_argument("--dtype", default=DTYPES[0], help=", ".join(DTYPES) + " (default: %(default)s)")


def add_look(command):
    """Add the options of how it is painted to the parser ``command``: mixture, mask and controls."""
    command.add_argument("--weights", nargs="+", type=float, metavar="W", help="of several styles in a mixture")
    command.add_argument("--mask", metavar="M", help="a picture of labels: 0 stays as it is, n gets the n-th style "
                                                     "(or 0 and 255)")
    controls = command.add_argument_group("controls")
    for name, (_, about) in DESCRIPTIONS.items():
        default = Controls._field_defaults[name]
        shown = "the model's own" if default is None else "none" if default == {} else "%s" % default
        controls.add_argument("--" + name.replace("_", "-"), metavar=name[0].upper(),
                              help="%s (default: %s)" % (about, shown))


def find_styles(names, seed=None):
    """The paths of styles given as names, pictures of the user's own, or ``random`` (none twice, while there are)."""
    known, rng, paths = StyleLibrary().paths(), np.random.default_rng(seed), []
    for name in names:
        if name == "random":
            paths.append(rng.choice([path for path in known.values() if path not in paths] or list(known.values())))
        elif name in known and not os.path.isfile(name):
            paths.append(known[name])
        elif os.path.exists(name) or os.sep in name or "." in name:  # on the command line any picture is a style
            images.check_exists(name)
            paths.append(name)
        else:
            raise StyleError("unknown style %r: neither a picture nor one of %s" % (name, ", ".join(known)))
    return paths


def read_mask(path, styles):
    """The mask at ``path``, checked against the number of styles; None if there is no path."""
    if path is None:
        return None
    mask = images.read_mask(path)
    return masks.check(mask, *mask.shape, styles)


def check_look(args, styles, controls):
    """Raise on an option of `add_look` that would do nothing, or that does not go with the others.

    Args:
        styles: how many there are.
        controls: the `controls.Controls` that ``args`` say.
    """
    refuse_idle(args, (
        (controls.method == "whiten", "style weights mask style_scale style_crop",
         "does not go with the method whiten, which takes no style"),
        (styles < 2, "weights", "needs several styles, and there is one"),
        (args.mask, "weights", "mixes styles, while with --mask each has its own region: choose one"),
        (not args.mask, "feather", "softens a mask's edges, and there is no --mask"),
        (not controls.swap, "swap_level swap_patch swap_stride", "needs --swap, more than 0")))
    if controls.method == "whiten" and controls.keep_colours == "coral":
        raise OptionError("--keep-colours coral recolours the style, and the method whiten takes none")
    for level in controls.level_strength:
        if controls.levels is not None and level not in controls.levels:
            raise OptionError("--level-strength names level %d, which is not among --levels %s" % (level, args.levels))
    check_weights(args.weights, styles)


def refuse_idle(args, rules):
    """Raise on the first option that was given though it is idle; ``rules``: ``(idle, names, why)`` each."""
    for idle, names, why in rules:
        for name in names.split():
            if idle and getattr(args, name) is not None:
                raise OptionError("--%s %s" % (name.replace("_", "-"), why))


def look_notes(args, styles, mask):
    """What is worth knowing of the paths ``styles`` before anything is painted: sentences."""
    if "random" in (args.style or []):
        yield "styles: %s" % ", ".join(map(stem, styles))
    for label, style in enumerate(styles if mask is not None else [], 1):
        if not (mask == label).any():
            yield "the mask %s has no label %d: nothing is painted like %s" % (args.mask, label, stem(style))


def stem(path):
    """A file's name without its ending."""
    return os.path.splitext(os.path.basename(path))[0]


def check_writable(path):
    """Raise unless ``path`` may be written; missing folders are made when it is."""
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    if os.path.isdir(path):
        raise OptionError("cannot write %s: it is a folder" % path)
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise OptionError("cannot write %s: %s is no folder that you may write to" % (path, folder))


def size(text, option):
    """``"640x480"``, what was said to ``option``, as ``(640, 480)``."""
    try:
        width, height = (int(side) for side in text.lower().split("x"))
    except ValueError:
        raise OptionError("%s must be WIDTHxHEIGHT, such as 512x512, not %r" % (option, text)) from None
    for side in (width, height):
        within("a side of %s" % option, side, 1, images.MAX_SIDE)
    return width, height


def tell(message):
    """One line for people, beside what the program writes and above any progress."""
    tqdm.write("ros_style_transfer: %s" % message, file=sys.stderr)


def politely(action):
    """Call ``action``; warnings and errors are one sentence on stderr, an error ends the process with code 1."""
    environment.leave_out_keras()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # its greetings; warnings stay
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what cannot be read is said by us, with its name
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: tell(message)
            action()
    except StyleTransferError as error:
        tell(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
