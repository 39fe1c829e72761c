"""The command ``render``: one picture by optimization.  The node runs it as a process, see `render.queue`."""

import argparse
import json
import os
import threading
from typing import Any, Callable, List, Optional

import numpy as np
from tqdm import tqdm

from ..controls import check_range, check_styles
from ..errors import OptionError
from ..media import images
from ..models import weights
from ..render.options import DESCRIPTIONS, INITS, PRESETS, RenderOptions, check, options_from
from .common import (
    MASK_HELP,
    STYLE_HELP,
    STYLE_WEIGHTS_HELP,
    add_output_options,
    describe,
    find_styles,
    option_of,
    print_message,
    read_mask,
    refuse_existing,
)
from .inputs import Job, check_files


def add_to(commands: Any) -> None:
    """Add the command ``render`` to the command line's ``commands``."""
    parser = commands.add_parser(
        "render",
        help="render one picture by optimization (Gatys et al. 2015): slow, with the highest quality",
        usage="%(prog)s CONTENT --style S ... -o OUT [option ...]",
        description="Optimize a picture, coarse to fine, until its features match the content's and the statistics "
        "of its features match the style's (Gatys, Ecker, Bethge 2015).",
    )
    parser.add_argument("content", metavar="CONTENT", help="a picture")
    parser.add_argument("--style", nargs="+", required=True, metavar="S", help=STYLE_HELP)
    add_output_options(parser, "the picture to write")
    parser.add_argument("--style-weights", nargs="+", type=float, metavar="W", help=STYLE_WEIGHTS_HELP)
    parser.add_argument("--mask", metavar="FILE", help=MASK_HELP)
    parser.add_argument("--size", type=int, metavar="N", help="resize the content to this longer side first")
    parser.add_argument(
        "--preset", default="default", metavar="NAME", help="%s (default: %%(default)s)" % ", ".join(PRESETS)
    )
    parser.add_argument(
        "--network-weights", metavar="FILE", help="VGG weights, .h5 or .npz (default: those of `weights fetch`)"
    )
    parser.add_argument("--preview", metavar="FILE", help="write intermediate pictures to this file, see --every")
    parser.add_argument("--every", type=int, default=10, metavar="N", help="iterations between previews (default: 10)")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted render of the same inputs")
    parser.add_argument("--no-checkpoint", action="store_true", help="write no file that --resume could continue from")
    parser.add_argument("--threads", type=int, metavar="N", help="number of cores to use (default: all)")
    parser.add_argument(
        "--json",
        action="store_true",
        help="write progress and errors as lines of JSON to stdout; end when stdin is closed",
    )
    options = parser.add_argument_group("options of the optimization (defaults of the preset `default`)")
    for name, (_, description) in DESCRIPTIONS.items():
        default = getattr(PRESETS["default"], name)
        shown = ",".join("%s:%g" % pair for pair in default.items()) if isinstance(default, dict) else default
        shown = "%g" % shown if isinstance(shown, float) else shown
        metavar = {bool: "BOOL", int: "N", float: "X", dict: "LAYER:X,..."}.get(type(default), "NAME")
        options.add_argument(option_of(name), metavar=metavar, help="%s (default: %s)" % (description, shown))


def run(args: argparse.Namespace) -> None:
    """Render what the command line names."""
    try:
        _run(args)
    except Exception as error:
        if args.json:
            print(json.dumps({"error": describe(error) or str(error) or repr(error)}), flush=True)
        raise


def _run(args: argparse.Namespace) -> None:
    options = _options(args)
    paths = find_styles(args.style, options.seed if "random" in args.style else None)
    check_styles(len(paths), args.style_weights or (), args.mask is not None)
    _check_files(args, options, paths)
    content, alpha = images.read_with_alpha(args.content, args.size or 0)
    content = images.resize_longest_side(content, args.size)
    if alpha is not None:
        alpha = images.resize_longest_side(alpha, args.size)
    styles = [images.read(path) for path in paths]
    mask = read_mask(args.mask, len(paths))
    initial = None if options.init in INITS else images.read(options.init)
    for model, is_used in (("compact", options.network == "compact"), ("cascade", options.init == "wct")):
        if is_used:
            weights.load(model)
    if args.json:
        _exit_when_stdin_closes()
    images.write_or_rescue(args.output, _render(args, options, content, styles, mask, initial), alpha)
    if not args.no_checkpoint:
        _checkpoint(args, options, content, styles, mask).forget()


def _options(args: argparse.Namespace) -> RenderOptions:
    """The options that ``args`` name, checked."""
    options = options_from({name: getattr(args, name) for name in DESCRIPTIONS}, args.preset)
    check(options)
    for name, low, high in (("size", images.MIN_SIDE, images.MAX_SIDE), ("every", 1, 100000), ("threads", 1, 1024)):
        if getattr(args, name) is not None:
            check_range("--" + name, getattr(args, name), low, high)
    if options.network == "compact" and args.network_weights:
        raise OptionError("--network-weights is for VGG, but the network is compact; choose --network vgg16 or vgg19")
    return options


def _check_files(args: argparse.Namespace, options: RenderOptions, styles: List[str]) -> None:
    """Raise unless all files exist that are read, and those can be written that are written."""
    images.check_exists(args.content)
    if options.init not in INITS:
        images.check_exists(options.init)
    jobs = [Job(args.content, styles, args.output)]
    if args.preview:
        jobs.append(Job(None, styles, args.preview))
    check_files(jobs, [args.mask, args.network_weights])
    refuse_existing(args.output, args.overwrite)


def _checkpoint(
    args: argparse.Namespace,
    options: RenderOptions,
    content: np.ndarray,
    styles: List[np.ndarray],
    mask: Optional[np.ndarray],
) -> Any:
    from ..render.checkpoint import STATE, State

    return State(args.output + STATE, options, content, styles, args.style_weights, mask)


def _render(
    args: argparse.Namespace,
    options: RenderOptions,
    content: np.ndarray,
    styles: List[np.ndarray],
    mask: Optional[np.ndarray],
    initial: Optional[np.ndarray],
) -> np.ndarray:
    """The rendered picture, uint8 RGB."""
    # Importing TensorFlow takes seconds: everything that can be wrong is reported before.
    from ..models.device import share_threads
    from ..render.renderer import Renderer
    from ..stylizer import Stylizer

    if args.threads:
        share_threads(args.threads)
    checkpoint = _checkpoint(args, options, content, styles, mask)
    start = checkpoint.read() if args.resume else None
    renderer = Renderer(options, args.network_weights)
    if options.init == "wct" and start is None:
        stylizer = Stylizer("cascade", "float32")
        stylizer.set_styles(styles, args.style_weights)
        initial = stylizer.stylize(content, mask=mask)
    progress: Any = start  # a render that was stopped at its very end has no iteration left
    with ProgressBar(disable=args.json) as bar:
        try:
            for progress in renderer.render(content, styles, args.style_weights, mask, initial, start):
                bar.show(progress, print_message)
                has_preview = bool(args.preview) and progress.iteration % args.every == 0
                if has_preview:
                    images.write(args.preview, renderer.picture(progress.x, content, mask))
                if args.json:
                    _print_progress(progress, has_preview)
                if not args.no_checkpoint:
                    checkpoint.keep(progress)
        except KeyboardInterrupt:
            if progress is not start and not args.no_checkpoint:
                checkpoint.keep(progress, now=True)
                print_message(
                    "stopped; `--resume` continues from iteration %d at %dx%d"
                    % (progress.iteration, progress.width, progress.height)
                )
            raise
    return renderer.picture(progress.x, content, mask)


class ProgressBar:
    """A progress bar for each size of a render."""

    def __init__(self, disable: bool) -> None:
        self._disable = disable
        self._bar: Any = None

    def show(self, progress: Any, notify: Callable[[str], Any]) -> None:
        """Show a `renderer.Progress`; its note, if it has one, goes to ``notify``."""
        if progress.note:
            notify(progress.note)
        size = "%dx%d" % (progress.width, progress.height)
        if self._bar is None or self._bar.desc != size:
            self.__exit__()
            self._bar = tqdm(
                total=progress.iterations, initial=progress.iteration - 1, disable=self._disable, unit="iteration"
            )
            self._bar.desc = size
        self._bar.update()
        self._bar.set_postfix(loss="%.4g" % progress.loss, remaining="%.0fs" % progress.remaining, refresh=False)

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.close()


def _print_progress(progress: Any, has_preview: bool) -> None:
    numbers = {key: value for key, value in progress._asdict().items() if key not in ("x", "curvature")}
    print(json.dumps(dict(numbers, preview=has_preview)), flush=True)


def _exit_when_stdin_closes() -> None:
    """End this process when the one that started it has ended, whatever it is doing."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
