"""What the commands, and the program for bags, have in common: options, checks, and messages.

Everything that can be checked without TensorFlow is checked before its import, which takes seconds.
"""

import argparse
import logging
import os
import signal
import sys
import traceback
import warnings
from typing import Any, Callable, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from .. import environment
from ..controls import (
    ALIASES,
    CONTROLS,
    SETTINGS,
    Control,
    Controls,
    Range,
    check_range,
    check_styles,
    controls_from,
    current_name,
    describe_default,
    in_groups,
)
from ..errors import OptionError, StyleError, StyleTransferError
from ..media import images
from ..media.style_library import StyleLibrary, suggestion
from ..transfer import masks

STYLE_HELP = "names of included styles (see `styles`), any pictures, or `random`"
STYLE_WEIGHTS_HELP = "weights of several styles in a mixture (default: equal)"
MAX_NAME = 240  # bytes of a file's name; Linux allows 255, with the suffix of an unfinished file
MASK_HELP = "a picture of labels: 0 keeps the content, n applies the n-th style; or black and white"
_METAVARS = {
    "model": "NAME",
    "precision": "NAME",
    "weights_dir": "DIR",
    "max_memory": "MB",
    "levels": "L,...",
    "level_strength": "L:X,...",
    "feather": "PIXELS",
}


class Parser(argparse.ArgumentParser):
    """A parser that reports errors in one line, and accepts the aliases of its options (`controls.ALIASES`)."""

    def error(self, message: str) -> Any:
        raise OptionError("%s (see %s --help)" % (message, self.prog))

    def parse_known_args(self, args: Optional[Sequence[str]] = None, namespace: Any = None) -> Any:
        given = sys.argv[1:] if args is None else args
        parsed, unknown = super().parse_known_args([self._current(argument) for argument in given], namespace)
        for argument in unknown:
            if argument.startswith("-"):
                option = argument.partition("=")[0]
                self.error("unknown option %s%s" % (option, suggestion(option, self._option_string_actions)))
        return parsed, unknown

    def _current(self, argument: str) -> str:
        """The argument with its option's current name, if it is an alias of one that this parser has."""
        option, equals, value = argument.partition("=")
        if option.startswith("--") and value.startswith("~"):  # shells expand it only at the start of a word
            argument = option + equals + os.path.expanduser(value)
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
                metavar=_metavar(setting),
                help=help if setting.default == "" else "%s (default: %s)" % (help, _default(setting)),
            ),
            **changes,
        ),
    )


def _metavar(control: Control) -> str:
    return _METAVARS.get(control.name) or {float: "X", int: "N"}.get(control.type, "NAME")  # type: ignore[call-overload]


def _default(control: Control) -> str:
    return "%g" % control.default if isinstance(control.default, float) else describe_default(control)


def add_output_options(command: Any, what: str, several: bool = False) -> None:
    """Add ``-o`` and ``--overwrite`` to the parser ``command``, and ``--skip-existing`` if outputs may be ``several``.

    Args:
        what: describes the output.
    """
    command.add_argument("-o", "--output", required=True, metavar="OUT", help=what)
    existing = command.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace files that exist (default: refuse)")
    if several:
        existing.add_argument("--skip-existing", action="store_true", help="keep files that exist, whatever they are")


def add_verbose(command: Any) -> None:
    """Add ``--verbose``, which `report_errors` implements, to the parser ``command``."""
    command.add_argument(
        "--verbose", action="store_true", help="print more: TensorFlow's notes, and the traceback of an error"
    )


def add_model_options(command: Any) -> None:
    """Add the options that choose styles and the model to the parser ``command``."""
    command.add_argument("--style", nargs="+", metavar="S", help=STYLE_HELP)
    group = command.add_argument_group("model")
    for name in ("model", "precision", "weights_dir", "max_memory"):
        add_setting(group, name)


def add_painting_options(command: Any) -> None:
    """Add the style weights, the mask, and all controls to the parser ``command``."""
    command.add_argument("--style-weights", nargs="+", type=float, metavar="W", help=STYLE_WEIGHTS_HELP)
    command.add_argument(
        "--mask",
        metavar="FILE",
        help=MASK_HELP,
    )
    for title, controls in in_groups([control for control in CONTROLS.values() if not control.stream_only]):
        group = command.add_argument_group("%s controls" % title.lower().rstrip("s"))
        for control in controls:
            group.add_argument(
                option_of(control.name),
                metavar=_metavar(control),
                help="%s (default: %s)" % (control.help, _default(control)),
            )


def controls_of(args: argparse.Namespace) -> Controls:
    """The controls that the options of `add_painting_options` give."""
    return controls_from({name: getattr(args, name, None) for name in CONTROLS})


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
            raise StyleError(
                "unknown style %r%s: it is neither a picture nor one of %s"
                % (name, suggestion(name, known), ", ".join(known))
            )
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
    if len(os.fsencode(os.path.basename(path))) > MAX_NAME:
        raise OptionError("cannot write %s: the name has more than %d bytes" % (path, MAX_NAME))


def refuse_existing(path: str, overwrite: bool = False) -> None:
    """Raise `OptionError` if there is a file at ``path`` that must not be overwritten."""
    if os.path.exists(path) and not overwrite:
        raise OptionError("%s exists already; choose another -o, or give --overwrite to replace it" % path)


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


def report_errors(action: Callable[[], Any], verbose: bool = False) -> None:
    """Call ``action``; print warnings and errors as single lines on stderr, and exit with code 1 after an error.

    SIGTERM ends the program like Ctrl-C, with code 130.  A reader that closes stdout, such as `head`, ends it silently.

    Args:
        verbose: also print the library's information, TensorFlow's notes, and the traceback of an error.
    """
    environment.leave_out_keras()
    environment.hide_notes(verbose)
    logger, handler = logging.getLogger("ros_style_transfer"), _Messages()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: print_message(message)
            action()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more
        sys.exit(141)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        message = describe(error)
        if message is None:
            raise
        if verbose:
            traceback.print_exc()
        print_message(message)
        sys.exit(1)
    finally:
        logger.removeHandler(handler)
        signal.signal(signal.SIGTERM, before)


def describe(error: BaseException) -> Optional[str]:
    """What a user is told about an error that is not a fault of ours, in one sentence; None for any other."""
    if isinstance(error, StyleTransferError):
        return str(error)
    # By its name, because TensorFlow may not have been imported.
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return "not enough memory; make the picture smaller, or free memory"
    return None


class _Messages(logging.Handler):
    """Prints the library's log with `print_message`."""

    def emit(self, record: logging.LogRecord) -> None:
        print_message(record.getMessage())
