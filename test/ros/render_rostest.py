#!/usr/bin/env python3
"""Renders asked of a node by service and by action, while its camera goes on."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

import actionlib
import numpy as np
import rospy
import rostest
from actionlib_msgs.msg import GoalStatus
from diagnostic_msgs.msg import KeyValue
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from topics import Topic, wait_until

from ros_style_transfer.media import images
from ros_style_transfer.media.style_library import StyleLibrary
from ros_style_transfer.msg import RenderAction, RenderGoal, RenderProgress
from ros_style_transfer.ros.conversions import to_message, to_rgb
from ros_style_transfer.srv import Render, SetStyle

NODE = "/style_transfer"
MASKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "masks")
SCENE = np.ascontiguousarray(StyleLibrary().read("pointillism")[40:136, 60:188])
HEADER = Header(stamp=rospy.Time(12, 34), frame_id="somewhere")
QUICK = [KeyValue("scales", "1")]
ENDLESS = dict(content=to_message(SCENE, HEADER), styles=["mosaic"], iterations=100000, options=QUICK)
BRIEF = dict(ENDLESS, iterations=3)


def start(name, *arguments):
    """A node as users start it."""
    return subprocess.Popen(["rosrun", "ros_style_transfer", "style_transfer_node", "__name:=" + name, *arguments])


def renders_of(process):
    """The process numbers of the renders that a node runs."""
    found = subprocess.run(
        ["pgrep", "-P", str(process.pid), "-f", "ros_style_transfer render"], stdout=subprocess.PIPE, text=True
    )
    return [int(line) for line in found.stdout.split()]


class RenderTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rospy.init_node("render_test")
        cls.folder = os.path.realpath(tempfile.mkdtemp(prefix="render-test-"))
        cls.process = start(
            "style_transfer",
            "image:=camera/image_raw",
            "_style:=mosaic",
            "_max_side:=256",
            "_style_dirs:=" + MASKS,
            "_output_dir:=" + cls.folder,
        )
        for name in (NODE, "/blind"):
            rospy.wait_for_service(name + "/render", 60)
        cls.render, cls.blind = (rospy.ServiceProxy(name + "/render", Render) for name in (NODE, "/blind"))
        cls.cancel = rospy.ServiceProxy(NODE + "/render/cancel", Trigger)

    @classmethod
    def tearDownClass(cls):
        cls.process.send_signal(signal.SIGINT)
        cls.process.wait(60)
        shutil.rmtree(cls.folder)

    def client(self):
        client = actionlib.ActionClient(NODE + "/render_action", RenderAction)
        self.assertTrue(client.wait_for_server(rospy.Duration(60)))
        return client

    def begin_endless(self, **more):
        """A render that does not end by itself, in a thread of its own, once it runs; and where its answer comes."""
        answers = []
        with Topic(NODE + "/render/progress", RenderProgress) as progress:
            thread = threading.Thread(target=lambda: answers.append(self.render(**dict(ENDLESS, **more))), daemon=True)
            thread.start()
            progress.wait_for(1)
        return thread, answers

    def test_a_render_paints_what_was_sent_and_says_how(self):
        with Topic(NODE + "/render/progress", RenderProgress) as topic, Topic(NODE + "/render/preview", Image) as seen:
            answer = self.render(**dict(BRIEF, iterations=6, size=64, return_image=True, preview_every=3))
            self.assertTrue(wait_until(lambda: len(topic.messages) == 6 and len(seen.messages) == 2))
        self.assertTrue(answer.success, answer.message)
        self.assertEqual((answer.image.header.frame_id, answer.image.header.stamp), ("somewhere", HEADER.stamp))
        painted = to_rgb(answer.image)
        self.assertEqual(painted.shape, (48, 64, 3))
        self.assertEqual(answer.path, "")
        progress = topic.messages
        self.assertEqual([message.iteration for message in progress], [1, 2, 3, 4, 5, 6])
        last = progress[-1]
        self.assertEqual(
            (last.header.frame_id, last.style, last.iterations, last.scale, last.scales),
            ("somewhere", "mosaic", 6, 1, 1),
        )
        self.assertEqual((last.width, last.height), (64, 48))
        self.assertLess(last.loss, 0.8 * progress[0].loss)
        self.assertAlmostEqual(last.loss, last.content_loss + last.style_loss + last.tv_loss, places=5)
        self.assertEqual((answer.loss, answer.style_loss, answer.iterations), (last.loss, last.style_loss, 6))
        self.assertGreater(answer.seconds, 0)
        self.assertTrue((to_rgb(seen.messages[-1]) == painted).all())
        # Whoever comes late sees the last result.
        self.assertTrue((to_rgb(rospy.wait_for_message(NODE + "/render/image", Image, 60)) == painted).all())

    def test_without_a_content_it_takes_the_cameras_next_frame(self):
        answer = self.render(size=96, iterations=2, options=QUICK)
        self.assertTrue(answer.success, answer.message)
        self.assertEqual(answer.image.data, b"", "a picture that nobody asked for")
        image = rospy.wait_for_message(NODE + "/render/image", Image, 60)
        self.assertEqual((image.header.frame_id, image.width, image.height), ("test_camera", 96, 72))

    def test_without_a_camera_it_gives_up(self):
        answer = self.blind(size=96)
        self.assertFalse(answer.success)
        self.assertIn("/no_camera for 1 s", answer.message)

    def test_a_picture_is_saved_below_the_folder_alone(self):
        answer = self.render(**dict(BRIEF, save_as="today/night.png", return_image=True))
        self.assertTrue(answer.success, answer.message)
        self.assertEqual(answer.path, os.path.join(self.folder, "today", "night.png"))
        self.assertTrue((images.read(answer.path) == to_rgb(answer.image)).all())
        os.symlink("/tmp", os.path.join(self.folder, "elsewhere"))
        for name, word in (
            ("today/night.png", "exists already"),
            ("../night.png", "outside"),
            ("/tmp/night.png", "outside"),
            ("elsewhere/night.png", "outside"),
            ("night.txt", ".png"),
        ):
            answer = self.render(**dict(BRIEF, save_as=name))
            self.assertFalse(answer.success, name)
            self.assertIn(word, answer.message)
        answer = self.blind(**dict(BRIEF, save_as="night.png"))
        self.assertIn("~output_dir is not set", answer.message)

    def test_the_streams_look_is_rendered_unless_the_request_says_otherwise(self):
        change = rospy.ServiceProxy(NODE + "/set_style", SetStyle)
        self.assertTrue(change(controls=[KeyValue("keep_colours", "luminance")]).success)
        try:
            request = dict(BRIEF, styles=[], return_image=True)
            kept = to_rgb(self.render(**request).image)
            other = dict(request, options=[*QUICK, KeyValue("keep_colours", "no")])
            changed = to_rgb(self.render(**other).image)
        finally:
            change(controls=[KeyValue("keep_colours", "")])
        hue_change = lambda rgb: np.abs(np.diff(rgb.astype(float) - SCENE, axis=2)).mean()
        self.assertLess(hue_change(kept), 0.5 * hue_change(changed), "luminance keeps the content's colours")

    def test_a_picture_that_cannot_be_saved_is_not_lost(self):
        os.mkdir(os.path.join(self.folder, "vanishing"))
        name = os.path.join("vanishing", "night.png")
        answers = []
        with Topic(NODE + "/render/progress", RenderProgress) as progress:
            thread = threading.Thread(target=lambda: answers.append(self.render(**dict(BRIEF, save_as=name))))
            thread.start()
            progress.wait_for(1)
            os.rmdir(os.path.join(self.folder, "vanishing"))
            with open(os.path.join(self.folder, "vanishing"), "w"):
                pass  # a file where the folder was
            thread.join(60)
        (answer,) = answers
        self.assertFalse(answer.success)
        self.assertIn("rendered", answer.message)
        self.assertIn("vanishing", answer.message)
        self.assertEqual(answer.path, "")
        self.assertGreater(to_rgb(answer.image).std(), 0)
        os.remove(os.path.join(self.folder, "vanishing"))

    def test_two_renders_never_write_the_same_picture(self):
        thread, _ = self.begin_endless(save_as="once.png")
        answer = self.render(**dict(BRIEF, save_as="once.png"))
        self.assertFalse(answer.success)
        self.assertIn("another render", answer.message)
        self.cancel()
        thread.join(10)
        self.assertTrue(self.render(**dict(BRIEF, save_as="once.png")).success, "the name is free again")

    def test_wrong_requests_are_refused_before_anything_is_rendered(self):
        for change, word in (
            (dict(styles=["no_such_style"]), "unknown style"),
            (dict(styles=["/etc/passwd"]), "outside"),
            (dict(styles=["camera"]), "camera"),
            (dict(styles=["mosaic", "woodcut"], weights=[1]), "weights"),
            (dict(preset="best"), "best"),
            (dict(size=9), "size"),
            (dict(size=99999), "size"),
            (dict(content_weight=float("nan")), "content_weight"),
            (dict(style_weight=-1), "style_weight"),
            (dict(options=[KeyValue("speed", "9")]), "speed"),
            (dict(options=[KeyValue("scales", "many")]), "scales"),
            (dict(options=[KeyValue("iterations", "5")]), "twice"),
            (dict(options=[KeyValue("init", "/etc/passwd")]), "outside"),
            (dict(mask="no_mask"), "unknown mask 'no_mask'"),
            (dict(mask="thirds"), "style"),
            (dict(content=Image(width=40, height=30, encoding="rgb8", step=120, data=b"short")), "broken"),
        ):
            with Topic(NODE + "/render/progress", RenderProgress) as progress:
                answer = self.render(**dict(BRIEF, **change))
                self.assertFalse(answer.success, change)
                self.assertIn(word, answer.message)
                self.assertEqual(progress.messages, [])
        self.assertTrue(self.render(**BRIEF).success)

    def test_a_masks_regions_are_rendered_in_their_styles(self):
        answer = self.render(**dict(BRIEF, mask="left", return_image=True))
        self.assertTrue(answer.success, answer.message)
        different = np.abs(to_rgb(answer.image).astype(int) - SCENE).mean((0, 2)) > 1
        self.assertTrue(different[:50].all() and not different[-50:].any(), different)

    def test_requests_queue_and_cancel_ends_the_current_one_alone(self):
        self.assertFalse(self.cancel().success, "nothing is rendered yet")
        first, answers = self.begin_endless()
        order, threads = [], []
        for n in range(4):

            def ask(n=n):
                order.append((n, self.render(**BRIEF)))

            threads.append(threading.Thread(target=ask, daemon=True))
            threads[-1].start()
            with Topic(NODE + "/render/progress", RenderProgress) as progress:
                waiting = lambda n=n, seen=progress.messages: seen and seen[-1].waiting == n + 1
                self.assertTrue(wait_until(waiting))
        refused = self.render(**BRIEF)
        self.assertFalse(refused.success)
        self.assertIn("4 renders are already waiting", refused.message)
        self.assertFalse(order, "the first had not ended yet")
        self.assertTrue(self.cancel().success)
        first.join(5)
        self.assertIn("cancelled", answers[0].message)
        self.assertFalse(answers[0].success)
        for thread in threads:
            thread.join(60)
        self.assertEqual([(n, answer.success) for n, answer in order], [(n, True) for n in range(4)])

    def test_an_action_gives_feedback_and_a_result(self):
        told, states = [], []
        goal = RenderGoal(**dict(BRIEF, iterations=4, preview_every=2, return_image=True))
        handle = self.client().send_goal(
            goal, lambda handle: states.append(handle.get_comm_state()), lambda _, feedback: told.append(feedback)
        )
        self.assertTrue(wait_until(lambda: handle.get_comm_state() == actionlib.CommState.DONE, 60))
        self.assertEqual(handle.get_goal_status(), GoalStatus.SUCCEEDED)
        self.assertIn(actionlib.CommState.ACTIVE, states)
        self.assertEqual([feedback.progress.iteration for feedback in told], [1, 2, 3, 4])
        self.assertEqual([feedback.preview.width for feedback in told], [0, 128, 0, 128])
        result = handle.get_result()
        self.assertTrue(result.success)
        self.assertEqual(to_rgb(result.image).shape, SCENE.shape)

    def test_goals_queue_and_each_can_be_cancelled(self):
        client = self.client()
        first, second, third = (client.send_goal(RenderGoal(**fields)) for fields in (ENDLESS, BRIEF, BRIEF))
        self.assertTrue(wait_until(lambda: first.get_comm_state() == actionlib.CommState.ACTIVE))
        states = lambda: {second.get_comm_state(), third.get_comm_state()}
        # A client knows of its goal's state once the server has answered it.
        self.assertTrue(wait_until(lambda: actionlib.CommState.WAITING_FOR_GOAL_ACK not in states()))
        self.assertEqual(states(), {actionlib.CommState.PENDING})
        second.cancel()
        self.assertTrue(wait_until(lambda: second.get_comm_state() == actionlib.CommState.DONE, 30))
        self.assertEqual(second.get_goal_status(), GoalStatus.RECALLED)
        self.assertEqual(first.get_comm_state(), actionlib.CommState.ACTIVE)
        first.cancel()
        self.assertTrue(wait_until(lambda: first.get_comm_state() == actionlib.CommState.DONE, 30))
        self.assertEqual(first.get_goal_status(), GoalStatus.PREEMPTED)
        self.assertTrue(wait_until(lambda: third.get_comm_state() == actionlib.CommState.DONE, 60))
        self.assertEqual(third.get_goal_status(), GoalStatus.SUCCEEDED)
        refused = client.send_goal(RenderGoal(**dict(BRIEF, preset="best")))
        self.assertTrue(wait_until(lambda: refused.get_comm_state() == actionlib.CommState.DONE))
        self.assertEqual(refused.get_goal_status(), GoalStatus.REJECTED)
        self.assertIn("best", refused.get_goal_status_text())

    def test_the_stream_goes_on_while_a_render_runs(self):
        with Topic(NODE + "/image", Image) as output:
            output.wait_for(3)
            thread, _ = self.begin_endless()
            child = renders_of(self.process)
            self.assertEqual(len(child), 1)
            self.assertEqual(os.getpriority(os.PRIO_PROCESS, child[0]), 15, "live_first")
            output.wait_for(10, timeout=60)
            self.cancel()
            thread.join(10)
        self.assertEqual(renders_of(self.process), [])

    def test_ending_the_node_ends_its_render(self):
        process = start("ended", "image:=camera/image_raw", "_render_share:=equal")
        try:
            rospy.wait_for_service("/ended/render", 60)
            failures = []

            def ask():
                try:
                    rospy.ServiceProxy("/ended/render", Render)(**ENDLESS)
                except rospy.ServiceException as problem:
                    failures.append(problem)

            with Topic("/ended/render/progress", RenderProgress) as progress:
                threading.Thread(target=ask, daemon=True).start()
                progress.wait_for(1)
            children = renders_of(process)
            self.assertEqual(len(children), 1)
            self.assertEqual(os.getpriority(os.PRIO_PROCESS, children[0]), 0, "equal")
            process.send_signal(signal.SIGINT)
            process.wait(10)
            self.assertFalse(os.path.exists("/proc/%d" % children[0]), "the render is still there")
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    rostest.rosrun("ros_style_transfer", "render", RenderTest)
