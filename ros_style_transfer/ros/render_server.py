"""Renders on request: the service ``~render`` and the action ``~render_action`` over one `RenderQueue`.

Data flow::

    ~render ---------+                                          +-> the answer, the action's result
                     +-> content, RenderRequest -> RenderQueue -+-> ~render/image, a file below ~output_dir
    ~render_action --+   (or the next frame)                    +-> ~render/progress, ~render/preview, feedback

Each request has a thread that waits for it (the service's own, or one for each goal); what costs
time runs in the queue's processes.
"""
import queue
import threading
import time
import traceback

import actionlib
import rospy
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger, TriggerResponse

from ros_style_transfer.msg import RenderAction, RenderFeedback, RenderProgress, RenderResult
from ros_style_transfer.srv import Render, RenderResponse

from ..controls import check_weights, within
from ..errors import ImageError, OptionError, StyleError, StyleTransferError
from ..media import images
from ..media.images import MAX_SIDE, MIN_SIDE
from ..render import options as render_options
from ..render.queue import Cancelled, RenderQueue, RenderRequest
from ..transfer import masks
from . import conversions
from .camera_stream import resolved, subscribe
from .params import CAMERA, TOPIC

# What the requests' own fields say; 0 is "not given".
_NUMBERS = ("content_weight", "style_weight", "tv_weight", "iterations", "time_budget")


class Renders:
    """The rendering half of the node.  The constructor touches no middleware; `setup` connects.

    Args:
        parameters: `params.Parameters`.
        library: `style_library.StyleLibrary`.
        named: (names) to names, where ``random`` is some style's.
        styles_in_force: () to the names of the styles that the camera is painted in.
        camera_topic: where the camera's next frame comes.
    """

    def __init__(self, parameters, library, named, styles_in_force, camera_topic):
        self._parameters, self._library, self._camera_topic = parameters, library, camera_topic
        self._named, self._styles_in_force = named, styles_in_force
        self._stop = threading.Event()
        self._goals, self._threads = {}, []
        self._newest = None  # goal's hooks
        self._saving, self._promised = threading.Lock(), set()  # where renders that are not done yet are to be saved
        self._queue = None

    def setup(self):
        """Advertise everything."""
        self._queue = RenderQueue(share=self._parameters.render_share)
        self._progress = rospy.Publisher("~render/progress", RenderProgress, queue_size=10)
        self._preview = rospy.Publisher("~render/preview", Image, queue_size=1)
        self._image = rospy.Publisher("~render/image", Image, queue_size=1, latch=True)
        rospy.Service("~render", Render, self._on_render)
        rospy.Service("~render/cancel", Trigger, self._on_cancel)
        self._server = actionlib.ActionServer(
            "~render_action", RenderAction, self._on_goal, self._on_cancelled_goal, auto_start=False)
        self._server.start()

    def shutdown(self):
        """End the renders and the threads that wait for them; returns when they have ended, 3 s at most."""
        self._stop.set()
        if self._queue is not None:
            self._queue.shutdown()
        for thread in list(self._threads):
            thread.join(0.5)

    # --- requests ---------------------------------------------------------------------------

    def _on_render(self, request):
        response = RenderResponse()
        self._serve(request, response, _Hooks())
        if not response.success:
            rospy.logwarn("render: %s", response.message)
        return response

    def _on_cancel(self, _request):
        if self._queue.cancel():
            return TriggerResponse(True, "cancelled the current render")
        return TriggerResponse(False, "nothing is being rendered")

    def _on_goal(self, goal):
        hooks = _Hooks(goal.set_accepted, lambda progress, preview: goal.publish_feedback(
            RenderFeedback(progress, preview)))
        self._goals[goal.get_goal_id().id] = hooks
        before, self._newest = self._newest, hooks
        thread = threading.Thread(
            target=self._work_on_goal, args=(goal, hooks, before), name="render goal", daemon=True)
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.start()

    def _on_cancelled_goal(self, goal):
        hooks = self._goals.get(goal.get_goal_id().id)
        if hooks is not None:
            hooks.cancelled.set()
            if hooks.future is not None:
                self._queue.cancel(hooks.future)

    def _work_on_goal(self, goal, hooks, before):
        if before is not None:
            before.entered.wait()  # goals queue in the order in which they came
        result = RenderResult()
        problem = self._serve(goal.get_goal(), result, hooks)
        begun = hooks.begun.is_set()
        if problem is None:
            goal.set_succeeded(result, result.message)
        elif isinstance(problem, Cancelled):
            goal.set_canceled(result, result.message)
        elif begun:
            goal.set_aborted(result, result.message)
        else:
            goal.set_rejected(result, result.message)
        if problem is not None:
            rospy.logwarn("render_action: %s", result.message)
        self._goals.pop(goal.get_goal_id().id, None)

    # --- one request, service or goal -------------------------------------------------------

    def _serve(self, request, result, hooks):
        """Fill in ``result``; returns the error that kept it from success, or None."""
        try:
            self._render(request, result, hooks)
            result.success = True
            return None
        except StyleTransferError as problem:
            result.message = str(problem)
            return problem
        except Exception as problem:  # a mistake of ours; whoever asks must not wait for ever
            rospy.logerr("%s", traceback.format_exc())
            result.message = "the render failed: %r" % problem
            return problem
        finally:
            hooks.entered.set()

    def _render(self, request, result, hooks):
        names, wanted = self._wanted(request)  # everything that can be wrong is found first
        path = self._promise(request.save_as) if request.save_as else ""
        try:
            self._rendered(request, result, hooks, names, wanted, path)
        finally:
            self._promised.discard(path)

    def _promise(self, name):
        """The path that ``name`` will be saved at and nothing else until it is."""
        with self._saving:
            path = images.path_below(self._parameters.output_dir, name, "~output_dir")
            if path in self._promised:
                raise ImageError("%s will be written by another render; choose another name" % path)
            self._promised.add(path)
        return path

    def _rendered(self, request, result, hooks, names, wanted, path):
        self._queue.check_room()
        message = request.content
        if conversions.is_empty(message):
            hooks.entered.set()  # who comes later need not wait for this one's frame
            message = self._next_frame(hooks)
        header = message.header
        told = self._teller(header, names, result, hooks)
        hooks.future = self._queue.add(wanted._replace(
            content=conversions.to_rgb(message), told=told, begun=hooks.has_begun))
        hooks.entered.set()
        if hooks.cancelled.is_set():  # meanwhile
            self._queue.cancel(hooks.future)
        done = hooks.future.result()
        picture = conversions.to_message(done.picture, header)
        self._image.publish(picture)
        if path:
            images.write(path, done.picture)
            result.path = path
        if request.return_image:
            result.image = picture
        result.message = "rendered %dx%d in %.1f s%s" % (
            picture.width, picture.height, result.seconds, ", saved as %s" % path if path else "")
        rospy.loginfo("%s", result.message)

    def _wanted(self, request):
        """The styles' names and the `RenderRequest` without its content."""
        names = self._named(request.styles or self._styles_in_force())
        for name in (CAMERA, TOPIC):
            if name in names:
                raise StyleError("a render's style cannot be `%s`; name others in styles" % name)
        check_weights(request.weights, len(names))
        if request.size:
            within("size (0: the content's own)", request.size, MIN_SIDE, MAX_SIDE)
        values = {item.key: item.value for item in request.options}
        for name in _NUMBERS:
            number = getattr(request, name)
            if number:
                if values.get(name):
                    raise OptionError("%s is given twice: as a field (%g) and as an option (%s)"
                                      % (name, number, values[name]))
                values[name] = number
        if values.get("init") and values["init"] not in render_options.INITS:
            values["init"] = self._library.find(values["init"])
        preset = request.preset or "default"
        render_options.check(render_options.options_from(values, preset))
        mask = None
        if request.mask:
            labels = self._library.read_mask(request.mask)
            masks.check(labels, *labels.shape, len(names))
            mask = self._library.find(request.mask)
            if len(request.weights):
                raise OptionError("weights mix styles, while with a mask each has its own region: choose one")
        for name in names:
            self._library.read(name)
        paths = [self._library.find(name) for name in names]
        return names, RenderRequest(
            None, paths, tuple(request.weights), request.size, preset, values, mask, request.preview_every)

    def _next_frame(self, hooks):
        """The next picture of the camera."""
        frames, timeout = queue.Queue(), self._parameters.frame_timeout
        topic = resolved(self._camera_topic, self._parameters.image_transport)
        subscriber = subscribe(self._camera_topic, frames.put, self._parameters.image_transport)
        try:
            until = time.monotonic() + timeout
            while time.monotonic() < until:
                if self._stop.is_set() or hooks.cancelled.is_set():
                    raise Cancelled("the render was cancelled")
                try:
                    message = frames.get(timeout=0.1)
                except queue.Empty:
                    continue
                if not conversions.is_empty(message):
                    return message
        finally:
            subscriber.unregister()
        raise ImageError("no frame came on %s within %g s to be rendered; is its camera running?" % (topic, timeout))

    def _teller(self, header, names, result, hooks):
        """What the queue tells of its progress, told to ROS and kept in ``result``."""
        def told(progress, shown):
            result.iterations += 1
            result.seconds, result.loss = progress["seconds"], progress["loss"]
            for name, value in progress["losses"].items():
                setattr(result, name + "_loss", value)
            message = RenderProgress(
                header=header, style=",".join(names), waiting=self._queue.waiting(), scale=progress["scale"] + 1,
                loss=result.loss, content_loss=result.content_loss, style_loss=result.style_loss,
                tv_loss=result.tv_loss,
                **{name: progress[name] for name in ("scales", "width", "height", "iteration", "iterations",
                                                     "seconds", "remaining", "note")})
            preview = Image()
            if shown is not None:
                preview = conversions.to_message(shown, header)
                self._preview.publish(preview)
            if progress["note"]:
                rospy.loginfo("render: %s", progress["note"])  # it has seen to it itself
            self._progress.publish(message)
            hooks.tell(message, preview)

        return told


class _Hooks:
    """What is known of a request while it is worked on.

    Args:
        accept: (), called when its turn comes.
        tell: (RenderProgress, preview) after every iteration.
    """

    def __init__(self, accept=lambda: None, tell=lambda progress, preview: None):
        self._accept, self.tell = accept, tell
        self.begun, self.cancelled = threading.Event(), threading.Event()
        self.entered = threading.Event()  # it is in the queue, refused, or waits for a frame
        self.future = None

    def has_begun(self):
        """Its turn has come."""
        self.begun.set()
        self._accept()
