"""Renders on request: the service ``~render`` and the action ``~render_action`` over one `RenderQueue`.

Data flow::

    ~render ---------+                                          +-> the answer, the action's result
                     +-> content, RenderRequest -> RenderQueue -+-> ~render/image, a file below ~output_dir
    ~render_action --+   (or the next frame)                    +-> ~render/progress, ~render/preview, feedback

Each request has a thread that waits for it, the service's own or one per goal; the work itself runs in the processes
of the queue.
"""

import queue
import threading
import time
import traceback
from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple, Union

import actionlib
import numpy as np
import rospy
from actionlib.server_goal_handle import ServerGoalHandle
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger, TriggerResponse

from ros_style_transfer.msg import RenderAction, RenderFeedback, RenderGoal, RenderProgress, RenderResult
from ros_style_transfer.srv import Render, RenderRequest, RenderResponse

from ..controls import check_range, check_weights
from ..errors import ImageError, OptionError, StyleError, StyleTransferError
from ..media import images
from ..media.images import MAX_SIDE, MIN_SIDE
from ..render import options as render_options
from ..render import queue as render_queue
from ..render.queue import Cancelled, RenderQueue
from ..streaming.appearance import CAMERA, TOPIC
from ..streaming.session import StreamSession
from ..streaming.stream import no_frame_message
from ..transfer import masks
from . import conversions
from .camera_stream import explain_silence, resolve, subscribe
from .conversions import to_text

# Options that are fields of a request, where 0 means "not given".
_NUMBER_FIELDS = ("content_weight", "style_weight", "tv_weight", "iterations", "time_budget")

_Request = Union[RenderRequest, RenderGoal]  # of the service, or the action
_Response = Union[RenderResponse, RenderResult]


class RenderServer:
    """The rendering half of the node.  The constructor touches no middleware; `setup` connects.

    Args:
        parameters: `params.Parameters`.
        session: whose styles are used.
        camera_topic: where the next frame of the camera arrives.
    """

    def __init__(self, parameters: Any, session: StreamSession, camera_topic: str) -> None:
        self._parameters = parameters
        self._session = session
        self._decode = conversions.decoder(parameters)
        self._camera_topic = camera_topic
        self._stop = threading.Event()
        self._handles: Dict[str, RenderHandle] = {}  # by the goal's name
        self._newest_goal: Optional[RenderHandle] = None
        self._threads: List[threading.Thread] = []
        self._path_lock = threading.Lock()
        self._reserved_paths: Set[str] = set()  # of results that are still being rendered
        self._queue: Optional[RenderQueue] = None

    def setup(self) -> None:
        """Advertise everything."""
        self._queue = RenderQueue(priority=self._parameters.render_share)
        self._progress = rospy.Publisher("~render/progress", RenderProgress, queue_size=10)
        self._preview = rospy.Publisher("~render/preview", Image, queue_size=1)
        self._image = rospy.Publisher("~render/image", Image, queue_size=1, latch=True)
        rospy.Service("~render", Render, self._on_render)
        rospy.Service("~render/cancel", Trigger, self._on_cancel)
        self._server = actionlib.ActionServer(
            "~render_action", RenderAction, self._on_goal, self._on_cancel_goal, auto_start=False
        )
        self._server.start()

    def shutdown(self) -> None:
        """End the renders and the threads that wait for them; returns when they have ended, after 3 s at most."""
        self._stop.set()
        if self._queue is not None:
            self._queue.shutdown()
        for thread in list(self._threads):
            thread.join(0.5)

    # --- the service and the action -----------------------------------------------------------------

    def _on_render(self, request: RenderRequest) -> RenderResponse:
        response = RenderResponse()
        self._answer(request, response, RenderHandle())
        if not response.success:
            rospy.logwarn("render: %s", response.message)
        return response

    def _on_cancel(self, _request: Any) -> TriggerResponse:
        if self._queue is not None and self._queue.cancel():
            return TriggerResponse(True, "cancelled the current render")
        return TriggerResponse(False, "nothing is being rendered")

    def _on_goal(self, goal: ServerGoalHandle) -> None:
        handle = RenderHandle(
            goal.set_accepted, lambda progress, preview: goal.publish_feedback(RenderFeedback(progress, preview))
        )
        self._handles[goal.get_goal_id().id] = handle
        previous, self._newest_goal = self._newest_goal, handle
        thread = threading.Thread(
            target=self._work_on_goal, args=(goal, handle, previous), name="render goal", daemon=True
        )
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.start()

    def _on_cancel_goal(self, goal: ServerGoalHandle) -> None:
        handle = self._handles.get(goal.get_goal_id().id)
        if handle is not None:
            handle.cancelled.set()
            if handle.future is not None and self._queue is not None:
                self._queue.cancel(handle.future)

    def _work_on_goal(self, goal: ServerGoalHandle, handle: "RenderHandle", previous: "Optional[RenderHandle]") -> None:
        if previous is not None:
            previous.queued.wait()  # goals are queued in the order in which they arrived
        result = RenderResult()
        error = self._answer(goal.get_goal(), result, handle)
        if error is None:
            goal.set_succeeded(result, result.message)
        elif isinstance(error, Cancelled):
            goal.set_canceled(result, result.message)
        elif handle.started.is_set():
            goal.set_aborted(result, result.message)
        else:
            goal.set_rejected(result, result.message)
        if error is not None:
            rospy.logwarn("render_action: %s", result.message)
        self._handles.pop(goal.get_goal_id().id, None)

    # --- one request --------------------------------------------------------------------------------

    def _answer(self, request: _Request, response: _Response, handle: "RenderHandle") -> Optional[Exception]:
        """Fill in ``response``; returns the error that prevented success, or None."""
        try:
            self._reserve_output_and_run(request, response, handle)
            response.success = True
            return None
        except StyleTransferError as error:
            response.message = to_text(str(error))
            return error
        except Exception as error:  # a mistake in the node; the caller must not wait forever
            rospy.logerr("%s", traceback.format_exc())
            response.message = to_text("the render failed: %r" % error)
            return error
        finally:
            handle.queued.set()

    def _reserve_output_and_run(self, request: _Request, response: _Response, handle: "RenderHandle") -> None:
        """Check the request, and keep others from its output file until it is written."""
        names, parsed = self._parse_request(request)
        path = self._reserve_path(request.save_as) if request.save_as else ""
        try:
            self._run(request, response, handle, names, parsed, path)
        finally:
            self._reserved_paths.discard(path)

    def _reserve_path(self, name: str) -> str:
        """The path at which ``name`` will be saved, and no other render until then."""
        with self._path_lock:
            path = images.path_below(self._parameters.output_dir, name, "~output_dir")
            if path in self._reserved_paths:
                raise ImageError("%s will be written by another render; choose another name" % path)
            self._reserved_paths.add(path)
        return path

    def _run(
        self,
        request: _Request,
        response: _Response,
        handle: "RenderHandle",
        names: Tuple[str, ...],
        parsed: render_queue.RenderRequest,
        path: str,
    ) -> None:
        """Get the content, have it rendered, and publish, save and return the result."""
        if self._queue is None:
            raise StyleTransferError("the node is still starting; try again")
        self._queue.check_room()
        message = request.content
        if conversions.is_empty(message):
            handle.queued.set()  # later goals need not wait for this one's frame
            message = self._next_frame(handle)
        header = message.header
        handle.future = self._queue.add(
            parsed._replace(
                content=self._decode(message),
                on_start=handle.start,
                on_progress=self._progress_callback(header, names, response, handle),
            )
        )
        handle.queued.set()
        if handle.cancelled.is_set():  # meanwhile
            self._queue.cancel(handle.future)
        rendered = handle.future.result()
        picture = conversions.to_message(rendered.picture, header)
        self._image.publish(picture)
        if path:
            images.write(path, rendered.picture)
            response.path = path
        if request.return_image:
            response.image = picture
        response.message = "rendered %dx%d in %.1f s%s" % (
            picture.width,
            picture.height,
            response.seconds,
            ", saved as %s" % path if path else "",
        )
        rospy.loginfo("%s", response.message)

    def _parse_request(self, request: _Request) -> Tuple[Tuple[str, ...], render_queue.RenderRequest]:
        """The names of the styles, and the queue's request without its content; anything wrong is found here."""
        library = self._session.library
        names = self._session.resolve_styles(request.styles)
        for name in (CAMERA, TOPIC):
            if name in names:
                raise StyleError("a render cannot use the style `%s`; name others in styles" % name)
        check_weights(request.weights, len(names))
        if request.size:
            check_range("size (0: the content's own)", request.size, MIN_SIDE, MAX_SIDE)
        values = self._option_values(request)
        if values.get("init") and values["init"] not in render_options.INITS:
            values["init"] = library.find(values["init"])
        preset = request.preset or "default"
        render_options.check(render_options.options_from(values, preset))
        mask = None
        if request.mask:
            labels = library.read_mask(request.mask)
            height, width = labels.shape
            masks.check(labels, height, width, len(names))
            mask = library.find_mask(request.mask)
            if len(request.weights):
                raise OptionError("weights mix styles, but with a mask each style has its own region: choose one")
        for name in names:
            library.read(name)
        return names, render_queue.RenderRequest(
            None,
            [library.find(name) for name in names],
            tuple(request.weights),
            request.size,
            preset,
            values,
            mask,
            request.preview_every,
        )

    def _option_values(self, request: _Request) -> Dict[str, Any]:
        """The render options of ``request`` by name."""
        values: Dict[str, Any] = {item.key: item.value for item in request.options}
        for name in _NUMBER_FIELDS:
            number = getattr(request, name)
            if number:
                if values.get(name):
                    raise OptionError(
                        "%s is given twice: as a field (%g) and as an option (%s)" % (name, number, values[name])
                    )
                values[name] = number
        return values

    def _next_frame(self, handle: "RenderHandle") -> Image:
        """The next message of the camera."""
        frames: queue.Queue[Image] = queue.Queue()
        timeout, transport = self._parameters.frame_timeout, self._parameters.image_transport
        subscriber = subscribe(self._camera_topic, frames.put, transport)
        try:
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline:
                if self._stop.is_set() or handle.cancelled.is_set():
                    raise Cancelled("the render was cancelled")
                try:
                    message = frames.get(timeout=0.1)
                except queue.Empty:
                    continue
                if not conversions.is_empty(message):
                    return message
        finally:
            subscriber.unregister()
        raise ImageError(
            "nothing to render: "
            + no_frame_message(
                resolve(self._camera_topic, transport), explain_silence(self._camera_topic, transport), timeout
            )
        )

    def _progress_callback(
        self, header: Header, names: Tuple[str, ...], response: _Response, handle: "RenderHandle"
    ) -> Callable[[Mapping[str, Any], Optional[np.ndarray]], None]:
        """A callback for the queue that publishes progress and keeps it in ``response``."""

        def on_progress(progress: Mapping[str, Any], shown: Optional[np.ndarray]) -> None:
            assert self._queue is not None
            response.iterations += 1
            response.seconds = progress["seconds"]
            response.loss = progress["loss"]
            for name, value in progress["losses"].items():
                setattr(response, name + "_loss", value)
            message = RenderProgress(
                header=header,
                style=to_text(",".join(names)),
                waiting=self._queue.waiting(),
                scale=progress["scale"] + 1,
                loss=response.loss,
                content_loss=response.content_loss,
                style_loss=response.style_loss,
                tv_loss=response.tv_loss,
                **{
                    name: progress[name]
                    for name in ("scales", "width", "height", "iteration", "iterations", "seconds", "remaining", "note")
                },
            )
            preview = Image()
            if shown is not None:
                preview = conversions.to_message(shown, header)
                self._preview.publish(preview)
            if progress["note"]:
                rospy.loginfo("render: %s", progress["note"])
            self._progress.publish(message)
            handle.on_progress(message, preview)

        return on_progress


class RenderHandle:
    """The state of a request that is being worked on.

    Args:
        on_start: called when its turn comes.
        on_progress: called with a RenderProgress and a preview after every iteration.

    Attributes:
        started: set when its turn has come.
        cancelled: set when it was cancelled.
        queued: set when it is in the queue, refused, or waits for a frame.
        future: of the queue, once it is there.
    """

    def __init__(
        self,
        on_start: Callable[[], Any] = lambda: None,
        on_progress: Callable[[RenderProgress, Image], Any] = lambda progress, preview: None,
    ) -> None:
        self._on_start = on_start
        self.on_progress = on_progress
        self.started = threading.Event()
        self.cancelled = threading.Event()
        self.queued = threading.Event()
        self.future: Optional[render_queue.RenderFuture] = None

    def start(self) -> None:
        """The turn of the request has come."""
        self.started.set()
        self._on_start()
