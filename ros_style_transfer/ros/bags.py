"""``rosrun ros_style_transfer stylize_bag``: a bag with its image topics painted, or a video of one of them.  Needs no
roscore.

Data flow::

    IN.bag --messages--> unchanged ----------------------------------------> Output (OUT.bag.partial) --> OUT.bag
                 \\--> frames: BagTopicStylizer, in a thread of its own --/

Memory holds one message at a time, and rosbag's index.  An interrupted run can be continued: each chunk of the
partial bag holds whole messages of IN.bag together with their painted frames, so their number tells where to continue.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import fcntl
import hashlib
import io
import itertools
import json
import os
import re
import sys
from typing import Any, Dict, Iterator, List, Mapping, Optional, Set, Tuple

import genpy
import numpy as np
import rosbag
import rospy
from sensor_msgs.msg import CompressedImage, Image
from tqdm import tqdm

from ..cli import common
from ..controls import CONTROLS, Controls, check, check_model, check_range, controls_from
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
        usage="%(prog)s IN.bag -o OUT.bag --topic T [--topic T ...] [--style S ...] [option ...]",
        description="Paint image topics of a bag like the node, by default in the style %s. Stamps are kept, and "
        "everything else is copied unchanged. After a kill or Ctrl-C the same command continues."
        % ", ".join(DEFAULTS.style),
    )
    command.add_argument("input", metavar="IN.bag")
    command.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT.bag",
        help="the bag to write, or with one --topic a video (%s); never overwritten" % ", ".join(video.CODECS),
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
    common.add_model_options(command)
    common.add_painting_options(command)
    common.add_verbose(command)
    return command


def main() -> None:
    """Run the command line; errors are one sentence on stderr and exit code 1."""
    arguments = rospy.myargv()[1:]
    common.report_errors(lambda: stylize_bag(parser().parse_args(arguments)), verbose="--verbose" in arguments)


def stylize_bag(args: argparse.Namespace) -> None:
    """Paint what the command line names."""
    check_model(args.model, args.precision)
    controls = controls_from({name: getattr(args, name, None) for name in CONTROLS})
    check(controls, args.model)
    check_range("--max-memory", args.max_memory, 0, 1e7)
    paths = _styles(args, controls)
    common.check_painting_options(args, len(paths), controls)
    prefixed("--max-side", check_max_side, args.max_side)
    _refuse_existing(args.output)
    common.check_writable(args.output)
    source = _open(args.input)
    names = _painted_names(args, source)
    as_video = video.has_extension(args.output)
    if as_video:
        _check_video_output(args)
    styles, mask = [images.read(path) for path in paths], common.read_mask(args.mask, len(paths))
    _, entry = weights.load(args.model, args.weights_dir)
    status = os.stat(args.input)
    for note in common.style_advisories(args, paths, mask):
        common.print_message(note)
    if as_video:
        _write_video(args, source, styles, mask, controls)
        return
    with RunRecord(
        args.output + PARTIAL,
        dict(
            controls.resolved(args.model)._asdict(),
            style=[_digest(rgb) for rgb in styles],
            weights=args.style_weights,
            mask=None if mask is None else _digest(mask),
            model=args.model,
            weights_dir=entry["sha256"],
            precision=args.precision,
            max_side=args.max_side,
            topic=names,
            input=[os.path.realpath(args.input), status.st_size, status.st_mtime_ns],
        ),
    ) as record:
        # Importing TensorFlow takes seconds: everything that can be wrong is reported before.
        from ..stylizer import Stylizer

        # With smoothing each camera needs its own, which keeps that camera's previous frames.
        stylizers, precision = [], record.chosen.get("precision", args.precision)
        for _ in names if controls.smoothing else "1":
            stylizers.append(Stylizer(args.model, precision, args.weights_dir, max_memory=args.max_memory))
            precision = stylizers[0].precision  # auto chooses once, also for the runs that continue this one
        record.choose(precision=precision)
        for stylizer in stylizers if styles else ():
            stylizer.set_styles(styles, args.style_weights)
        topics = {
            topic: BagTopicStylizer(topic, stylizer, controls, mask, args.max_side)
            for topic, stylizer in zip(names, itertools.cycle(stylizers))
        }
        _write(args, source, names, topics, repaint=controls.smoothing > 0)


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


def _painted_names(args: argparse.Namespace, source: rosbag.Bag) -> Dict[str, str]:
    """``{topic: name of the painted topic}`` of all ``--topic``.

    Raises:
        OptionError: a topic is not in the bag or not an image, or the name of a painted topic is in use.
    """
    types = {topic: about.msg_type for topic, about in source.get_type_and_topic_info().topics.items()}
    listed = ", ".join("%s (%s)" % item for item in types.items() if item[1] in IMAGE_TYPES) or "none"
    names = {}
    for topic in args.topic:
        if topic not in types:
            raise OptionError("there is no topic %s in %s; its image topics: %s" % (topic, args.input, listed))
        if types[topic] not in IMAGE_TYPES:
            raise OptionError(
                "the topic %s in %s is of type %s; its image topics: %s" % (topic, args.input, types[topic], listed)
            )
        names[topic] = topic if args.replace else args.prefix.rstrip("/") + "/" + topic.lstrip("/")
        if names[topic] in types and not args.replace:
            raise OptionError(
                "the topic %s is in %s already; choose another --prefix than %s"
                % (names[topic], args.input, args.prefix)
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
    """

    def __init__(
        self, topic: str, stylizer: Any, controls: Controls, mask: Optional[np.ndarray], max_side: int
    ) -> None:
        self._topic = topic
        self._stylizer = stylizer
        self._controls = controls
        self._mask = mask
        self._max_side = max_side
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
                common.print_message(
                    "a frame of %s cannot be painted and is %s: %s" % (self._topic, consequence, error)
                )

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
    args: argparse.Namespace,
    source: rosbag.Bag,
    styles: List[np.ndarray],
    mask: Optional[np.ndarray],
    controls: Controls,
) -> None:
    """Write the painted frames of a topic as a video at the topic's rate, each for as long as it was the newest."""
    from ..stylizer import Stylizer

    (topic,) = args.topic
    stylizer = Stylizer(args.model, args.precision, args.weights_dir, max_memory=args.max_memory)
    if styles:
        stylizer.set_styles(styles, args.style_weights)
    frames = BagTopicStylizer(topic, stylizer, controls, mask, args.max_side)
    about = source.get_type_and_topic_info().topics[topic]
    fps = video.writable_fps(min(video.MAX_FPS, about.frequency or video.DEFAULT_FPS))
    start, written, last = None, 0, None
    try:
        with video.Writer(args.output, fps) as writer, tqdm(total=about.message_count, unit="frame") as bar:
            for _, raw, stamp, _ in _messages(source, args.input, [topic]):
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
        common.print_message("stopped; %s contains the first %d frames" % (args.output, written))
        raise
    if not written:
        raise BagError("no frame of %s could be painted" % topic)
    common.print_message("%s: %d frames at %.4g frames per second" % (args.output, written, fps))


def _write(
    args: argparse.Namespace,
    source: rosbag.Bag,
    names: Mapping[str, str],
    topics: Mapping[str, BagTopicStylizer],
    repaint: bool,
) -> None:
    """Write the output, or the rest of it.

    Args:
        names: the painted topics' names by topic.
        topics: the `BagTopicStylizer` of each topic.
        repaint: paint the frames that are written already once more, since later ones depend on them.
    """
    partial = args.output + PARTIAL
    output = Output(partial, source.get_compression_info().compression)
    # Each original has at most one painted frame.
    done = output.get_message_count() - (0 if args.replace else output.get_message_count(list(names.values())))
    if done:
        common.print_message(
            "continuing after the %d messages that are in %s%s"
            % (done, partial, "; smoothing needs their frames painted again" if repaint else "")
        )
    outcomes: Dict[str, int] = collections.Counter()
    worker = concurrent.futures.ThreadPoolExecutor(1)  # TensorFlow reacts to a signal only after its picture
    try:
        with tqdm(total=source.get_message_count(list(names)), unit="frame", desc=os.path.basename(args.output)) as bar:
            for number, (topic, raw, stamp, header) in enumerate(_messages(source, args.input), 1):
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
        _refuse_existing(args.output)
        os.rename(partial, args.output)
    except KeyboardInterrupt:
        common.print_message("stopped; the same command continues with %s" % partial)
        sys.stderr.flush()
        os._exit(130)  # or Python would wait for the picture, and close a chunk in the middle of a message
    except OSError as error:
        raise BagError(
            "cannot write %s: %s; the same command continues once that is solved" % (partial, error.strerror or error)
        ) from None
    common.print_message(
        "%s: %d frames painted, %d that could not be painted and %d other messages copied"
        % (args.output, outcomes["painted"], outcomes["failed"], outcomes["copied"])
    )


def _messages(
    source: rosbag.Bag, path: str, topics: Optional[List[str]] = None
) -> Iterator[Tuple[str, RawMessage, Any, Dict[str, bytes]]]:
    """All messages, or those of ``topics``, by their times: ``(topic, raw message, time, connection header)`` each."""
    try:
        yield from source.read_messages(topics, raw=True, return_connection_header=True)
    except Exception as error:  # anything that a damaged chunk makes rosbag and its decompressors raise
        raise BagError("the bag %s is damaged: %s" % (path, error)) from None


def _refuse_existing(path: str) -> None:
    if os.path.exists(path):
        raise OptionError("%s exists already; choose another -o or remove it" % path)


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes() + repr(array.shape).encode()).hexdigest()


class RunRecord:
    """The settings with which a partial bag was started, in a file next to it: a context that removes the file once
    the bag is finished.

    Args:
        partial: path of the bag.
        settings: anything that JSON can hold.

    Attributes:
        chosen: ``{name: value}`` that the first run chose by itself, see `choose`.

    Raises:
        BagError: the partial bag was started with other settings, or another process is writing it.
    """

    def __init__(self, partial: str, settings: Mapping[str, Any]) -> None:
        self._partial, self._path = partial, partial + ".json"
        self.chosen: Dict[str, Any] = {}
        self._settings = settings = json.loads(json.dumps(settings))  # as it will be read
        try:
            os.makedirs(os.path.dirname(os.path.abspath(partial)), exist_ok=True)
            self._file = open(self._path, "a+")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(partial):
                self._check(settings)
            else:
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
