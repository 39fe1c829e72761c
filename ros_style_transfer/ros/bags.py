"""``rosrun ros_style_transfer stylize_bag``: bags with their image topics painted, or a video of one topic.  Needs no
roscore.

Data flow::

    IN.bag --messages--> unchanged ----------------------------------------> Output (OUT.bag.partial) --> OUT.bag
                 \\--> frames: BagTopicStylizer, in a thread of its own --/

On workers, a long bag is divided: each part is a bag that holds only stylized frames, and what is above is done with
these frames in place of the stylizers.

Memory holds one message at a time, and rosbag's index.  An interrupted run can be continued: each chunk of the
partial bag holds whole messages of IN.bag together with their painted frames, so their number tells where to continue.
"""

import argparse
import bisect
import collections
import concurrent.futures
import contextlib
import fcntl
import functools
import hashlib
import io
import json
import os
import re
import shutil
import sys
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

import genpy
import numpy as np
import rosbag
import rospy
from sensor_msgs.msg import CompressedImage, Image
from tqdm import tqdm

from ..cli import batch, common, manifest, workers
from ..controls import Controls, check, check_model, check_range
from ..errors import BagError, ImageError, OptionError
from ..media import images, video
from ..models import weights
from ..ros_common.params import DEFAULTS, check_max_side, prefixed
from . import conversions

PREFIX = "/style_transfer"
PARTIAL = ".partial"  # suffix of OUT while it is written
CHUNK_SIZE = 768 * 1024  # bytes, as `rosbag record` has it
IMAGE_TYPES = {kind._type: kind for kind in (Image, CompressedImage)}

RawMessage = Tuple[Any, ...]  # as rosbag has it: (type, bytes, md5sum, ..., class)


def parser() -> argparse.ArgumentParser:
    """The parser of the command line.  Options that are not given are None, so that one without effect is noticed."""
    command = common.Parser(
        prog="rosrun ros_style_transfer stylize_bag",
        usage="%(prog)s IN.bag ... -o OUT.bag --topic T [--topic T ...] [--style S ...] [option ...]",
        description="Paint image topics of bags like the node, by default in the style %s. Stamps are kept, and "
        "everything else is copied unchanged. After a kill or Ctrl-C the same command continues."
        % ", ".join(DEFAULTS.style),
    )
    command.add_argument("input", nargs="+", metavar="IN.bag")
    common.add_output_options(
        command,
        "the bag to write, or with one --topic a video (%s); a folder for several IN.bag, or if it ends in /"
        % ", ".join(video.CODECS),
        several=True,
    )
    command.add_argument(
        "--topic",
        action="append",
        required=True,
        metavar="T",
        help="a topic of sensor_msgs/Image or CompressedImage to paint; may be given several times",
    )
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--prefix", default=PREFIX, metavar="P", help="put before T to name the painted topic (default: %(default)s)"
    )
    where.add_argument("--replace", action="store_true", help="replace the original frames of T by the painted ones")
    command.add_argument(
        "--max-side",
        type=int,
        default=DEFAULTS.max_side,
        metavar="N",
        help="scale frames down to this longer side; 0 (the default) keeps their size",
    )
    command.add_argument("--seed", type=int, metavar="N", help="seed of the style `random` (default: 0)")
    workers.add_options(command)
    common.add_model_options(command)
    common.add_painting_options(command)
    common.add_verbose(command)
    return command


def main() -> None:
    """Run the command line; errors are one sentence on stderr and exit code 1."""
    arguments = rospy.myargv()[1:]
    common.report_errors(lambda: stylize_bags(parser().parse_args(arguments)), verbose="--verbose" in arguments)


class BagJob(NamedTuple):
    """A bag to stylize: paths."""

    input: str
    output: str


def stylize_bags(args: argparse.Namespace) -> None:
    """Paint what the command line names."""
    check_model(args.model, args.precision)
    controls = common.controls_of(args)
    check(controls, args.model)
    check_range("--max-memory", args.max_memory, 0, 1e7)
    workers.are_wanted(args)
    paths = _styles(args, controls)
    common.check_painting_options(args, len(paths), controls)
    prefixed("--max-side", check_max_side, args.max_side)
    jobs, folder = _plan(args)
    styles, mask = [images.read(path) for path in paths], common.read_mask(args.mask, len(paths))
    _, entry = weights.load(args.model, args.weights_dir)
    for note in common.style_advisories(args, paths, mask):
        common.print_message(note)
    options = dict(
        controls.resolved(args.model)._asdict(),
        style=[_digest(rgb) for rgb in styles],
        style_weights=args.style_weights,
        mask=None if mask is None else _digest(mask),
        model=args.model,
        weights_dir=entry["sha256"],
        precision=args.precision,
        max_side=args.max_side,
        topic=args.topic,
        prefix=args.prefix,
        replace=args.replace,
    )
    batch.run(
        args,
        jobs,
        options,
        folder,
        lambda job: manifest.Result(job.output, [job.input, *paths, *filter(None, [args.mask])]),
        functools.partial(BagRunner, args, options, paths),
        "frame" if workers.are_wanted(args) else "bag",
        divisible=True,
    )


def _plan(args: argparse.Namespace) -> Tuple[List[BagJob], Optional[str]]:
    """The bags to stylize, and the folder of their outputs if -o is one."""
    if len(args.input) == 1 and not os.path.isdir(args.output) and not args.output.endswith(os.sep):
        jobs, folder = [BagJob(args.input[0], args.output)], None
        with _open(args.input[0]) as source:  # what is wrong with the only bag is said at once
            _painted_names(args, args.input[0], source)
        if video.has_extension(args.output):
            _check_video_output(args)
    else:
        folder = args.output
        jobs = [BagJob(path, os.path.join(folder, os.path.basename(path))) for path in args.input]
    inputs, outputs = {os.path.realpath(path) for path in args.input}, set()
    for job in jobs:
        common.check_writable(job.output)
        if os.path.realpath(job.output) in inputs:
            raise OptionError("the output %s would overwrite an input; choose another -o" % job.output)
        if job.output in outputs:
            raise OptionError("several bags have the name of %s; use different folders" % job.input)
        outputs.add(job.output)
    return jobs, folder


class BagRunner:
    """Stylizes one bag after another with the same model; the task of a worker, see `cluster.Worker`.

    Args:
        args: the command line, checked.
        options: everything but the inputs that results depend on.
        paths: of the styles.
        choice: the precision; None: that of the command line.
        max_memory: megabytes of this process; None: that of the command line.
        notify: called with sentences for the user.
        in_worker: answer to long bags with their parts, and show no progress.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        options: Mapping[str, Any],
        paths: Sequence[str],
        choice: Optional[str],
        max_memory: Optional[float],
        notify: Callable[[str], Any],
        in_worker: bool,
    ) -> None:
        self._args, self._options, self._precision = args, options, choice or args.precision
        self._max_memory = args.max_memory if max_memory is None else max_memory
        self._notify, self._in_worker = notify, in_worker
        self._controls = common.controls_of(args)
        self._styles, self._paths = [images.read(path) for path in paths], paths
        self._mask = common.read_mask(args.mask, len(paths))
        self._stylizers: Dict[Tuple[str, int], Any] = {}  # by precision and number

    @property
    def choice(self) -> str:
        """The precision, never ``auto``."""
        return self._stylizer(self._precision, 0).precision

    def _stylizer(self, precision: str, number: int) -> Any:
        # Importing TensorFlow takes seconds: everything that can be wrong is reported before.
        from ..stylizer import Stylizer

        if (precision, number) not in self._stylizers:
            stylizer = Stylizer(self._args.model, precision, self._args.weights_dir, max_memory=self._max_memory)
            if self._styles:
                stylizer.set_styles(self._styles, self._args.style_weights)
            self._stylizers[precision, number] = self._stylizers[stylizer.precision, number] = stylizer
        return self._stylizers[precision, number]

    def _topic_stylizers(self, topics: Sequence[str], precision: str) -> Dict[str, "BagTopicStylizer"]:
        """What paints the frames of a bag, by topic."""
        found = {}
        for number, topic in enumerate(topics):
            # With smoothing each camera needs its own, which keeps that camera's previous frames.
            stylizer = self._stylizer(precision, number if self._controls.smoothing else 0)
            stylizer.reset()
            found[topic] = BagTopicStylizer(
                topic, stylizer, self._controls, self._mask, self._args.max_side, self._notify
            )
        return found

    def __call__(self, unit: Any) -> Any:
        """Do a `BagJob`, or another unit of `workers.run`; returns the number of frames, or `workers.Divided`."""
        if isinstance(unit, workers.Part):
            return self._stylize_part(unit)
        if isinstance(unit, workers.Join):
            return self._join(unit)
        return (self._in_worker and self._divide(unit)) or self._stylize(unit)

    def _stylize(self, job: BagJob, parts: Optional["PartFrames"] = None) -> int:
        """Write the output, its frames from the ``parts`` if they are given; returns the number of frames."""
        status = os.stat(job.input) if os.path.exists(job.input) else None
        with _open(job.input) as source:
            names = _painted_names(self._args, job.input, source)
            if video.has_extension(job.output):
                topics = self._topic_stylizers(list(names), self._precision)
                for topic in names:
                    _write_video(job, source, topic, topics[topic], self._notify, self._in_worker)
                return source.get_message_count(list(names))
            settings = dict(
                self._options, topic=names, input=[os.path.realpath(job.input), status.st_size, status.st_mtime_ns]
            )
            with RunRecord(job.output + PARTIAL, settings, self._args.overwrite) as record:
                precision = record.chosen.get("precision", self._precision)
                if parts is None:
                    precision = self._stylizer(precision, 0).precision
                # auto chooses once, also for the runs that continue this one.
                record.choose(precision=precision)
                painters = dict.fromkeys(names, parts) if parts else self._topic_stylizers(list(names), precision)
                repaint = parts is not None or self._controls.smoothing > 0
                _write(self._args, job, source, names, painters, repaint, self._notify, self._in_worker)
            return source.get_message_count(list(names))

    def _divide(self, job: BagJob) -> Optional[workers.Divided]:
        """The parts of a bag; None if it is short, begun in one piece, or becomes a video."""
        if video.has_extension(job.output):
            return None
        if os.path.exists(job.output + PARTIAL) and not os.path.exists(job.output + workers.PARTS):
            return None
        with _open(job.input) as source:
            times = _frame_times(source, list(_painted_names(self._args, job.input, source)))
        limits = _limits(times, workers.segment_seconds(self._args))
        if len(limits) < 2:
            return None
        inputs = [job.input, *self._paths, *filter(None, [self._args.mask])]
        parts, join = workers.remaining_parts(self._args, self._options, job, limits, inputs, ".bag")
        return workers.Divided(parts, join, sum(_frames_between(times, part.first, part.stop) for part in parts))

    def _stylize_part(self, part: workers.Part) -> int:
        """Write a bag of the part's stylized frames; the time of each is its number in the part, in seconds from 1."""
        with _open(part.whole.input) as source:
            names = _painted_names(self._args, part.whole.input, source)
            stylizers = self._topic_stylizers(list(names), self._precision)
            start = part.first
            lead = workers.lead(self._controls.smoothing)
            for topic in names if lead else ():
                times = _frame_times(source, [topic])
                before = bisect.bisect_left(times, part.first)
                start = min([start, *times[max(0, before - lead) : before]])
            stop = None if part.stop is None else _time(part.stop - 1)  # rosbag's end belongs to the range
            os.makedirs(os.path.dirname(part.path), exist_ok=True)
            number = 0
            with rosbag.Bag(part.path + PARTIAL, "w") as output:
                for topic, raw, stamp in _frames(source, part.whole.input, list(names), _time(start), stop):
                    painted = stylizers[topic].paint(raw)
                    if stamp.to_nsec() < part.first:  # only for the smoothing of those that follow
                        continue
                    number += 1
                    if painted is not None:
                        output.write(names[topic], painted, genpy.Time(number), raw=True)
        os.rename(part.path + PARTIAL, part.path)
        return number

    def _join(self, join: workers.Join) -> int:
        """Write a bag from its parts and remove them; returns 0, since its frames have been counted."""
        with _open(join.whole.input) as source:
            times = _frame_times(source, list(_painted_names(self._args, join.whole.input, source)))
        limits = [*_limits(times, workers.segment_seconds(self._args)), None]
        counts = [_frames_between(times, *pair) for pair in zip(limits, limits[1:])]
        self._stylize(join.whole, PartFrames(list(zip(join.paths, counts))))
        shutil.rmtree(os.path.dirname(join.paths[0]))
        return 0


class PartFrames:
    """The stylized frames of a bag, in order, from its parts.

    Args:
        parts: (path, number of the frames in the original) of each.
    """

    def __init__(self, parts: Sequence[Tuple[str, int]]) -> None:
        self._frames = (frame for path, count in parts for frame in self._read(path, count))

    def _read(self, path: str, count: int) -> Iterator[Optional[RawMessage]]:
        given = 0
        with _open(path) as part:
            for _, raw, stamp in part.read_messages(raw=True):
                yield from [None] * (stamp.secs - 1 - given)  # frames that could not be painted
                yield raw
                given = stamp.secs
        yield from [None] * (count - given)

    def paint(self, raw: RawMessage) -> Optional[RawMessage]:
        """The next frame, as `BagTopicStylizer.paint` returned it."""
        return next(self._frames)


def _time(nanoseconds: int) -> genpy.Time:
    return genpy.Time(*divmod(nanoseconds, 10**9))


def _frame_times(source: rosbag.Bag, topics: List[str]) -> List[int]:
    """When the frames of the topics were received, in nanoseconds, ascending.  From the index: nothing is read."""
    return [entry.time.to_nsec() for entry in source._get_entries(source._get_connections(topics))]


def _limits(times: Sequence[int], seconds: float) -> List[int]:
    """Where segments of that length begin, each with the time of a frame."""
    limits: List[int] = []
    for time in times:
        if not limits or time >= limits[-1] + seconds * 1e9:
            limits.append(time)
    return limits


def _frames_between(times: Sequence[int], first: int, stop: Optional[int]) -> int:
    """The number of ``times`` from ``first`` on and before ``stop``; None: to the end."""
    return (len(times) if stop is None else bisect.bisect_left(times, stop)) - bisect.bisect_left(times, first)


def _styles(args: argparse.Namespace, controls: Controls) -> List[str]:
    """The paths of the styles, which default to the node's."""
    names = args.style or ([] if controls.method == "whiten" else DEFAULTS.style)
    if args.seed is not None and (args.seed < 0 or "random" not in names):
        raise OptionError("--seed needs --style random and must be at least 0, not %d" % args.seed)
    return common.find_styles(names, args.seed or 0)  # the same each time, so that a run can be continued


def _open(path: str) -> rosbag.Bag:
    """The bag at ``path``, for reading.

    Raises:
        BagError: it does not exist, or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            is_encrypted = b"encryptor=" in file.read(4096)
        if not is_encrypted:
            bag = rosbag.Bag(path)
            _replace_unresolvable_types(bag)
            return bag
    except OSError as error:
        raise BagError("cannot read the bag %s: %s" % (path, error.strerror)) from None
    except rosbag.ROSBagUnindexedException:
        raise BagError(
            "the bag %s has no index, as after an interrupted recording; create it with `rosbag reindex %s`"
            % (path, path)
        ) from None
    except (rosbag.ROSBagException, ValueError) as error:  # ValueError: its first line is not text
        raise BagError("%s is not a bag: %s" % (path, error)) from None
    raise BagError(
        "the bag %s is encrypted, but the painted bag would not be; use `rosbag decrypt %s` first" % (path, path)
    )


def _replace_unresolvable_types(bag: rosbag.Bag) -> None:
    """Let rosbag read messages whose definition in the bag is broken: copies are raw and need none."""
    for connection in bag._connections.values():
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # rosbag prints a warning
                rosbag.bag._get_message_type(connection)
        except Exception:  # genmsg raises many kinds
            rosbag.bag._message_types[connection.md5sum] = type(
                "Unresolved",
                (genpy.Message,),
                {"_type": connection.datatype, "_md5sum": connection.md5sum, "_full_text": connection.msg_def},
            )


def _painted_names(args: argparse.Namespace, path: str, source: rosbag.Bag) -> Dict[str, str]:
    """``{topic: name of the painted topic}`` of all ``--topic``.

    Raises:
        OptionError: a topic is not in the bag or not an image, or the name of a painted topic is in use.
    """
    types = {topic: about.msg_type for topic, about in source.get_type_and_topic_info().topics.items()}
    listed = ", ".join("%s (%s)" % item for item in types.items() if item[1] in IMAGE_TYPES) or "none"
    names = {}
    for topic in args.topic:
        if topic not in types:
            raise OptionError("there is no topic %s in %s; its image topics: %s" % (topic, path, listed))
        if types[topic] not in IMAGE_TYPES:
            raise OptionError(
                "the topic %s in %s is of type %s; its image topics: %s" % (topic, path, types[topic], listed)
            )
        names[topic] = topic if args.replace else args.prefix.rstrip("/") + "/" + topic.lstrip("/")
        if names[topic] in types and not args.replace:
            raise OptionError(
                "the topic %s is in %s already; choose another --prefix than %s" % (names[topic], path, args.prefix)
            )
    return names


class BagTopicStylizer:
    """Paints the frames of one topic.

    Args:
        topic: its name.
        stylizer: `stylizer.Stylizer`.
        controls: `controls.Controls`.
        mask: labels, or None.
        max_side: frames are scaled down to this longer side; 0 keeps their size.
        notify: called with a sentence about frames that cannot be painted.
    """

    def __init__(
        self,
        topic: str,
        stylizer: Any,
        controls: Controls,
        mask: Optional[np.ndarray],
        max_side: int,
        notify: Callable[[str], Any],
    ) -> None:
        self._topic = topic
        self._stylizer = stylizer
        self._controls = controls
        self._mask = mask
        self._max_side, self._notify = max_side, notify
        self._reported: Set[str] = set()  # reasons

    def paint(self, raw: RawMessage) -> Optional[RawMessage]:
        """The painted frame of a message; None if it cannot be painted, which is reported once per reason."""
        with self._reporting("copied"):
            original = IMAGE_TYPES[raw[0]]().deserialize(raw[1])
            painted = self._paint(original)
            if isinstance(original, CompressedImage):
                file_format = "png" if original.data[:4] == b"\x89PNG" else "jpeg"
                message = conversions.to_compressed(painted, original.header, file_format)
            else:
                message = conversions.to_message(painted, original.header)
            buffer = io.BytesIO()
            message.serialize(buffer)
            return message._type, buffer.getvalue(), message._md5sum, type(message)
        return None

    def paint_rgb(self, raw: RawMessage) -> Optional[np.ndarray]:
        """The same as RGB uint8 ``[h,w,3]``."""
        with self._reporting("left out"):
            return self._paint(IMAGE_TYPES[raw[0]]().deserialize(raw[1]))
        return None

    @contextlib.contextmanager
    def _reporting(self, consequence: str) -> Iterator[None]:
        """Report an error instead of raising it: one frame must not end the run."""
        try:
            yield
        except Exception as error:
            reason = re.sub(r"\d+", "", str(error))
            if reason not in self._reported:
                self._reported.add(reason)
                self._notify("a frame of %s cannot be painted and is %s: %s" % (self._topic, consequence, error))

    def _paint(self, message: Any) -> np.ndarray:
        if conversions.is_empty(message):
            raise ImageError("it has no pixels, as image_publisher sends one whenever its clip rewinds")
        rgb = images.limit_longest_side(conversions.to_rgb(message), self._max_side)
        return self._stylizer.stylize(rgb, self._controls, self._mask)


def _check_video_output(args: argparse.Namespace) -> None:
    """Raise unless the options fit a video as the output."""
    video.check_extension(args.output)
    if len(args.topic) > 1:
        raise OptionError("a video shows one --topic, not %d; write a bag, or one video for each" % len(args.topic))
    for option, given in (("--replace", args.replace), ("--prefix", args.prefix != PREFIX)):
        if given:
            raise OptionError("%s is for bags, but %s is a video" % (option, args.output))


def _write_video(
    job: BagJob, source: rosbag.Bag, topic: str, frames: BagTopicStylizer, notify: Callable[[str], Any], in_worker: bool
) -> None:
    """Write the painted frames of a topic as a video at the topic's rate, each for as long as it was the newest."""
    about = source.get_type_and_topic_info().topics[topic]
    fps = video.writable_fps(min(video.MAX_FPS, about.frequency or video.DEFAULT_FPS))
    start, written, last = None, 0, None
    try:
        with video.Writer(job.output, fps) as writer, tqdm(
            total=about.message_count, unit="frame", disable=in_worker
        ) as bar:
            for _, raw, stamp, _ in _messages(source, job.input, [topic]):
                start = start or stamp
                due = round((stamp - start).to_sec() * fps)  # frames before this one
                while last is not None and written < due:
                    writer.write(last)
                    written += 1
                painted = frames.paint_rgb(raw)
                last = last if painted is None else painted
                bar.update()
            if last is not None:
                writer.write(last)
                written += 1
    except KeyboardInterrupt:
        notify("stopped; %s contains the first %d frames" % (job.output, written))
        raise
    if not written:
        raise BagError("no frame of %s could be painted" % topic)
    notify("%s: %d frames at %.4g frames per second" % (job.output, written, fps))


def _write(
    args: argparse.Namespace,
    job: BagJob,
    source: rosbag.Bag,
    names: Mapping[str, str],
    topics: Mapping[str, Any],
    repaint: bool,
    notify: Callable[[str], Any],
    in_worker: bool,
) -> None:
    """Write the output, or the rest of it.

    Args:
        names: the painted topics' names by topic.
        topics: the `BagTopicStylizer` of each topic, or the `PartFrames` of all.
        repaint: paint the frames that are written already once more, since later ones depend on them.
        notify: called with sentences for the user.
        in_worker: show no progress.
    """
    partial = job.output + PARTIAL
    output = Output(partial, source.get_compression_info().compression)
    # Each original has at most one painted frame.
    done = output.get_message_count() - (0 if args.replace else output.get_message_count(list(names.values())))
    if done and not in_worker:
        notify(
            "continuing after the %d messages that are in %s%s"
            % (done, partial, "; smoothing needs their frames painted again" if repaint else "")
        )
    outcomes: Dict[str, int] = collections.Counter()
    worker = concurrent.futures.ThreadPoolExecutor(1)  # TensorFlow reacts to a signal only after its picture
    total = source.get_message_count(list(names))
    try:
        with tqdm(total=total, unit="frame", desc=os.path.basename(job.output), disable=in_worker) as bar:
            for number, (topic, raw, stamp, header) in enumerate(_messages(source, job.input), 1):
                painted = None
                if topic in topics and (number > done or repaint):
                    painted = worker.submit(topics[topic].paint, raw).result()
                if number > done:
                    outcomes["copied" if topic not in topics else "failed" if painted is None else "painted"] += 1
                    if painted is None or not args.replace:
                        output.add(topic, raw, stamp, header)
                    if painted is not None:
                        name = names[topic]
                        output.add(name, painted, stamp, dict(header, topic=name.encode()))
                    output.end_message()
                bar.update(topic in topics)
        output.close()
        if not args.overwrite:
            _refuse_existing(job.output)
        os.replace(partial, job.output)
    except KeyboardInterrupt:
        common.print_message("stopped; the same command continues with %s" % partial)
        sys.stderr.flush()
        os._exit(130)  # or Python would wait for the picture, and close a chunk in the middle of a message
    except OSError as error:
        raise BagError(
            "cannot write %s: %s; the same command continues once that is solved" % (partial, error.strerror or error)
        ) from None
    notify(
        "%s: %d frames painted, %d that could not be painted and %d other messages copied"
        % (job.output, outcomes["painted"], outcomes["failed"], outcomes["copied"])
    )


def _frames(
    source: rosbag.Bag, path: str, topics: List[str], start: genpy.Time, stop: Optional[genpy.Time]
) -> Iterator[Tuple[str, RawMessage, Any]]:
    """The messages of the topics from ``start`` to ``stop``: ``(topic, raw message, time)`` each."""
    try:
        yield from source.read_messages(topics, start, stop, raw=True)
    except Exception as error:
        raise _damaged(path, error) from None


def _messages(
    source: rosbag.Bag, path: str, topics: Optional[List[str]] = None
) -> Iterator[Tuple[str, RawMessage, Any, Dict[str, bytes]]]:
    """All messages, or those of ``topics``, by their times: ``(topic, raw message, time, connection header)`` each."""
    try:
        yield from source.read_messages(topics, raw=True, return_connection_header=True)
    except Exception as error:  # anything that a damaged chunk makes rosbag and its decompressors raise
        raise _damaged(path, error) from None


def _damaged(path: str, error: Exception) -> BagError:
    return BagError("the bag %s is damaged: %s" % (path, error))


def _refuse_existing(path: str) -> None:
    if os.path.exists(path):
        raise OptionError("%s exists already; --overwrite replaces it" % path)


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes() + repr(array.shape).encode()).hexdigest()


class RunRecord:
    """The settings with which a partial bag was started, in a file next to it: a context that removes the file once
    the bag is finished.

    Args:
        partial: path of the bag.
        settings: anything that JSON can hold.
        overwrite: start over if the partial bag was started with other settings.

    Attributes:
        chosen: ``{name: value}`` that the first run chose by itself, see `choose`.

    Raises:
        BagError: the partial bag was started with other settings, or another process is writing it.
    """

    def __init__(self, partial: str, settings: Mapping[str, Any], overwrite: bool = False) -> None:
        self._partial, self._path = partial, partial + ".json"
        self.chosen: Dict[str, Any] = {}
        self._settings = settings = json.loads(json.dumps(settings))  # as it will be read
        try:
            os.makedirs(os.path.dirname(os.path.abspath(partial)), exist_ok=True)
            self._file = open(self._path, "a+")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(partial) and not (overwrite and self._differs()):
                self._check(settings)
            else:
                if os.path.exists(partial):
                    os.remove(partial)
                self._write(settings)
        except BlockingIOError:
            raise BagError("%s is being written by another process" % partial) from None
        except OSError as error:
            raise BagError("cannot write %s: %s" % (self._path, error.strerror)) from None

    def choose(self, **values: Any) -> None:
        """Remember these values for the runs that continue this one."""
        if values != self.chosen:
            self.chosen = values
            self._write(dict(self._settings, chosen=values))

    def _write(self, content: Mapping[str, Any]) -> None:
        self._file.truncate(0)
        json.dump(content, self._file)
        self._file.flush()

    def _differs(self) -> bool:
        try:
            self._check(self._settings)
            return False
        except BagError:
            return True

    def _check(self, settings: Mapping[str, Any]) -> None:
        self._file.seek(0)
        try:
            before = json.load(self._file)
            different = [name for name in settings if before[name] != settings[name]]
            self.chosen = before.get("chosen", {})
        except (ValueError, TypeError, KeyError):
            raise BagError(
                "%s does not tell how %s was started; remove both to start over" % (self._path, self._partial)
            ) from None
        if different:
            raise BagError(
                "%s was started with another %s; use the same to continue, or remove it to start over"
                % (self._partial, ", ".join(different))
            )

    def __enter__(self) -> "RunRecord":
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None or not os.path.exists(self._partial):
            os.remove(self._path)
        self._file.close()


class Output(rosbag.Bag):
    """A bag to write to, from where it was left if it exists.

    Args:
        path: of the file.
        compression: of its chunks: ``none``, ``bz2`` or ``lz4``.
    """

    def __init__(self, path: str, compression: str) -> None:
        self._open_bytes = 0  # in the open chunk, approximately
        has_chunks = os.path.exists(path) and _drop_last_chunk(path)
        # Chunks are closed by `end_message` alone.
        super().__init__(
            path, "a" if has_chunks else "w", compression, chunk_threshold=2**62, allow_unindexed=has_chunks
        )
        if has_chunks:
            for _ in self.reindex():
                pass
        # rosbag attributes all messages of a topic to its first publisher; here each keeps its connection.
        self._by_header: Dict[Any, Dict[str, Any]] = {}
        for connection in self._connections.values():
            self._by_header.setdefault(_key(connection.header), {})[connection.topic] = connection

    def add(self, topic: str, raw: RawMessage, stamp: Any, header: Dict[str, bytes]) -> None:
        """Write a message.

        Args:
            topic: its name.
            raw: the message.
            stamp: when it was received, `genpy.Time`.
            header: of its connection.
        """
        self._topic_connections = self._by_header.setdefault(_key(header), {})
        self.write(topic, raw, stamp, raw=True, connection_header=header)
        self._open_bytes += len(raw[1])

    def end_message(self) -> None:
        """Everything that belongs to a message of the input is written; a chunk may end here."""
        if self._open_bytes > CHUNK_SIZE:
            self.flush()
            self._open_bytes = 0


def _key(header: Mapping[str, bytes]) -> Any:
    return tuple(sorted(header.items()))


def _drop_last_chunk(path: str) -> bool:
    """Truncate the bag at ``path``, whose writer was killed, before its last chunk: that or its index may be
    incomplete, and rosbag would read a part of it.  Returns whether any chunk is left."""
    chunks: List[int] = []  # where the last two begin
    with open(path, "r+b") as file:
        file.readline()  # the version
        while True:
            start = file.tell()
            header, length = file.read(_read_uint32(file)), _read_uint32(file)
            if b"\4\0\0\0op=\5" in header:
                chunks = chunks[-1:] + [start]
                if not length:
                    break  # the length is written last
            elif not header:
                break
            file.seek(length, os.SEEK_CUR)
        if len(chunks) > 1:
            file.truncate(chunks[-1])
    return len(chunks) > 1


def _read_uint32(file: io.BufferedIOBase) -> int:
    """The next four bytes; 0 at the end of the file."""
    return int.from_bytes(file.read(4), "little")
