"""A camera of the node: what comes in, what goes out, and what is known of the stream between.

Data flow::

    image[/compressed] --+-----------------------------> slot -> (the worker paints) -> ~image[/compressed]
    mask ----------------+ paired by their stamps                                       ~camera_info
    camera_info, beside the image ---------------------------------------- scaled ------+
"""
import threading
import time

import message_filters
import rospy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ..streaming.frame_slots import Frame
from ..streaming.stream_stats import Meter
from . import conversions

TRANSPORTS = ("raw", "compressed")
BUFFER = 2**26  # bytes for a subscriber; a smaller one than a frame makes rospy lag behind (ros_comm#536)
WAITING = 10  # images and masks that wait for their counterparts
MASK_PATIENCE = 1.0  # seconds without a mask after which frames are painted whole


def subscribe(topic, callback, transport="raw", subscriber=rospy.Subscriber):
    """Subscribe to the images of ``topic``, where they are `resolved` to come."""
    return subscriber(resolved(topic, transport), CompressedImage if transport == "compressed" else Image, callback,
                      queue_size=1, buff_size=BUFFER, tcp_nodelay=True)


def resolved(topic, transport="raw"):
    """The full name of the topic that images of ``topic`` come on: compressed ones below its own."""
    return rospy.resolve_name(topic) + ("/compressed" if transport == "compressed" else "")


class Camera:
    """The topics of one camera.  The constructor touches no middleware; `advertise` connects.

    Args:
        name: none for a node's only camera (``image`` to ``~image``), else ``NAME/image`` to ``~NAME/image``.
        parameters: `params.Parameters`.
        slots: `frame_slots.LatestSlots`, for `Frame` objects with this camera as their source.
    """

    def __init__(self, name, parameters, slots):
        self.name, self._parameters, self._slots = name, parameters, slots
        self._prefix = name + "/" if name else ""
        self.topic = self._prefix + "image"
        self.meter = Meter()
        self.newest = None  # (content, painted), for ~save
        self._info = None
        self._subscribers = []
        self._synchronizer = None
        self._changing = threading.Lock()
        self._masked = False
        self._paired = 0.0  # when a frame came with its mask
        self._stamp = rospy.Time()

    def advertise(self, listener):
        """Publish from now on; ``listener`` (`rospy.SubscribeListener`) is told of who comes and goes."""
        out = "~" + self._prefix
        self._image = rospy.Publisher(out + "image", Image, listener, queue_size=1, tcp_nodelay=True)
        self._compressed = rospy.Publisher(
            self._image.resolved_name + "/compressed", CompressedImage, listener, queue_size=1, tcp_nodelay=True)
        self._camera_info = rospy.Publisher(out + "camera_info", CameraInfo, queue_size=1)

    def has_listeners(self):
        return self._image.get_num_connections() + self._compressed.get_num_connections() > 0

    # --- what comes in ----------------------------------------------------------------------

    @property
    def subscribed(self):
        return bool(self._subscribers)

    def subscribe(self, masked):
        """Take frames from now on, ``masked`` with the masks of the topic ``mask`` beside ``image``."""
        with self._changing:
            if self._subscribers and masked != self._masked:
                self._end()
            if self._subscribers:
                return
            self._masked, self._paired = masked, time.monotonic()
            transport = self._parameters.image_transport
            self._subscribers = [rospy.Subscriber(
                resolved(self.topic).rsplit("/", 1)[0] + "/camera_info", CameraInfo, self._on_info, queue_size=1)]
            if not masked:
                self._subscribers.append(subscribe(self.topic, self._on_image, transport))
                return
            make = lambda topic, kind, _callback, **rest: message_filters.Subscriber(topic, kind, **rest)
            image = subscribe(self.topic, None, transport, make)
            mask = subscribe(self._prefix + "mask", None, "raw", make)
            image.registerCallback(self._on_image_apart)  # before the synchronizer's own
            self._synchronizer = message_filters.ApproximateTimeSynchronizer(
                [image, mask], WAITING, self._parameters.mask_tolerance)
            self._synchronizer.registerCallback(self._on_image)
            self._subscribers += [image.sub, mask.sub]

    def unsubscribe(self):
        with self._changing:
            self._end()

    def _end(self):
        for subscriber in self._subscribers:
            subscriber.unregister()
        self._subscribers, self._synchronizer = [], None
        self._slots.drop(self)

    def _on_info(self, info):
        self._info = info

    def _on_image(self, message, mask=None):
        if conversions.is_empty(message):
            return  # image_publisher's mark of a rewound clip
        if mask is not None:
            self._paired = time.monotonic()
        self.meter.received()
        if self._slots.put(self, Frame(message, time.monotonic(), mask)):
            self.meter.dropped()

    def _on_image_apart(self, message):
        """Each image as it comes, whether or not its mask does: when masks stop, the stream goes on."""
        if message.header.stamp < self._stamp:  # a clip began again: what waits would never find its counterpart
            synchronizer = self._synchronizer
            if synchronizer is not None:
                with synchronizer.lock:
                    for waiting in synchronizer.queues:
                        waiting.clear()
        self._stamp = message.header.stamp
        if self.is_bare():
            self._on_image(message)

    def is_bare(self):
        """Whether masks are wanted and have stopped coming."""
        return self._masked and time.monotonic() - self._paired > MASK_PATIENCE

    # --- what goes out ----------------------------------------------------------------------

    def encode(self, painted, header):
        """The messages of a painted frame, uint8 ``[h,w,3]``, for `publish`: only those that somebody wants."""
        messages = []
        if self._image.get_num_connections():
            messages.append((self._image, conversions.to_message(painted, header)))
        if self._compressed.get_num_connections():
            p = self._parameters
            messages.append((self._compressed, conversions.to_compressed(
                painted, header, p.compressed_format, p.jpeg_quality)))
        return messages

    def publish(self, messages, header, across, down):
        """Publish what `encode` made, and the camera_info, if one has come, scaled by these factors."""
        for publisher, message in messages:
            publisher.publish(message)
        if self._info is not None and self._camera_info.get_num_connections():
            self._camera_info.publish(conversions.scaled_info(self._info, header, across, down))
