"""What a command line asks for: found, and all that can be wrong with it, before TensorFlow's import.

Data flow: arguments -> `find` -> a `Job` for each thing to be painted -> `check`, `common.read_mask`, `notes`.
"""
import csv
import os
from typing import List, NamedTuple, Optional

from ..controls import within
from ..errors import ImageError, OptionError
from ..media import images, video
from . import common

PAIRS_SIDE = 512  # the longer side of both pictures of a pair, as the literature compares


class Job(NamedTuple):
    """One thing to be painted."""

    content: Optional[str]  # None: a texture
    styles: List[str]  # paths
    output: str
    side: int = 0  # the longer side that the content is scaled to; 0: its own
    style_side: int = 0  # the same of the styles

    def is_video(self):
        return self.content is not None and moves(self.content)


def moves(content):
    """Whether ``content`` is a video or a webcam."""
    return video.is_video(content) or (video.webcam_number(content) is not None and not os.path.isfile(content))


def is_table(content):
    """Whether the list ``content`` names a table of pairs."""
    return any(name.lower().endswith(".csv") for name in content)


def find(args):
    """What is to be painted: a list of `Job`, one or more."""
    _check_numbers(args)
    if is_table(args.content):
        if len(args.content) > 1:
            raise OptionError("a .csv of pairs stands alone: give no other CONTENT")
        side = args.size or PAIRS_SIDE
        return [Job(content, [style], _in_folder(args.output, "%02d" % n, content), side, side)
                for n, (content, style) in enumerate(read_pairs(args.content[0]))]
    if not args.content and not args.texture:
        raise OptionError("give CONTENT to paint, or --texture WxH%s"
                          % ("; CONTENT goes before --style, which takes all that follows it" if args.style else ""))
    if args.content and args.texture:
        raise OptionError("a texture is painted out of nothing: give either CONTENT or --texture, not both")
    if not args.style and (args.method != "whiten" or args.texture):
        raise OptionError("say which style with --style (see `python -m ros_style_transfer styles`)")
    styles = common.find_styles(args.style or [], args.seed)
    if args.texture:
        return [Job(None, styles, args.output)]
    contents = [path for content in args.content
                for path in (pictures_in(content) if os.path.isdir(content) else [content])]
    if contents == args.content[:1] and not os.path.isdir(args.output) and not args.output.endswith(os.sep):
        outputs = [args.output]
    else:
        outputs = [_in_folder(args.output, common.stem(content), content) for content in contents]
    return [Job(content, styles, output, args.size or 0) for content, output in zip(contents, outputs)]


def pictures_in(folder):
    """The paths of the pictures in ``folder``, sorted."""
    paths = [os.path.join(folder, name) for name in _names_in(folder)]
    paths = [path for path in paths if path.lower().endswith(images.EXTENSIONS) and not os.path.isdir(path)]
    if not paths:
        raise ImageError("no pictures in the folder %s (%s)" % (folder, ", ".join(images.EXTENSIONS)))
    return paths


def _names_in(folder):
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise ImageError("cannot read the folder %s: %s" % (folder, error.strerror)) from None


def _in_folder(folder, name, content):
    """The path in ``folder`` of what ``content`` becomes."""
    if not os.path.isdir(folder) and folder.lower().endswith(images.EXTENSIONS + video.EXTENSIONS):
        raise OptionError("what several CONTENT, a folder or a .csv become needs a folder: -o %s is a file's name"
                          % folder)
    return os.path.join(folder, name + (".mp4" if moves(content) else ".png"))


def read_pairs(path):
    """``[(content path, style path), ...]`` of a .csv with these two columns."""
    folder = os.path.dirname(os.path.abspath(path))
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # a spreadsheet may begin it with a BOM
            rows = list(csv.DictReader(file))
        pairs = [(os.path.join(folder, row["content"]), os.path.join(folder, row["style"])) for row in rows]
        if not pairs:
            raise ValueError("no rows")
        return pairs
    except KeyError as error:
        raise OptionError("cannot read pairs from %s: no column %s; its first line must be content,style"
                          % (path, error)) from None
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise OptionError("cannot read pairs from %s (columns content,style): %s" % (path, error)) from None


def check(args, jobs, controls):
    """Raise on options without effect, and on files that are not there or cannot be written."""
    _check_effects(args, jobs, controls)
    check_files(jobs, [*args.content, args.mask])
    for job in jobs:
        if job.is_video():
            _check_video(args, job.content)


def _check_numbers(args):
    for name, lowest in (("seed", 0), ("frames", 1)):
        value = getattr(args, name)
        if value is not None and value < lowest:
            raise OptionError("--%s must be at least %d, not %d" % (name, lowest, value))
    if args.size is not None:
        within("--size", args.size, images.MIN_SIDE, images.MAX_SIDE)
    if args.texture:
        common.size(args.texture, "--texture")
    if args.cycle is not None:
        within("--cycle", args.cycle, 0.1, 3600.0)
        if args.fade is not None:
            within("--fade", args.fade, 0.0, args.cycle)


def _check_effects(args, jobs, controls):
    """Raise on an option that would do nothing in this call: it was meant to do something."""
    styles, videos = len(jobs[0].styles), sum(job.is_video() for job in jobs)
    common.refuse_idle(args, (
        (is_table(args.content), "style weights texture",
         "does not go with a .csv of pairs, which names a style for each"),
        (controls.method == "whiten", "concat", "does not go with the method whiten, which takes no style"),
        (args.texture, "mask size keep_colours", "is about CONTENT, and a texture has none"),
        (not args.texture and "random" not in (args.style or []), "seed",
         "is for --texture and --style random, and there is neither"),
        (not videos, "cycle smoothing frames", "is for videos, and there is none"),
        (videos < len(jobs), "cycle", "is for videos, and there are pictures, too"),
        (styles < 2, "cycle", "needs several styles, and there is one"),
        (args.cycle is not None, "weights mask", "does not go with --cycle, which shows one style at a time"),
        (args.cycle is None, "fade", "needs --cycle")))
    common.check_look(args, styles, controls)


def check_files(jobs, others=()):
    """Raise on inputs that are not there, and outputs that cannot be written or would overwrite something.

    Args:
        others: paths of further inputs; None and "" are left out.
    """
    inputs = [*others, *(path for job in jobs for path in [job.content, *job.styles])]
    inputs = {os.path.realpath(path): path for path in inputs if path}
    outputs = {}
    for job in jobs:
        for path in job.styles + ([job.content] if job.content and not job.is_video() else []):
            images.check_exists(path)
        (video if job.is_video() else images).check_ending(job.output)
        output = os.path.realpath(job.output)
        if output in inputs:
            raise OptionError("the output %s would overwrite the input %s; choose another -o"
                              % (job.output, inputs[output]))
        if output in outputs:
            raise OptionError("%s and %s have the same name: both would become %s; paint them into different folders"
                              % (outputs[output], job.content, job.output))
        outputs[output] = job.content
        common.check_writable(job.output)


def _check_video(args, path):
    """Raise unless the video or webcam can be read and is long enough for ``--cycle``."""
    with video.Reader(path) as reader:
        frames = length(args, reader)
        if args.cycle and frames and frames <= args.cycle * reader.fps:
            raise OptionError("--cycle %g never comes to the second style: of %s, %.3g seconds are painted"
                              % (args.cycle, path, frames / reader.fps))


def length(args, reader):
    """How many frames of a `video.Reader` are to be painted; None if nobody knows."""
    return min(filter(None, (args.frames, reader.count)), default=None)


def notes(args, jobs, mask):
    """What is worth knowing before it is painted: sentences."""
    for folder in filter(os.path.isdir, args.content):
        others = [name for name in _names_in(folder) if os.path.join(folder, name) not in {j.content for j in jobs}]
        if others:
            yield "left out of %s, since only its pictures are painted (name a video or a folder itself): %s" % (
                folder, ", ".join(others[:5] + ["..."] * (len(others) > 5)))
    yield from common.look_notes(args, jobs[0].styles, mask)
