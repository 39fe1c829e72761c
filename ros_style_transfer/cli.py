"""``python -m ros_style_transfer``: painting pictures and videos without ROS."""
import argparse
import functools
import itertools
import json
import os
import subprocess
import sys
import time
import warnings

import numpy as np
from tqdm import tqdm

from . import imagenet, images, jobs, render_job, video, weights
from .errors import OptionError, StyleTransferError
from .options import DESCRIPTIONS, DTYPES, FLOATS, MODELS, Controls, check, check_model, controls_from, whole, within
from .style_library import StyleLibrary

TEXTURE_PASSES = 3  # what it takes until noise has become texture
GALLERY_STYLES = ["flow_night", "mosaic"]


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as everything else here does."""

    def error(self, message):
        raise OptionError("%s (see %s --help)" % (message, self.prog))


def parser():
    """The command line's parser.  What is not given is None, so that an option without effect is noticed."""
    main = Parser(prog="python -m ros_style_transfer", description=__doc__)
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")
    stylize = commands.add_parser(
        "stylize", help="paint pictures or videos in a style",
        # argparse would show CONTENT last, where --style swallows it.
        usage="%(prog)s CONTENT ... --style S ... -o OUT [option ...]\n"
              "       %(prog)s --texture WxH --style S ... -o OUT [option ...]",
        description="Paint pictures, folders of pictures, videos or a webcam (its number) in a style. A .csv with "
                    "the columns content,style (paths relative to it) paints every pair, both scaled to a longer "
                    "side of %d; OUT is then a folder of 00.png, 01.png, ..." % jobs.PAIRS_SIDE)
    stylize.add_argument("content", nargs="*", metavar="CONTENT",
                         help="pictures, folders of pictures, videos, webcams, or one .csv of pairs")
    stylize.add_argument("-o", "--output", required=True, metavar="OUT",
                         help="a file for one CONTENT, a folder for several (or if it is one or ends in /)")
    stylize.add_argument("--texture", metavar="WxH", help="no CONTENT: a texture of the style, of this size")
    stylize.add_argument("--seed", type=int, metavar="N",
                         help="of a texture (default: 0) and of the style `random` (default: another each time)")
    stylize.add_argument("--size", type=int, metavar="N",
                         help="scale the content to this longer side first (default: its own)")
    stylize.add_argument("--concat", action="store_true", default=None, help="put the style beside the result")
    stylize.add_argument("--cycle", type=float, metavar="SECONDS",
                         help="in a video: one style after the other, each for so long")
    stylize.add_argument("--fade", type=float, metavar="SECONDS",
                         help="with --cycle: how long one style takes to become the next (default: 1, at most --cycle)")
    stylize.add_argument("--frames", type=int, metavar="N", help="end a video or webcam after N frames; so does Ctrl-C")
    gallery = commands.add_parser("gallery", help="one picture through all the controls, on a sheet",
                                  usage="%(prog)s CONTENT -o OUT [--style S ...] [option ...]")
    gallery.add_argument("content", metavar="CONTENT", help="a picture")
    gallery.add_argument("-o", "--output", required=True, metavar="OUT", help="the sheet, a picture")
    for command in (stylize, gallery):
        add_network(command, "cascade")
    add_look(stylize)
    render_job.add_to(commands)
    commands.add_parser("styles", help="list the shipped styles")
    add_benchmarks(commands)
    exported = commands.add_parser("export", help="write a model as a TensorFlow SavedModel")
    exported.add_argument("-o", "--output", required=True, metavar="DIR", help="a new folder")
    exported.add_argument("--model", default="live", help="%s (default: %%(default)s)" % ", ".join(MODELS))
    exported.add_argument("--weights-dir", metavar="DIR", help="weights of your own training (default: ours)")
    exported.add_argument("--dtype", default=FLOATS[0], help="%s (default: %%(default)s)" % ", ".join(FLOATS))
    fetched = commands.add_parser("weights", help="fetch VGG's official weights, for `render`")
    fetched.add_argument("action", choices=["fetch"])
    fetched.add_argument("network", choices=sorted(imagenet.SOURCES), nargs="+")
    return main


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


def stylize(args):
    """Paint all that the command line names."""
    check_model(args.model, args.dtype)
    within("--max-memory", args.max_memory, 0, 1e7)
    controls = controls_from({name: getattr(args, name) for name in DESCRIPTIONS})
    check(controls, args.model)
    work = jobs.find(args)
    jobs.check(args, work, controls)
    weights.load(args.model, args.weights_dir)
    mask = jobs.read_mask(args.mask, len(work[0].styles))
    read_style = functools.lru_cache(maxsize=16)(images.read)  # most jobs share styles; a table may name any number
    if not jobs.is_table(args.content):
        for path in work[0].styles:
            read_style(path)
    for note in jobs.notes(args, work, mask):
        tell(note)

    from .stylizer import Stylizer  # TensorFlow's import takes seconds: what can be known to be wrong is said before

    clock = VideoClock()
    stylizer = Stylizer(args.model, args.dtype, args.weights_dir, clock, args.max_memory)
    failed = 0
    for job in tqdm(work, unit="picture", disable=len(work) < 2):
        try:
            paint(stylizer, job, [read_style(path) for path in job.styles], mask, controls, args, clock)
        except (StyleTransferError, MemoryError) as error:  # the other pictures are none the worse for it
            tell(error if isinstance(error, StyleTransferError) else
                 "there is not enough memory for %s; make it smaller" % job.output)
            failed += 1
    if failed and len(work) > 1:
        tell("%d of %d could not be painted, as said above" % (failed, len(work)))
    if failed:
        sys.exit(1)


def paint(stylizer, job, styles, mask, controls, args, clock):
    """Paint one `Job` and write it."""
    style_side = round(job.style_side * max(1.0, controls.style_scale))  # the network would never enlarge it
    styles = [images.scaled(rgb, style_side) for rgb in styles]
    if styles:
        stylizer.set_styles(styles[:1] if args.cycle else styles, args.weights)
    if job.is_video():
        paint_video(stylizer, job, styles, mask, controls, args, clock)
        return
    controls, alpha = controls._replace(smoothing=0.0), None  # only videos are smoothed
    if job.content is None:
        if args.passes is None:
            controls = controls._replace(passes=TEXTURE_PASSES)
        painted = stylizer.texture(*jobs.size(args.texture, "--texture"), args.seed or 0, controls)
    else:
        rgb, alpha = images.read_with_alpha(job.content)
        alpha = None if alpha is None else images.scaled(alpha, job.side)
        with Progress(os.path.basename(job.output)) as progress:
            painted = stylizer.stylize(images.scaled(rgb, job.side), controls, mask, progress=progress)
    if args.concat:
        width = painted.shape[1]
        painted = images.concat(styles, painted)
        if alpha is not None:
            alpha = np.pad(alpha, ((0, 0), (painted.shape[1] - width, 0)), constant_values=255)
    images.write(job.output, painted, alpha)


def paint_video(stylizer, job, styles, mask, controls, args, clock):
    """Frame by frame, with progress; the styles in turn if ``--cycle`` says so."""
    webcam = not video.is_video(job.content)
    shown, written, started = 0, 0, time.monotonic()
    stylizer.reset()
    try:
        with video.Reader(job.content) as reader, video.Writer(job.output, reader.fps) as writer:
            frames = tqdm(itertools.islice(reader, args.frames), total=jobs.length(args, reader), unit="frame",
                          desc=os.path.basename(job.output))
            for number, rgb in enumerate(frames):
                clock.now = time.monotonic() - started if webcam else number / reader.fps
                if args.cycle and int(clock.now / args.cycle) != shown:
                    shown = int(clock.now / args.cycle)
                    stylizer.set_style(styles[shown % len(styles)], min(1.0, args.cycle)
                                       if args.fade is None else args.fade)
                painted = stylizer.stylize(images.scaled(rgb, job.side), controls, mask)
                if args.concat:
                    painted = images.concat(styles, painted)
                # A webcam does not wait for the painter: a frame stands for as long as it took.
                for _ in range(max(1, round(clock.now * reader.fps) - written) if webcam else 1):
                    writer.write(painted)
                    written += 1
            if frames.total and frames.total > 1.1 * frames.n:  # some formats only know about how many there are
                tell("%s breaks off after %d of %d frames" % (job.content, frames.n, frames.total))
    except KeyboardInterrupt:
        if written:
            tell("stopped; %s holds the %d frames until then" % (job.output, written))
        raise


class VideoClock:
    """A video's own time, seconds: cross-fades go by it, however long a frame takes to paint."""

    now = 0.0

    def __call__(self):
        return self.now


def gallery(args):
    """Draw one picture through all the controls on a sheet."""
    check_model(args.model, args.dtype)
    within("--max-memory", args.max_memory, 0, 1e7)
    names = args.style or []
    if len(names) > 2:
        raise OptionError("a sheet shows two styles, not %d" % len(names))
    paths = jobs.find_styles((names + [name for name in GALLERY_STYLES if name not in names])[:2])
    content, styles = images.read(args.content), [images.read(path) for path in paths]
    jobs.check_files([jobs.Job(args.content, paths, args.output)])
    weights.load(args.model, args.weights_dir)

    from .gallery import draw
    from .stylizer import Stylizer

    images.write(args.output, draw(content, styles, Stylizer(args.model, args.dtype, args.weights_dir,
                                                            max_memory=args.max_memory)))


def add_benchmarks(commands):
    """Add ``benchmark live|image|ros|gatys``."""
    measures = commands.add_parser("benchmark", help="measure how fast this machine paints").add_subparsers(
        dest="what", required=True, metavar="live|image|ros|gatys")
    live = measures.add_parser("live", help="frames, one after the other, without ROS")
    image = measures.add_parser("image", help="pictures of growing size")
    ros = measures.add_parser("ros", help="the node on a ROS graph of its own, from stamp to arrival")
    gatys = measures.add_parser("gatys", help="a full render against the study that this package grew from")
    for one in (live, image, ros):
        one.add_argument("--model", nargs="+", default=["live"] if one is ros else None, metavar="M",
                         help="%s (default: %s)" % (", ".join(MODELS), "%(default)s" if one is ros else "all"))
        one.add_argument("--dtype", nargs="+", default=["auto"] if one is ros else None, metavar="D",
                         help="%s (default: %s)" % (", ".join(DTYPES), "auto" if one is ros else "all but float16"))
        one.add_argument("--weights-dir", metavar="DIR", help="weights of your own training (default: ours)")
        if one is not ros:
            one.add_argument("--plot", metavar="DIR", help="draw the figures there (needs matplotlib)")
    for one in (live, ros):
        one.add_argument("--size", nargs="+", default=["320x240", "640x480"], metavar="WxH", help="of the frames")
    live.add_argument("--layers", action="store_true", help="time each convolution of live and lite by itself, too")
    live.add_argument("--no-reference", action="store_true", help="leave out what published implementations do")
    image.add_argument("--side", nargs="+", type=int, metavar="N", help="longer sides (default: 128 to 3840)")
    image.add_argument("--max-memory", type=float, default=0.0, metavar="MB", help="see stylize")
    ros.add_argument("--rate", nargs="+", type=float, default=[30.0], metavar="HZ",
                     help="frames a second of the camera (default: %(default)s)")
    ros.add_argument("--seconds", type=float, default=10.0, metavar="S", help="how long (default: %(default)s)")
    gatys.add_argument("content", metavar="CONTENT", help="a picture")
    gatys.add_argument("--style", required=True, metavar="S", help="a style's name or a picture")
    gatys.add_argument("--network-weights", metavar="FILE", help="VGG16's weights (default: the fetched)")
    gatys.add_argument("--plot", metavar="FILE", help="draw both curves there, .png or .jpg (needs matplotlib)")
    for one in (live, image, ros, gatys):
        one.add_argument("--json", metavar="FILE", help="write the figures there")


def benchmark(args):
    """Measure this machine."""
    plot = getattr(args, "plot", None)
    if plot and args.what != "gatys":  # a folder
        plot = os.path.join(plot, "plot")
    for path in filter(None, (args.json, plot)):
        jobs.check_writable(path)
    if args.what == "gatys":
        from .benchmark.gatys import gatys

        (style,) = jobs.find_styles([args.style])
        gatys(images.read(args.content), images.read(style), args.network_weights, args.json, args.plot)
        return
    layers = args.what == "live" and args.layers
    if layers and "cascade" in (args.model or ()):
        raise OptionError("--layers is for live and lite: the cascade's are VGG's, five times over")
    args.model = args.model or [model for model in MODELS if not (layers and model == "cascade")]
    for model, dtype in itertools.product(args.model, args.dtype or ("float32",)):
        check_model(model, dtype)
    args.dtype = args.dtype or ["float32", "bfloat16", "int8"]  # the last where the model can
    if args.what != "ros" and "auto" in args.dtype:
        raise OptionError("name the precisions to measure; auto would choose one")
    if args.what == "image":
        for side in args.side or ():
            whole("--side", side, 32, 32768)
        from .benchmark.painting import SIDES, image, write

        write(image(args.model, args.dtype, args.side or SIDES, args.weights_dir, args.max_memory),
              args.json, args.plot)
        return
    sizes = [jobs.size(text, "--size") for text in args.size]
    if args.what == "ros":
        within("--seconds", args.seconds, 1, 86400)
        for rate in args.rate:
            within("--rate", rate, 0.1, 1000)
        # A program of its own: nothing here may need ROS.
        asked = dict(models=args.model, dtypes=args.dtype, sizes=sizes, rates=args.rate, seconds=args.seconds,
                     weights_dir=args.weights_dir, json_file=args.json)
        sys.exit(subprocess.call([sys.executable, "-m", __package__ + ".ros.benchmark", json.dumps(asked)]))
    from .benchmark.painting import live, write

    write(live(args.model, args.dtype, sizes, args.weights_dir, args.layers, not args.no_reference),
          args.json, args.plot)


class Progress:
    """A bar for one picture, shown once it is known to take long."""

    def __init__(self, name):
        self._bar = tqdm(desc=name, total=100, unit="%", delay=2.0, leave=False,
                         bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed}<{remaining}")

    def __enter__(self):
        return lambda share: self._bar.update(100 * share - self._bar.n)

    def __exit__(self, *_):
        self._bar.close()


def tell(message):
    """One line for people, beside what the program writes and above any progress."""
    tqdm.write("ros_style_transfer: %s" % message, file=sys.stderr)


def main(argv=None):
    """Run the command line, see `politely`."""
    politely(lambda: command(parser().parse_args(argv)))


def command(args):
    """Do what the command line asks for."""
    if args.command == "styles":
        for name, path in StyleLibrary().paths().items():
            print("%-20s %s" % (name, path))
    elif args.command == "weights":
        for name in args.network:
            print(imagenet.fetch(name))
    elif args.command == "export":
        check_model(args.model, args.dtype)
        if args.dtype not in FLOATS:
            raise OptionError("name the precision to export, one of %s" % ", ".join(FLOATS))
        from .export import export

        export(args.model, args.output, args.dtype, args.weights_dir)
    elif args.command == "benchmark":
        benchmark(args)
    elif args.command == "render":
        render_job.run(args, tell)
    else:
        {"stylize": stylize, "gallery": gallery}[args.command](args)


def politely(action):
    """Call ``action``; warnings and errors are one sentence on stderr, an error ends the process with code 1."""
    # TensorFlow would import Keras 3, a quarter of the time until the first picture, and nothing needs it.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
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
