"""What a silent node says of the topics that are published, and which argument takes them."""

import pytest

from ros_style_transfer.ros_common.topic_hints import explain_silence, image_topics

IMAGE, COMPRESSED, CLOUD = "sensor_msgs/Image", "sensor_msgs/CompressedImage", "sensor_msgs/PointCloud2"


def explain(base, transport, argument="image", **topics):
    """The explanation where ``topics`` are published: ``{name without the leading slash: type}``."""
    types = {"/" + name.replace("__", "/"): kind for name, kind in topics.items()}
    return explain_silence(base, transport, {name: ["/driver"] for name in types}, types, argument)


@pytest.mark.parametrize(
    "base, transport, topics, expected",
    [
        ("/cam/image", "raw", {"cam__image": IMAGE}, "publishers: /driver"),
        ("/cam/image", "compressed", {"cam__image__compressed": COMPRESSED}, "publishers: /driver"),
        (
            "/cam/image",
            "raw",
            {"cam__image__compressed": COMPRESSED},
            "only /cam/image/compressed is published; use image_transport:=compressed",
        ),
        ("/cam/image", "compressed", {"cam__image": IMAGE}, "only /cam/image is published; use image_transport:=raw"),
        (
            "/cam/image/compressed",
            "raw",
            {"cam__image__compressed": COMPRESSED},
            "it is published as sensor_msgs/CompressedImage, not sensor_msgs/Image; use image:=/cam/image "
            "image_transport:=compressed",
        ),
        (
            "/cam/image/compressed",
            "compressed",
            {"cam__image__compressed": COMPRESSED},
            "/cam/image/compressed is published; use image:=/cam/image, without /compressed",
        ),
        (
            "/cam/jpeg",
            "raw",
            {"cam__jpeg": COMPRESSED},
            "it is published as sensor_msgs/CompressedImage, not sensor_msgs/Image; relay it to a topic that ends in "
            "/compressed",
        ),
        (
            "/cam/points",
            "raw",
            {"cam__points": CLOUD, "cam__image": IMAGE},
            "it is published as sensor_msgs/PointCloud2, not sensor_msgs/Image; image topics: /cam/image; choose with "
            "image:=TOPIC",
        ),
        (
            "/camera",
            "raw",
            {"cam__image": IMAGE, "rear__compressed": COMPRESSED, "jpeg": COMPRESSED, "scan": CLOUD},
            "it is not published; image topics: /cam/image, /rear/compressed; choose with image:=TOPIC, "
            "for TOPIC/compressed with image_transport:=compressed",
        ),
        ("/camera", "raw", {"scan": CLOUD}, "it is not published; no image topic is"),
    ],
)
def test_it_says_what_is_published_and_which_argument_takes_it(base, transport, topics, expected):
    assert explain(base, transport, **topics) == expected


def test_a_named_cameras_argument_is_its_own_and_a_long_list_is_cut():
    said = explain("/front/image", "raw", "front/image", **{"cam%d" % n: IMAGE for n in range(12)})
    assert said.endswith("/cam4, /cam5, and 4 more; choose with front/image:=TOPIC")


def test_topics_without_publishers_are_not_listed():
    assert image_topics({"/a": ["/driver"], "/b": []}, {"/a": IMAGE, "/b": IMAGE}) == ["/a"]
