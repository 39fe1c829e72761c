"""The topics of one camera: its frames, masks and camera_info in, painted frames out.

Data flow::

    image[/compressed] --+------------------------------> Stream -> (the worker paints) -> ~/image[/compressed]
    mask ----------------+ paired by their stamps                                          ~/camera_info
    camera_info, next to the image ----------------------------------------- scaled -------+
"""

import functools
import threading
from typing import Any, Callable, List, Optional, Tuple

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ..ros_common import topic_hints
from ..ros_common.conversions import is_empty, scale_info, to_labels, to_rgb
from ..ros_common.mask_pairing import MaskPairing
from ..ros_common.params import Parameters
from ..streaming.session import StreamSession
from ..streaming.stream import StreamCallbacks, StreamClosed
from . import conversions
from .conversions import seconds
from .topics import ImageSubscription, explain_silence, resolve, subscribe

_Encoded = List[Tuple[Publisher, Any]]


def decoder(parameters: Parameters) -> Callable[[Any], np.ndarray]:
    """`to_rgb` as the node's parameters say."""
    return functools.partial(to_rgb, depth_range=parameters.depth_range, max_megapixels=parameters.max_frame_megapixels)


class CameraStream:
    """A camera and its stream in a session.  `advertise` publishes from then on.

    Args:
        name: empty for a node's only camera (``image`` to ``~/image``), else ``NAME/image`` to ``~/NAME/image``.
        node: whose topics these are.
        parameters: `params.Parameters`.
        session: where the frames are painted.

    Attributes:
        name, topic: of the camera.
        stream: `Stream` of the session.
    """

    def __init__(self, name: str, node: Node, parameters: Parameters, session: StreamSession) -> None:
        self.name = name
        self._node = node
        self._parameters = parameters
        self._prefix = name + "/" if name else ""
        self.topic = self._prefix + "image"
        self._group = MutuallyExclusiveCallbackGroup()  # of callbacks that only store
        self._info: Optional[CameraInfo] = None
        self._info_subscription: Any = None
        self._lock = threading.Lock()
        self._pairing: Optional[MaskPairing] = None
        self._images = ImageSubscription(node, self.topic, parameters.image_transport, self._on_image, self._group)
        self._masks = ImageSubscription(node, self._prefix + "mask", topic_hints.RAW, self._on_mask, self._group)
        self.stream = session.add_stream(
            name,
            StreamCallbacks(
                self._publish,
                decoder(parameters),
                functools.partial(to_labels, max_megapixels=parameters.max_frame_megapixels),
                self._encode,
                lambda: explain_silence(node, self.topic, parameters.image_transport),
            ),
            resolve(node, self.topic, parameters.image_transport),
            resolve(node, "~/" + self.topic),
        )

    def advertise(self, on_listeners: Callable[[], Any]) -> None:
        """Publish from now on; ``on_listeners`` is called when a subscriber comes or goes."""
        output = resolve(self._node, "~/" + self.topic)
        events = PublisherEventCallbacks(matched=lambda _: on_listeners())
        self._image = self._publisher(Image, output, events)
        self._compressed = self._publisher(CompressedImage, output + "/compressed", events)
        self._camera_info = self._publisher(CameraInfo, output.rsplit("/", 1)[0] + "/camera_info", None)

    def _publisher(self, kind: Any, topic: str, events: Optional[PublisherEventCallbacks]) -> Publisher:
        return self._node.create_publisher(
            kind,
            topic,
            QoSProfile(depth=1),  # reliable
            callback_group=self._group,
            event_callbacks=events,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def has_listeners(self) -> bool:
        """Whether anything subscribes to the painted frames."""
        return self._image.get_subscription_count() + self._compressed.get_subscription_count() > 0

    # --- input ----------------------------------------------------------------------------------

    def subscribe(self, masked: bool) -> None:
        """Take frames from now on; if ``masked``, with the masks of the topic ``mask`` next to ``image``."""
        with self._lock:
            if self.stream.is_open and masked != (self._pairing is not None):
                self._unsubscribe()
            if not self.stream.is_open:
                self._pairing = MaskPairing(self.stream.put, self._parameters.mask_tolerance) if masked else None
                self.stream.open()
                camera = resolve(self._node, self.topic).rsplit("/", 1)[0]
                self._info_subscription = subscribe(
                    self._node, camera + "/camera_info", CameraInfo, self._on_info, self._group
                )
            self._images.open()
            if masked:
                self._masks.open()

    def unsubscribe(self) -> None:
        """Take no more frames."""
        with self._lock:
            self._unsubscribe()

    def _unsubscribe(self) -> None:
        self._images.close()
        self._masks.close()
        self._node.destroy_subscription(self._info_subscription)
        self._pairing = None
        self.stream.close()

    def _on_info(self, info: CameraInfo) -> None:
        self._info = info

    def _on_image(self, message: Any) -> None:
        if is_empty(message):
            return
        pairing = self._pairing
        if pairing is None:
            self.stream.put(message)
        else:
            pairing.add_frame(seconds(message.header.stamp), message)

    def _on_mask(self, message: Image) -> None:
        pairing = self._pairing
        if pairing is not None and not is_empty(message):
            pairing.add_mask(seconds(message.header.stamp), message)

    # --- output ---------------------------------------------------------------------------------

    def _encode(self, painted: np.ndarray, message: Any) -> _Encoded:
        """The messages of a painted frame that something subscribes to, each with its publisher."""
        encoded: _Encoded = []
        if self._image.get_subscription_count():
            encoded.append((self._image, conversions.to_message(painted, message.header)))
        if self._compressed.get_subscription_count():
            p = self._parameters
            compressed = conversions.to_compressed(painted, message.header, p.compressed_format, p.jpeg_quality)
            encoded.append((self._compressed, compressed))
        return encoded

    def _publish(self, encoded: _Encoded, message: Any, scale: Tuple[float, float]) -> None:
        """Publish what `_encode` made, and the camera_info, if one has arrived, at the painted frame's size."""
        try:
            for publisher, part in encoded:
                publisher.publish(part)
            if self._info is not None and self._camera_info.get_subscription_count():
                self._camera_info.publish(scale_info(self._info, message.header, *scale))
        except Exception as error:
            if self._node.context.ok():
                raise
            raise StreamClosed from error
