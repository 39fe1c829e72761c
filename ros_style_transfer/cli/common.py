"""What the commands, and the program for bags, have in common: options, checks, and messages.

Everything that can be checked without TensorFlow is checked before its import, which takes seconds.
"""

import argparse
import os
import sys
import warnings
from typing import Any, Callable, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from .. import environment
from ..controls import (
    ALIASES,
    CONTROLS,
    SETTINGS,
    Controls,
    Range,
    check_range,
    check_styles,
    current_name,
    describe_default,
    in_groups,
)
from ..errors import OptionError, StyleError, StyleTransferError
from ..media import images
from ..media.style_library import StyleLibrary
from ..transfer import masks

STYLE_HELP = "names of shipped styles (see `styles`), any pictures, or `random`"
STYLE_WEIGHTS_HELP = "weights of several styles in a mixture"
_METAVARS = {"weights_dir": "DIR", "max_memory": "MB"}


class Parser(argparse.ArgumentParser):
    """A parser that reports errors in one line, and accepts the aliases of its options (`controls.ALIASES`)."""

    def error(self, message: str) -> Any:
        raise OptionError("%s (see %s --help)" % (message, self.prog))

    def parse_known_args(self, args: Optional[Sequence[str]] = None, namespace: Any = None) -> Any:
        given = sys.argv[1:] if args is None else args
        return super().parse_known_args([self._current(argument) for argument in given], namespace)

    def _current(self, argument: str) -> str:
        """The argument with its option's current name, if it is an alias of one that this parser has."""
        option, equals, value = argument.partition("=")
        alias = option[2:].replace("-", "_") if option.startswith("--") else ""
        if alias not in ALIASES or option in self._option_string_actions:
            return argument
        if option_of(ALIASES[alias].name) not in self._option_string_actions:
            return argument
        return option_of(current_name(alias, print_message, option_of)) + equals + value


def option_of(name: str) -> str:
    """The option for a Python name: ``--style-scale`` for ``style_scale``."""
    return "--" + name.replace("_", "-")


def add_setting(command: Any, name: str, **changes: Any) -> None:
    """Add the option of one of `controls.SETTINGS` to the parser ``command``.

    Args:
        changes: arguments of ``add_argument`` that differ, such as ``help``.
    """
    setting = SETTINGS[name]
    help = setting.help
    if isinstance(setting.allowed, tuple) and not isinstance(setting.allowed, Range):
        if not all(str(choice) in help for choice in setting.allowed):
            help += ": " + ", ".join(map(str, setting.allowed))
    command.add_argument(
        option_of(name),
        **dict(
            dict(
                type=setting.type,
                default=None if setting.default == "" else setting.default,
                metavar=_METAVARS.get(name, name[0].upper()),
                help=help if setting.default == "" else "%s (default: %s)" % (help, describe_default(setting)),
            ),
            **changes,
        ),
    )


def add_model_options(command: Any) -> None:
    """Add the options that choose styles and the model to the parser ``command``."""
    command.add_argument("--style", nargs="+", metavar="S", help=STYLE_HELP)
    for name in ("model", "weights_dir", "max_memory", "precision"):
        add_setting(command, name)


def add_painting_options(command: Any) -> None:
    """Add the style weights, the mask, and all controls to the parser ``command``."""
    command.add_argument("--style-weights", nargs="+", type=float, metavar="W", help=STYLE_WEIGHTS_HELP)
    command.add_argument(
        "--mask",
        metavar="M",
        help="a picture of labels: 0 leaves the content unchanged, n applies the n-th style (or 0 and 255)",
    )
    for title, controls in in_groups(list(CONTROLS.values())):
        group = command.add_argument_group("%s controls" % title.lower())
        for control in controls:
            group.add_argument(
                option_of(control.name),
                metavar=control.name[0].upper(),
                help="%s (default: %s)" % (control.help, describe_default(control)),
            )


def find_styles(names: Sequence[str], seed: Optional[int] = None) -> List[str]:
    """The paths of styles that are given as shipped names, pictures, or ``random``.

    Random styles differ from all others as long as there are enough.
    """
    known, rng = StyleLibrary().paths(), np.random.default_rng(seed)
    paths: List[str] = []
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


def read_mask(path: Optional[str], styles: int) -> Optional[np.ndarray]:
    """The mask at ``path``, checked against the number of styles; None if there is no path."""
    if path is None:
        return None
    mask = images.read_mask(path)
    return masks.check(mask, *mask.shape, styles)


def check_painting_options(args: argparse.Namespace, styles: int, controls: Controls) -> None:
    """Raise `OptionError` for options of `add_painting_options` that have no effect or exclude each other.

    Args:
        styles: the number of styles.
        controls: the `Controls` that ``args`` contain.
    """
    reject_ineffective(
        args,
        (
            (
                controls.method == "whiten",
                "style style_weights mask style_scale style_crop",
                "has no effect with the method whiten, which uses no style",
            ),
            (styles < 2, "style_weights", "needs several styles, but there is only one"),
            (not args.mask, "feather", "softens a mask's edges, but there is no --mask"),
            (not controls.swap, "swap_level swap_patch swap_stride", "needs --swap greater than 0"),
        ),
    )
    check_styles(styles, args.style_weights or (), args.mask is not None, controls.method)
    if controls.method == "whiten" and controls.keep_colours == "coral":
        raise OptionError("--keep-colours coral recolours the style, but the method whiten uses none")
    for level in controls.level_strength:
        if controls.levels is not None and level not in controls.levels:
            raise OptionError("--level-strength names level %d, which is not among --levels %s" % (level, args.levels))


def reject_ineffective(args: argparse.Namespace, rules: Iterable[Tuple[Any, str, str]]) -> None:
    """Raise `OptionError` for the first option that was given although it has no effect.

    Args:
        rules: (whether it has no effect, names of options, the reason) each.
    """
    for ineffective, names, reason in rules:
        for name in names.split():
            if ineffective and getattr(args, name) is not None:
                raise OptionError("%s %s" % (option_of(name), reason))


def style_advisories(args: argparse.Namespace, styles: Sequence[str], mask: Optional[np.ndarray]) -> Iterator[str]:
    """Sentences about the chosen ``styles``, paths, that a user should read before the work begins."""
    if "random" in (args.style or []):
        yield "styles: %s" % ", ".join(map(stem, styles))
    for label, style in enumerate(styles if mask is not None else [], 1):
        if not (mask == label).any():
            yield "the mask %s has no label %d, so the style %s is not used" % (args.mask, label, stem(style))


def stem(path: str) -> str:
    """A file's name without its extension."""
    return os.path.splitext(os.path.basename(path))[0]


def check_writable(path: str) -> None:
    """Raise `OptionError` unless a file can be written at ``path``; missing folders are created later."""
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    if os.path.isdir(path):
        raise OptionError("cannot write %s: it is a folder" % path)
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise OptionError("cannot write %s: %s is not a folder that you may write to" % (path, folder))


def parse_size(text: str, option: str) -> Tuple[int, int]:
    """``"640x480"``, the value of ``option``, as ``(640, 480)``."""
    try:
        width, height = (int(side) for side in text.lower().split("x"))
    except ValueError:
        raise OptionError("%s must be WIDTHxHEIGHT, such as 512x512, not %r" % (option, text)) from None
    for side in (width, height):
        check_range("a side of %s" % option, side, 1, images.MAX_SIDE)
    return width, height


def print_message(message: Any) -> None:
    """Print one line on stderr, above any progress bar."""
    tqdm.write("ros_style_transfer: %s" % message, file=sys.stderr)


def report_errors(action: Callable[[], Any]) -> None:
    """Call ``action``; print warnings and errors as single lines on stderr, and exit with code 1 after an error."""
    environment.leave_out_keras()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # only warnings
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # we report unreadable files ourselves, with their names
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: print_message(message)
            action()
    except StyleTransferError as error:
        print_message(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
