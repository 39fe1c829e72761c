"""The ROS 2 node as a process: frames, requests, parameters, renders and its end."""

import signal
import threading
import time

import cv2
import numpy as np
import pytest
import rclpy
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray, KeyValue
from graph import TIMEOUT, Camera, Client, frame, picture, result_of, stamps, start, wait_for
from rclpy.action import ActionClient
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from ros_style_transfer.action import Render as RenderAction
from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.ros2.conversions import to_compressed
from ros_style_transfer.ros_common.conversions import to_rgb
from ros_style_transfer.srv import AddStyle, ListStyles, Render, SetStyle

NODE = "/style_transfer"


@pytest.fixture
def camera(client, node):
    with Camera(client) as camera:
        yield camera


@pytest.fixture
def painted(client, camera):
    """A list of the node's painted frames, which has begun to fill."""
    messages = client.listen(Image, NODE + "/image")
    wait_for(lambda: messages)
    return messages


# --- frames ---------------------------------------------------------------------------------------


def test_every_frame_of_30_a_second_is_painted_under_its_own_header(client, node):
    messages, status = client.listen(Image, NODE + "/image", 50), client.status()
    with Camera(client, rate=30.0, rgb=picture(640, 480)) as camera:
        wait_for(lambda: messages)
        inputs = lambda: client.node.get_subscriptions_info_by_topic("/camera/image_raw")
        wait_for(lambda: [i.qos_profile.reliability for i in inputs()] == [ReliabilityPolicy.RELIABLE])
        first = len(camera.sent)
        wait_for(lambda: status)
        lost_before = status[-1].dropped + status[-1].failed
        wait_for(lambda: len(camera.sent) >= first + 90)
    expected = set(camera.sent[first : first + 90])
    time_of = lambda: len(expected & set(stamps(messages)))
    count = len(status)
    wait_for(lambda: len(status) > count + 1)
    dropped = status[-1].dropped + status[-1].failed - lost_before
    # What a busy machine has no time for is counted; the transport loses nothing.
    assert time_of() + dropped >= len(expected)
    assert time_of() > 30
    last = messages[-1]
    assert (last.width, last.height, last.encoding, last.header.frame_id) == (64, 48, "rgb8", "lens")
    before = cv2.resize(camera.rgb, (64, 48), interpolation=cv2.INTER_AREA)
    assert np.abs(to_rgb(last).astype(float) - before).mean() > 10


def test_the_node_subscribes_only_while_somebody_looks(client, camera):
    count = lambda: client.node.count_subscribers("/camera/image_raw")
    wait_for(lambda: count() == 0)
    status = client.status()
    wait_for(lambda: status and status[-1].state == StyleStatus.PAUSED)
    assert "nothing subscribes to" in status[-1].message
    subscription = client.node.create_subscription(Image, NODE + "/image", lambda message: None, 1)
    wait_for(lambda: count() == 1)
    wait_for(lambda: status[-1].state == StyleStatus.READY)
    client.node.destroy_subscription(subscription)
    wait_for(lambda: count() == 0)


def test_frames_that_cannot_be_read_cost_only_themselves(client, node, painted, camera):
    status = client.status()
    camera._stop.set()
    for name, message in (
        ("broken image", Image(width=64, height=48, encoding="rgb8", step=192, data=b"short")),
        ("nv99", Image(width=2, height=2, encoding="nv99", step=2, data=bytes(4))),
    ):
        camera.send(message)
        wait_for(lambda name=name: status and status[-1].state == StyleStatus.ERROR and name in status[-1].message)
    count = len(painted)
    camera.send()
    wait_for(lambda: len(painted) > count)
    wait_for(lambda: status[-1].state == StyleStatus.READY)


def test_a_best_effort_camera_is_received_too(client, node):
    messages = client.listen(Image, NODE + "/image")
    publisher = client.node.create_publisher(Image, "/camera/image_raw", qos_profile_sensor_data)
    try:
        sent = []

        def arrived():
            stamp = client.now()
            publisher.publish(frame(picture(64, 48), stamp))
            sent.append((stamp.sec, stamp.nanosec))
            time.sleep(0.1)
            return set(sent) & set(stamps(messages))

        wait_for(arrived)
    finally:
        client.node.destroy_publisher(publisher)


def test_a_late_subscriber_gets_the_latched_status(node):
    late = Client("late")
    try:
        status = late.status()
        assert wait_for(lambda: status, 5)[0].model == "lite"
    finally:
        late.close()


def test_the_diagnostics_name_model_and_stream(client, painted):
    arrays = client.listen(DiagnosticArray, "/diagnostics")
    parts = {part.name: part for part in wait_for(lambda: arrays)[-1].status}
    model, stream = parts["style_transfer: model"], parts["style_transfer: stream"]
    assert (model.level, model.hardware_id) == (b"\0", NODE)
    assert {value.key: value.value for value in stream.values}["topic"] == "/camera/image_raw"


# --- services -------------------------------------------------------------------------------------


def test_set_style_changes_what_is_painted_and_the_parameters(client, painted):
    before = to_rgb(painted[-1])
    answer = client.call(
        SetStyle,
        NODE + "/set_style",
        style="woodcut",
        set_strength=True,
        strength=0.75,
        controls=[KeyValue(key="saturation", value="0.5")],
    )
    assert (answer.success, answer.style, answer.strength) == (True, "woodcut", 0.75), answer.message
    count = len(painted)
    wait_for(lambda: len(painted) > count + 1)
    assert np.abs(to_rgb(painted[-1]).astype(float) - before).mean() > 3
    parameters = AsyncParameterClient(client.node, NODE)
    get = lambda: [v for v in result_of(parameters.get_parameters(["style", "strength", "saturation"])).values]
    wait_for(lambda: [(v.string_value or v.double_value) for v in get()] == ["woodcut", 0.75, 0.5])
    wrong = client.call(SetStyle, NODE + "/set_style", style="nonsense")
    assert not wrong.success and "nonsense" in wrong.message and wrong.style == "woodcut"
    assert client.call(SetStyle, NODE + "/set_style", styles=["mosaic", "woodcut"], weights=[0.5, 0.5]).success
    back = [KeyValue(key="saturation", value="")]
    assert client.call(
        SetStyle, NODE + "/set_style", style="mosaic", set_strength=True, strength=1.0, controls=back
    ).success


def test_styles_are_listed_and_added(client, node):
    listed = client.call(ListStyles, NODE + "/list_styles")
    assert "mosaic" in listed.names and len(listed.paths) == len(listed.names)
    image = frame(picture(80, 60), client.now())
    added = client.call(AddStyle, NODE + "/add_style", name="mine", image=image, use=True)
    assert added.success, added.message
    assert client.call(ListStyles, NODE + "/list_styles").style == "mine"
    empty = client.call(AddStyle, NODE + "/add_style", name="empty", image=Image())
    assert not empty.success and "empty" in empty.message
    assert client.call(SetStyle, NODE + "/set_style", style="mosaic").success


def test_pause_and_save(client, painted, output_dir):
    saved = client.call(Trigger, NODE + "/save")
    assert saved.success and saved.message.startswith(output_dir), saved.message
    assert client.call(SetBool, NODE + "/pause", data=True).success
    status = client.status()
    wait_for(lambda: status and status[-1].state == StyleStatus.PAUSED)
    assert client.call(SetBool, NODE + "/pause", data=False).success
    wait_for(lambda: status[-1].state == StyleStatus.READY)


# --- parameters -----------------------------------------------------------------------------------


@pytest.fixture
def parameters(client, node):
    return AsyncParameterClient(client.node, NODE)


def set_parameter(parameters, name, value):
    return result_of(parameters.set_parameters([Parameter(name, value=value)])).results[0]


def test_parameters_are_described_with_types_and_ranges(parameters):
    names = ["strength", "max_side", "keep_colours", "model"]
    strength, max_side, keep_colours, model = result_of(parameters.describe_parameters(names)).descriptors
    assert (strength.floating_point_range[0].from_value, strength.floating_point_range[0].to_value) == (0.0, 1.0)
    assert max_side.integer_range[0].to_value == 16384
    assert "luminance" in keep_colours.additional_constraints
    assert model.read_only and model.description


def test_a_parameter_changes_what_is_painted(client, parameters, painted):
    before = to_rgb(painted[-1])
    assert set_parameter(parameters, "strength", 0).successful  # a whole number counts as a number
    count = len(painted)
    wait_for(lambda: len(painted) > count + 1)
    unchanged = cv2.resize(picture(64, 48), (64, 48))
    np.testing.assert_array_equal(to_rgb(painted[-1]), unchanged)
    assert np.abs(before.astype(float) - unchanged).mean() > 3
    assert set_parameter(parameters, "strength", 1.0).successful


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("strength", 1.5, "range"),
        ("strength", "much", "type"),
        ("style", "nonsense", "nonsense"),
        ("swap_patch", 4, "odd"),
        ("method", "magic", "magic"),
        ("max_side", 7, "max_side must be 0"),
        ("model", "live", "read-only"),
        ("unheard_of", 1, "undeclared"),
    ],
)
def test_a_wrong_value_is_refused_with_a_reason_and_changes_nothing(parameters, name, value, reason):
    result = set_parameter(parameters, name, value)
    assert not result.successful
    assert reason in result.reason, result.reason
    if name != "unheard_of":
        (now,) = result_of(parameters.get_parameters([name])).values
        assert value not in (now.string_value, now.double_value, now.integer_value)


def test_values_as_yaml_reads_them_are_understood(parameters):
    assert set_parameter(parameters, "keep_colours", "luminance").successful
    assert set_parameter(parameters, "keep_colours", False).successful  # YAML's `no`
    (now,) = result_of(parameters.get_parameters(["keep_colours"])).values
    assert now.string_value == "no"
    assert set_parameter(parameters, "strength", "0.5").successful
    assert set_parameter(parameters, "strength", 1).successful
    assert set_parameter(parameters, "style", ["mosaic", "woodcut"]).successful
    (now,) = result_of(parameters.get_parameters(["style"])).values
    assert now.string_value == "mosaic,woodcut"
    assert set_parameter(parameters, "style", "mosaic").successful


# --- renders --------------------------------------------------------------------------------------


def goal(**fields):
    given = dict(dict(styles=["mosaic"], size=32, iterations=2, return_image=True), **fields)
    options = [KeyValue(key="scales", value="1")]
    return dict(given, content=frame(picture(48, 32), rclpy.time.Time().to_msg()), options=options)


def test_the_action_gives_feedback_and_a_picture(client, node):
    action = ActionClient(client.node, RenderAction, NODE + "/render_action")
    assert action.wait_for_server(TIMEOUT)
    feedback = []
    handle = result_of(action.send_goal_async(RenderAction.Goal(**goal(preview_every=1)), feedback.append))
    assert handle.accepted
    response = result_of(handle.get_result_async())
    assert response.status == GoalStatus.STATUS_SUCCEEDED, response.result.message
    assert (response.result.image.width, response.result.iterations) == (32, len(feedback))
    assert feedback[-1].feedback.progress.style == "mosaic" and feedback[0].feedback.preview.width == 32
    wrong = result_of(action.send_goal_async(RenderAction.Goal(**goal(styles=["nonsense"]))))
    response = result_of(wrong.get_result_async())
    assert response.status == GoalStatus.STATUS_ABORTED and "nonsense" in response.result.message
    action.destroy()


def test_a_goal_can_be_cancelled_while_another_waits(client, node):
    action = ActionClient(client.node, RenderAction, NODE + "/render_action")
    assert action.wait_for_server(TIMEOUT)
    started = threading.Event()
    first = result_of(
        action.send_goal_async(RenderAction.Goal(**goal(iterations=1000)), lambda feedback: started.set())
    )
    second = result_of(action.send_goal_async(RenderAction.Goal(**goal(iterations=1000))))
    assert started.wait(TIMEOUT)
    for handle in (second, first):  # the one that waits, and the one that is being rendered
        result_of(handle.cancel_goal_async())
        response = result_of(handle.get_result_async())
        assert response.status == GoalStatus.STATUS_CANCELED
        assert "cancelled" in response.result.message
    action.destroy()


def test_the_service_renders_while_the_stream_goes_on(client, painted):
    count = len(painted)
    answer = client.call(Render, NODE + "/render", **goal())
    assert answer.success and answer.image.width == 32, answer.message
    assert len(painted) > count
    assert not client.call(Trigger, NODE + "/render/cancel").success


# --- several cameras, compressed images, masks, camera_info -----------------------------------------


def test_cameras_compressed_images_masks_and_camera_info(client):
    process = start(
        "eyes", cameras="left,right", image_transport="compressed", compressed_format="png", max_side=32, mask="topic"
    )
    try:
        outputs = {name: client.listen(Image, "/eyes/%s/image" % name) for name in ("left", "right")}
        compressed = client.listen(CompressedImage, "/eyes/left/image/compressed")
        infos = client.listen(CameraInfo, "/eyes/left/camera_info")
        publishers = [
            (client.node.create_publisher(CompressedImage, "/%s/image/compressed" % name, 1), name) for name in outputs
        ]
        mask_publisher = client.node.create_publisher(Image, "/left/mask", 1)
        info_publisher = client.node.create_publisher(CameraInfo, "/left/camera_info", 1)
        rgb = picture(64, 48)
        mask = np.zeros((48, 64), np.uint8)
        mask[:, 32:] = 1

        def send():
            stamp = client.now()
            header = frame(rgb, stamp).header
            for publisher, _ in publishers:
                publisher.publish(to_compressed(rgb, header, "png"))
            labels = Image(header=header, width=64, height=48, encoding="mono8", step=64, data=mask.tobytes())
            mask_publisher.publish(labels)
            info_publisher.publish(CameraInfo(header=header, width=64, height=48, k=[float(n) for n in range(9)]))
            time.sleep(0.1)

        def is_masked():
            send()
            done = outputs["left"] and outputs["right"] and infos and compressed
            if not done:
                return False
            small = cv2.resize(rgb, (32, 24), interpolation=cv2.INTER_AREA)
            left = np.abs(to_rgb(outputs["left"][-1]).astype(float) - small)
            return left[:, :8].mean() < 2 and left[:, 24:].mean() > 5

        wait_for(lambda: process.process.poll() is not None or is_masked())
        assert process.process.poll() is None, process.lines
        assert to_rgb(compressed[-1]).shape == (24, 32, 3)
        assert (infos[-1].width, infos[-1].height, infos[-1].k[0], infos[-1].k[2]) == (32, 24, 0.0, 1.0)
        # No mask of the right camera arrives, so its frames are painted whole.
        right = np.abs(to_rgb(outputs["right"][-1]).astype(float) - cv2.resize(rgb, (32, 24)))
        assert right[:, :8].mean() > 2
    finally:
        code = process.end()
    assert code == 0, process.lines


# --- start and end ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_at_once_even_while_it_loads(client, number):
    process = start("mortal", use_sim_time=True)
    status = client.status("mortal")  # published on wall time, whatever /clock says
    wait_for(lambda: status)
    began = time.monotonic()
    assert process.end(number) == 0, process.lines
    assert time.monotonic() - began < 30  # the system may be busy
    assert "Traceback" not in "".join(process.lines)


def test_wrong_parameters_end_the_node_with_one_line_that_names_them_all(client):
    process = start("wrong", style="nonsense", strength=7.0, jpeg_quality=0)
    assert process.wait() == 1
    text = "".join(process.lines)
    assert "Traceback" not in text
    (line,) = [line for line in process.lines if "FATAL" in line]
    for name in ("style", "strength", "jpeg_quality"):
        assert "~%s" % name in line


def test_arguments_that_ros_cannot_parse_end_the_node_with_a_sentence():
    process = start("unparsable", style="[mosaic, 7]")
    assert process.wait() == 1
    text = "".join(process.lines)
    assert "Traceback" not in text and "wrong --ros-args" in text
