"""The topics of one camera: its frames, masks and camera_info in, painted frames out.

Data flow::

    image[/compressed] --+------------------------------> Stream -> (the worker paints) -> ~image[/compressed]
    mask ----------------+ paired by their stamps                                          ~camera_info
    camera_info, next to the image ----------------------------------------- scaled -------+
"""

import threading
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

import message_filters
import numpy as np
import rosgraph
import rospy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ..ros_common import topic_hints
from ..streaming.session import StreamSession
from ..streaming.stream import StreamCallbacks, StreamClosed
from . import conversions

RECEIVE_BUFFER = 2**26  # bytes; with less than a frame rospy lags behind (ros_comm#536)
SYNC_QUEUE_SIZE = 10  # images and masks that wait for their counterparts
MASK_TIMEOUT = 1.0  # seconds without a matching mask after which frames are painted whole

_Message = Any  # sensor_msgs.msg.Image or CompressedImage
_Encoded = List[Tuple[rospy.Publisher, _Message]]


def subscribe(
    topic: str,
    callback: Optional[Callable[[_Message], None]],
    transport: str = topic_hints.RAW,
    subscriber: Callable[..., Any] = rospy.Subscriber,
) -> Any:
    """Subscribe to the images of ``topic`` as ``transport`` delivers them."""
    return subscriber(
        resolve(topic, transport),
        CompressedImage if transport == topic_hints.COMPRESSED else Image,
        callback,
        queue_size=1,
        buff_size=RECEIVE_BUFFER,
        tcp_nodelay=True,
    )


def resolve(topic: str, transport: str = topic_hints.RAW) -> str:
    """The full name of the topic on which images of ``topic`` arrive."""
    return topic_hints.with_transport(rospy.resolve_name(topic), transport)


def explain_silence(topic: str, transport: str, argument: Optional[str] = None) -> str:
    """Why no image of ``topic`` arrives, by what the master knows; "" if it does not answer."""
    name = rospy.get_name()
    try:
        master = rosgraph.Master(name)
        published, types = master.getSystemState()[0], dict(master.getTopicTypes())
    except (OSError, rosgraph.MasterException):
        return ""
    publishers: Dict[str, List[str]] = {other: [node for node in nodes if node != name] for other, nodes in published}
    return topic_hints.explain_silence(rospy.resolve_name(topic), transport, publishers, types, argument or topic)


class CameraStream:
    """A camera and its stream in a session.  The constructor touches no middleware; `advertise` connects.

    Args:
        name: empty for a node's only camera (``image`` to ``~image``), else ``NAME/image`` to ``~NAME/image``.
        parameters: `params.Parameters`.
        session: where the frames are painted.

    Attributes:
        name, topic: of the camera.
        stream: `Stream` of the session.
    """

    def __init__(self, name: str, parameters: Any, session: StreamSession) -> None:
        self.name = name
        self._parameters = parameters
        self._prefix = name + "/" if name else ""
        self.topic = self._prefix + "image"
        self._info: Optional[CameraInfo] = None
        self._subscribers: List[Any] = []
        self._synchronizer: Optional[message_filters.ApproximateTimeSynchronizer] = None
        self._lock = threading.Lock()
        self._masked = False
        self._last_pair = 0.0  # time of the last frame that came with its mask
        self._last_stamp = rospy.Time()
        self.stream = session.add_stream(
            name,
            StreamCallbacks(
                self._publish,
                conversions.decoder(parameters),
                conversions.mask_decoder(parameters),
                self._encode,
                self._explain_silence,
            ),
            resolve(self.topic, parameters.image_transport),
            rospy.resolve_name("~" + self._prefix + "image"),
        )

    def advertise(self, listener: rospy.SubscribeListener) -> None:
        """Publish from now on; ``listener`` is told which subscribers come and go."""
        output = "~" + self._prefix
        self._image = rospy.Publisher(output + "image", Image, listener, queue_size=1, tcp_nodelay=True)
        self._compressed = rospy.Publisher(
            self._image.resolved_name + "/compressed", CompressedImage, listener, queue_size=1, tcp_nodelay=True
        )
        self._camera_info = rospy.Publisher(output + "camera_info", CameraInfo, queue_size=1)

    def has_listeners(self) -> bool:
        """Whether anything subscribes to the painted frames."""
        return self._image.get_num_connections() + self._compressed.get_num_connections() > 0

    # --- input ----------------------------------------------------------------------------------

    def subscribe(self, masked: bool) -> None:
        """Take frames from now on; if ``masked``, with the masks of the topic ``mask`` next to ``image``."""
        with self._lock:
            if self.stream.is_open and masked != self._masked:
                self._unsubscribe()
            if self.stream.is_open:
                return
            self._masked = masked
            self._last_pair = time.monotonic()
            self.stream.open()
            self._subscribers = [
                rospy.Subscriber(
                    resolve(self.topic).rsplit("/", 1)[0] + "/camera_info", CameraInfo, self._on_info, queue_size=1
                )
            ]
            if masked:
                self._subscribe_to_pairs()
            else:
                self._subscribers.append(subscribe(self.topic, self._on_image, self._parameters.image_transport))

    def _subscribe_to_pairs(self) -> None:
        def filter_for(topic: str, kind: Any, _callback: Any, **rest: Any) -> message_filters.Subscriber:
            return message_filters.Subscriber(topic, kind, **rest)

        image = subscribe(self.topic, None, self._parameters.image_transport, filter_for)
        mask = subscribe(self._prefix + "mask", None, topic_hints.RAW, filter_for)
        image.registerCallback(self._on_image_without_mask)  # before the synchronizer registers its callback
        self._synchronizer = message_filters.ApproximateTimeSynchronizer(
            [image, mask], SYNC_QUEUE_SIZE, self._parameters.mask_tolerance
        )
        self._synchronizer.registerCallback(self._on_image)
        self._subscribers += [image.sub, mask.sub]

    def unsubscribe(self) -> None:
        """Take no more frames."""
        with self._lock:
            self._unsubscribe()

    def _unsubscribe(self) -> None:
        for subscriber in self._subscribers:
            subscriber.unregister()
        self._subscribers = []
        self._synchronizer = None
        self.stream.close()

    def _on_info(self, info: CameraInfo) -> None:
        self._info = info

    def _on_image(self, message: _Message, mask: Optional[Image] = None) -> None:
        if conversions.is_empty(message):
            return  # image_publisher sends one whenever its clip rewinds
        if mask is not None:
            self._last_pair = time.monotonic()
        self.stream.put(message, mask)

    def _on_image_without_mask(self, message: _Message) -> None:
        """Every image, before it is paired with its mask: if masks stop, the stream goes on."""
        if message.header.stamp < self._last_stamp:  # a clip has restarted: waiting messages will never be paired
            synchronizer = self._synchronizer
            if synchronizer is not None:
                with synchronizer.lock:
                    for waiting in synchronizer.queues:
                        waiting.clear()
        self._last_stamp = message.header.stamp
        if time.monotonic() - self._last_pair > MASK_TIMEOUT:
            self._on_image(message)

    def _explain_silence(self) -> str:
        return explain_silence(self.topic, self._parameters.image_transport)

    # --- output ---------------------------------------------------------------------------------

    def _encode(self, painted: np.ndarray, message: _Message) -> _Encoded:
        """The messages of a painted frame that something subscribes to, each with its publisher."""
        encoded = []
        if self._image.get_num_connections():
            encoded.append((self._image, conversions.to_message(painted, message.header)))
        if self._compressed.get_num_connections():
            p = self._parameters
            encoded.append(
                (
                    self._compressed,
                    conversions.to_compressed(painted, message.header, p.compressed_format, p.jpeg_quality),
                )
            )
        return encoded

    def _publish(self, encoded: _Encoded, message: _Message, scale: Tuple[float, float]) -> None:
        """Publish what `_encode` made, and the camera_info, if one has arrived, at the painted frame's size."""
        try:
            for publisher, part in encoded:
                publisher.publish(part)
            if self._info is not None and self._camera_info.get_num_connections():
                self._camera_info.publish(conversions.scale_info(self._info, message.header, *scale))
        except rospy.ROSException as error:
            raise StreamClosed from error
