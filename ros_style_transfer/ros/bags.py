"""Bags of ROS 1, by rosbag, for the program `ros_common.stylize_bag`.  Needs no roscore."""

import contextlib
import io
import os
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import genpy
import numpy as np
import rosbag
import rospy
from sensor_msgs.msg import CompressedImage, Image

from ..errors import BagError
from ..ros_common import stylize_bag
from ..ros_common.conversions import format_of
from ..ros_common.ros2_bags import is_ros2_bag, open_ros2_bag
from ..ros_common.stylize_bag import Message
from . import conversions

CHUNK_SIZE = 768 * 1024  # bytes, as `rosbag record` has it
_IMAGES = {kind._type: kind for kind in (Image, CompressedImage)}

RawMessage = Tuple[Any, ...]  # as rosbag has it: (type, bytes, md5sum, ..., class)


def main() -> None:
    """Run the command line of the program."""
    stylize_bag.main(rospy.myargv()[1:], open_bag)


def open_bag(path: str) -> stylize_bag.Source:
    """The bag at ``path``, of either ROS, for reading.

    Raises:
        BagError: it does not exist, or cannot be read.
    """
    return open_ros2_bag(path) if is_ros2_bag(path) else Source(path)


class Source(stylize_bag.Source):
    """A bag of ROS 1; see the base class.

    Raises:
        BagError: it does not exist, or cannot be read.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._bag = _open(path)
        self._about = self._bag.get_type_and_topic_info().topics
        self.types = {topic: about.msg_type for topic, about in self._about.items()}
        self.files = [path]

    def count(self, topics: Optional[Sequence[str]] = None) -> int:
        return self._bag.get_message_count(topics)

    def rate(self, topic: str) -> Optional[float]:
        return self._about[topic].frequency

    def messages(
        self, topics: Optional[Sequence[str]] = None, start: Optional[int] = None, stop: Optional[int] = None
    ) -> Iterator[Message]:
        last = None if stop is None else _time(stop - 1)  # rosbag's end belongs to the range
        try:
            for topic, raw, stamp, header in self._bag.read_messages(
                topics, None if start is None else _time(start), last, raw=True, return_connection_header=True
            ):
                yield Message(topic, raw, stamp.to_nsec(), header)
        except Exception as error:  # anything that a damaged chunk makes rosbag and its decompressors raise
            raise BagError("the bag %s is damaged: %s" % (self._path, error)) from None

    def times(self, topics: Sequence[str]) -> List[int]:
        # From the index: nothing is read.
        return [entry.time.to_nsec() for entry in self._bag._get_entries(self._bag._get_connections(topics))]

    def read_image(self, message: Message) -> Any:
        return _IMAGES[message.raw[0]]().deserialize(message.raw[1])

    def raw_image(self, rgb: np.ndarray, original: Any) -> RawMessage:
        if isinstance(original, CompressedImage):
            message = conversions.to_compressed(rgb, original.header, format_of(original))
        else:
            message = conversions.to_message(rgb, original.header)
        buffer = io.BytesIO()
        message.serialize(buffer)
        return message._type, buffer.getvalue(), message._md5sum, type(message)

    def output(self, partial: str) -> "Output":
        return Output(partial, self._bag.get_compression_info().compression)

    def __exit__(self, *_: Any) -> None:
        self._bag.close()


def _time(nanoseconds: int) -> genpy.Time:
    return genpy.Time(*divmod(nanoseconds, 10**9))


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


class Output(stylize_bag.Output, rosbag.Bag):
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

    def count(self, topics: Optional[Sequence[str]] = None) -> int:
        return self.get_message_count(topics)

    def add(self, message: Message) -> None:
        topic, raw, stamp, header = message
        header = dict(header, topic=topic.encode())
        self._topic_connections = self._by_header.setdefault(_key(header), {})
        self.write(topic, raw, _time(stamp), raw=True, connection_header=header)
        self._open_bytes += len(raw[1])

    def finish(self, path: str) -> None:
        self.close()
        os.replace(self.filename, path)

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
