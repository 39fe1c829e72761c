"""Names, qualities of service and publishers of the image topics."""

from typing import Any, Callable, Dict, List

from rclpy.node import Node
from rclpy.qos import QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from ..ros_common import topic_hints

_NEWEST = 1  # depth: a frame that waits behind another is late


def resolve(node: Node, topic: str, transport: str = topic_hints.RAW) -> str:
    """The full name of the topic on which images of ``topic`` arrive."""
    return topic_hints.with_transport(node.resolve_topic_name(topic), transport)


def subscribe(node: Node, topic: str, kind: Any, callback: Callable[[Any], Any], group: Any) -> Subscription:
    """Subscribe to ``topic``, of which only the newest message counts.

    The subscription is as reliable as all publishers are, because Fast DDS loses large messages that are sent as best
    effort.  Parameters such as ``qos_overrides./image.subscription.reliability`` have the last word.
    """
    name = node.resolve_topic_name(topic)
    policies = [QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH]
    if _is_reliability_overridden(node, name):
        policies.append(QoSPolicyKind.RELIABILITY)
    return node.create_subscription(
        kind,
        topic,
        callback,
        QoSProfile(depth=_NEWEST, reliability=offered_reliability(node, name)),
        callback_group=group,
        qos_overriding_options=QoSOverridingOptions(policies),
    )


def offered_reliability(node: Node, name: str) -> ReliabilityPolicy:
    """Reliable if all publishers of the topic ``name`` are, and there is one."""
    offers = [info.qos_profile.reliability for info in node.get_publishers_info_by_topic(name)]
    reliable = bool(offers) and all(offer == ReliabilityPolicy.RELIABLE for offer in offers)
    return ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT


def _is_reliability_overridden(node: Node, name: str) -> bool:
    return node.has_parameter("qos_overrides.%s.subscription.reliability" % name)


def image_type(transport: str) -> Any:
    """The type of the images that ``transport`` delivers."""
    return CompressedImage if transport == topic_hints.COMPRESSED else Image


def explain_silence(node: Node, topic: str, transport: str) -> str:
    """Why no image of ``topic`` arrives, by what is known of the publishers."""
    types: Dict[str, str] = {}
    publishers: Dict[str, List[str]] = {}
    for name, kinds in node.get_topic_names_and_types():
        types[name] = kinds[0].replace("/msg/", "/")  # as people and ROS 1 write it
        publishers[name] = [
            info.node_name for info in node.get_publishers_info_by_topic(name) if info.node_name != node.get_name()
        ]
    return topic_hints.explain_silence(node.resolve_topic_name(topic), transport, publishers, types, topic)


class ImageSubscription:
    """A subscription to images that can be opened and closed.

    Args:
        node: that subscribes.
        topic: before remapping.
        transport: ``raw`` or ``compressed``.
        callback: called with each message.
        group: its callback group.
    """

    def __init__(self, node: Node, topic: str, transport: str, callback: Callable[[Any], Any], group: Any) -> None:
        self._node = node
        self._topic = topic
        self._transport = transport
        self._callback = callback
        self._group = group
        self._subscription: Any = None

    def open(self) -> None:
        """Subscribe; or again, if the publishers have turned reliable or best-effort meanwhile."""
        name = resolve(self._node, self._topic, self._transport)
        if self._subscription is not None:
            used = self._subscription.qos_profile.reliability
            if used == offered_reliability(self._node, name) or _is_reliability_overridden(self._node, name):
                return
            if not self._node.get_publishers_info_by_topic(name):
                return
            self.close()
        topic = name if self._transport == topic_hints.COMPRESSED else self._topic
        self._subscription = subscribe(self._node, topic, image_type(self._transport), self._callback, self._group)

    def close(self) -> None:
        """Unsubscribe; may be called repeatedly."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
