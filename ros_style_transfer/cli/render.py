"""The command ``render``: pictures by optimization, here or on workers.  The node runs it as a process, see
`render.queue`."""

import argparse
import copy
import functools
import json
import os
import threading
import time
from typing import Any, Callable, List, Optional, Sequence

import numpy as np
from tqdm import tqdm

from ..controls import check_range, check_styles
from ..errors import OptionError
from ..media import images
from ..models import weights
from ..render.options import DESCRIPTIONS, INITS, PRESETS, RenderOptions, check, options_from
from . import batch, workers
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
    reject_ineffective,
)
from .inputs import Job, check_files, outputs_for, pictures_of
from .manifest import Result, identity

CHECKPOINT = ".part.npz"  # suffix of the file that an interrupted render is continued from


def add_to(commands: Any) -> None:
    """Add the command ``render`` to the command line's ``commands``."""
    parser = commands.add_parser(
        "render",
        help="render pictures by optimization (Gatys et al. 2015): slow, with the highest quality",
        usage="%(prog)s CONTENT ... --style S ... -o OUT [option ...]",
        description="Optimize a picture, coarse to fine, until its features match the content's and the statistics "
        "of its features match the style's (Gatys, Ecker, Bethge 2015).",
    )
    parser.add_argument("content", nargs="+", metavar="CONTENT", help="pictures, or folders of pictures")
    parser.add_argument("--style", nargs="+", required=True, metavar="S", help=STYLE_HELP)
    add_output_options(
        parser, "a file for one CONTENT, a folder for several; also a folder if it is one or ends in /", several=True
    )
    workers.add_options(parser, segments=False)
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
        contents = pictures_of(args.content)
        outputs = outputs_for(args.output, args.content, contents)
        if outputs == [args.output] and not workers.are_wanted(args):
            args.content = contents[0]
            _run(args)
        else:
            _run_batch(args, contents, outputs)
    except Exception as error:
        if args.json:
            print(json.dumps({"error": describe(error) or str(error) or repr(error)}), flush=True)
        raise


def _run_batch(args: argparse.Namespace, contents: Sequence[str], outputs: Sequence[str]) -> None:
    """Render several pictures, or one on a worker."""
    single = "is for a single picture without workers"
    given = argparse.Namespace(json=args.json or None, preview=args.preview, resume=args.resume or None)
    reject_ineffective(given, ((True, "json preview resume", single),))
    if workers.are_wanted(args):
        reject_ineffective(args, ((True, "threads", "is for this process; workers have --cpus-per-worker"),))
    options = _options(args)
    paths = find_styles(args.style, options.seed if "random" in args.style else None)
    check_styles(len(paths), args.style_weights or (), args.mask is not None)
    if options.init not in INITS:
        images.check_exists(options.init)
    others = [path for path in (args.mask, args.network_weights) if path]
    jobs = [Job(content, paths, output) for content, output in zip(contents, outputs)]
    check_files(jobs, others)
    read_mask(args.mask, len(paths))
    batch.run(
        args,
        jobs,
        dict(
            options._asdict(),
            style=list(map(os.path.realpath, paths)),
            style_weights=args.style_weights,
            mask=args.mask and os.path.realpath(args.mask),
            size=args.size,
            network_weights=args.network_weights and identity(args.network_weights),
        ),
        None if list(outputs) == [args.output] else args.output,
        lambda job: Result(job.output, [job.content, *job.styles, *others]),
        functools.partial(RenderRunner, args, paths),
        "picture",
        divisible=False,
    )


class RenderRunner:
    """Renders one picture after another; the task of a worker, see `cluster.Worker`.

    Args:
        args: the command line, checked.
        paths: of the styles.
        choice: the precision; None: that of the command line.
        max_memory: megabytes of this process; None: that of the command line.
        notify: called with sentences for the user.
        in_worker: show no progress.

    Attributes:
        choice: the precision, never ``auto``.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        paths: List[str],
        choice: Optional[str],
        max_memory: Optional[float],
        notify: Callable[[str], Any],
        in_worker: bool,
    ) -> None:
        from ..models.device import fastest_float

        self._args, self._paths, self._notify, self._in_worker = args, paths, notify, in_worker
        self._max_memory = args.max_memory if max_memory is None else "%.0f" % max_memory
        self.choice = choice or _options(args).precision
        if self.choice == "auto":
            self.choice = fastest_float()

    def __call__(self, job: Job) -> int:
        """Render a picture, from where it was if it was interrupted; returns 1."""
        args = copy.copy(self._args)
        args.content, args.output, args.precision = job.content, job.output, self.choice
        args.max_memory = self._max_memory
        args.resume = os.path.exists(job.output + CHECKPOINT)
        try:
            self._render(args)
        except OptionError:
            if not args.resume:
                raise
            args.resume = False  # what was interrupted there is another render
            self._render(args)
        return 1

    def _render(self, args: argparse.Namespace) -> None:
        _render_file(args, _options(args), self._paths, self._notify, self._in_worker)


def _run(args: argparse.Namespace) -> None:
    if args.skip_existing and os.path.exists(args.output):
        print_message("%s exists and is kept" % args.output)
        return
    options = _options(args)
    paths = find_styles(args.style, options.seed if "random" in args.style else None)
    check_styles(len(paths), args.style_weights or (), args.mask is not None)
    _check_files(args, options, paths)
    if args.json:
        _exit_when_stdin_closes()
    _render_file(args, options, paths, print_message, args.json, _process_start())


def _render_file(
    args: argparse.Namespace,
    options: RenderOptions,
    paths: List[str],
    notify: Callable[[str], Any],
    quiet: bool,
    started: Optional[float] = None,
) -> None:
    """Render one picture and write it.

    Args:
        paths: of the styles.
        notify: called with sentences for the user.
        quiet: show no progress.
        started: when the time budget began; None: now.
    """
    started = time.monotonic() if started is None else started
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
    rendered = _render(args, options, content, styles, mask, initial, notify, quiet, started)
    images.write_or_rescue(args.output, rendered, alpha)
    if not args.no_checkpoint:
        _checkpoint(args, options, content, styles, mask).remove()


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
    from ..render.checkpoint import Checkpoint

    return Checkpoint(args.output + CHECKPOINT, options, content, styles, args.style_weights, mask)


def _render(
    args: argparse.Namespace,
    options: RenderOptions,
    content: np.ndarray,
    styles: List[np.ndarray],
    mask: Optional[np.ndarray],
    initial: Optional[np.ndarray],
    notify: Callable[[str], Any],
    quiet: bool,
    started: float,
) -> np.ndarray:
    """The rendered picture, uint8 RGB."""
    # Importing TensorFlow takes seconds: everything that can be wrong is reported before.
    from ..models.device import set_thread_count
    from ..render.renderer import Renderer
    from ..stylizer import Stylizer

    if args.threads:
        set_thread_count(args.threads)
    checkpoint = _checkpoint(args, options, content, styles, mask)
    start = checkpoint.read() if args.resume else None
    renderer = Renderer(options, args.network_weights, started=started)
    if options.init == "wct" and start is None:
        stylizer = Stylizer("cascade", "float32")
        stylizer.set_styles(styles, args.style_weights)
        initial = stylizer.stylize(content, mask=mask)
    progress: Any = start  # a render that was stopped at its very end has no iteration left
    with ProgressBar(disable=quiet) as bar:
        try:
            for progress in renderer.render(content, styles, args.style_weights, mask, initial, start):
                bar.show(progress, notify)
                has_preview = bool(args.preview) and progress.iteration % args.every == 0
                if has_preview:
                    images.write(args.preview, renderer.picture(progress.x, content, mask))
                if args.json:
                    _print_progress(progress, has_preview)
                if not args.no_checkpoint:
                    checkpoint.write(progress)
        except KeyboardInterrupt:
            if progress is not start and not args.no_checkpoint:
                checkpoint.write(progress, now=True)
                notify(
                    "stopped; `--resume` continues from iteration %d at %dx%d"
                    % (progress.iteration, progress.width, progress.height)
                )
            raise
    if not args.json:
        notify(_summary(progress, content))
    return renderer.picture(progress.x, content, mask)


def _summary(progress: Any, content: np.ndarray) -> str:
    """What a render has done, in a sentence."""
    height, width = content.shape[:2]
    done = "rendered %dx%d in %.1f s: " % (width, height, progress.seconds)
    return done + (progress.shortfall or "%d iterations, loss %.4g" % (progress.total_iterations, progress.loss))


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
        self._bar.update(progress.iteration - self._bar.n)
        self._bar.set_postfix(loss="%.4g" % progress.loss, remaining="%.0fs" % progress.remaining, refresh=False)

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.close()


def _print_progress(progress: Any, has_preview: bool) -> None:
    numbers = {key: value for key, value in progress._asdict().items() if key not in ("x", "curvature")}
    print(json.dumps(dict(numbers, preview=has_preview)), flush=True)


def _process_start() -> float:
    """When this process was started, on the clock of ``time.monotonic``: a time budget includes the start-up."""
    try:
        with open("/proc/self/stat") as file:
            ticks = int(file.read().rsplit(")", 1)[1].split()[19])
        return time.monotonic() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, AttributeError):  # not Linux
        return time.monotonic()


def _exit_when_stdin_closes() -> None:
    """End this process when the process that started it ends."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
