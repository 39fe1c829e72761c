"""Why no frame arrives on a topic, judged by what the ROS master knows, and which argument would help."""

from typing import List, Mapping, Sequence

RAW, COMPRESSED = TRANSPORTS = ("raw", "compressed")
IMAGE, COMPRESSED_IMAGE = "sensor_msgs/Image", "sensor_msgs/CompressedImage"
TYPES = {RAW: IMAGE, COMPRESSED: COMPRESSED_IMAGE}

_SUFFIX = "/compressed"
_MAX_LISTED = 8  # topics that a message lists


def with_transport(base: str, transport: str) -> str:
    """The topic on which images of the topic ``base`` arrive: compressed ones have a topic below it."""
    return base + (_SUFFIX if transport == COMPRESSED else "")


def explain_silence(
    base: str,
    transport: str,
    publishers: Mapping[str, Sequence[str]],
    types: Mapping[str, str],
    argument: str = "image",
) -> str:
    """A clause that says what is published, and which argument makes the node take it.

    Args:
        base: the topic that the node was given, resolved.
        transport: `RAW` or `COMPRESSED`.
        publishers: names of the nodes that publish each topic, without the asking node.
        types: message type of each topic.
        argument: what sets ``base``.
    """
    topic = with_transport(base, transport)
    if not publishers.get(topic):
        return _explain_unpublished(base, transport, publishers, types, argument)
    kind = types.get(topic, TYPES[transport])
    if kind == TYPES[transport]:
        return "publishers: " + ", ".join(publishers[topic])
    problem = "it is published as %s, not %s" % (kind, TYPES[transport])
    if kind == COMPRESSED_IMAGE:
        if topic.endswith(_SUFFIX):
            return "%s; use %s:=%s image_transport:=%s" % (problem, argument, topic[: -len(_SUFFIX)], COMPRESSED)
        return "%s; relay it to a topic that ends in %s" % (problem, _SUFFIX)
    return "%s; %s" % (problem, _list_image_topics(publishers, types, argument))


def _explain_unpublished(
    base: str, transport: str, publishers: Mapping[str, Sequence[str]], types: Mapping[str, str], argument: str
) -> str:
    for other in (COMPRESSED, RAW):
        topic = with_transport(base, other)
        if other != transport and publishers.get(topic) and types.get(topic) == TYPES[other]:
            return "only %s is published; use image_transport:=%s" % (topic, other)
    if transport == COMPRESSED and base.endswith(_SUFFIX) and publishers.get(base):
        return "%s is published; use %s:=%s, without %s" % (base, argument, base[: -len(_SUFFIX)], _SUFFIX)
    return "it is not published; " + _list_image_topics(publishers, types, argument)


def _list_image_topics(publishers: Mapping[str, Sequence[str]], types: Mapping[str, str], argument: str) -> str:
    topics = image_topics(publishers, types)
    if not topics:
        return "no image topic is"
    more = ", and %d more" % (len(topics) - _MAX_LISTED) if len(topics) > _MAX_LISTED else ""
    return "image topics: %s%s; choose with %s:=TOPIC%s" % (
        ", ".join(topics[:_MAX_LISTED]),
        more,
        argument,
        ", for TOPIC%s with image_transport:=%s" % (_SUFFIX, COMPRESSED)
        if any(topic.endswith(_SUFFIX) for topic in topics)
        else "",
    )


def image_topics(publishers: Mapping[str, Sequence[str]], types: Mapping[str, str]) -> List[str]:
    """The published topics that a node can take, sorted."""
    return sorted(
        topic
        for topic, nodes in publishers.items()
        if nodes and (types.get(topic) == IMAGE or types.get(topic) == COMPRESSED_IMAGE and topic.endswith(_SUFFIX))
    )
