"""The node ``style_transfer``: wiring between ROS and the core.

Data flow::

    image (`camera_stream`) --callback--> LatestSlots --worker--> Stylizer --> ~image (`camera_stream`)
    style topic -------------------------------^           ^
    ~set_style, dynamic_reconfigure --requests-------------+     housekeeping: subscribe or not,
    ~render, ~render_action --> `render_server`, in processes    ~status, /diagnostics, the master

Callbacks only store.  One worker thread owns TensorFlow: it loads the model, answers style
requests between frames, and paints.  The housekeeping thread runs on wall time, whatever
``/use_sim_time`` says.
"""
import concurrent.futures
import ctypes
import datetime
import logging
import os
import queue
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np
import rosgraph
import rospy
from std_srvs.srv import SetBool, SetBoolResponse, Trigger, TriggerResponse

from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.srv import (
    AddStyle,
    AddStyleResponse,
    ListStyles,
    ListStylesResponse,
    SetStyle,
    SetStyleResponse,
)

from .. import environment
from ..controls import Controls, check, check_weights, controls_from, describe, within
from ..errors import OptionError, StyleError, StyleTransferError
from ..media import images
from ..media.style_library import StyleLibrary
from ..streaming import stream_stats
from ..streaming.frame_slots import LatestSlots
from ..transfer import masks
from . import conversions, params
from .camera_stream import MASK_PATIENCE, Camera, resolved, subscribe
from .diagnostics import Diagnostics
from .params import CAMERA, TOPIC
from .reconfigure import Reconfigure, controls_of, fields_of
from .render_server import Renders

STATUS_PERIOD = 1.0  # seconds
STYLE_TIMEOUT = 60.0  # seconds a style request waits for its turn, a model's loading included
PATIENCE = 5.0  # seconds without a frame until a warning, or until a style from a topic is given up
STYLE_PERIOD = 1.0  # seconds between pictures of the style topic that are looked at
MASTER_PERIOD = 5.0  # seconds between looks at whether the ROS master is still the same
M_ARENA_MAX = -8  # of glibc's malloc.h
STYLE_IMAGE = "style_image"  # the topic whose pictures the style `topic` is
LARGEST_ADDED = 2048  # pixels of the longer side that an added style keeps


class Look(NamedTuple):
    """How frames are painted."""

    styles: Tuple[str, ...]
    weights: Tuple[float, ...]  # empty: equal
    mask: str  # a mask's name, `params.TOPIC`, or empty: none
    labels: Optional[np.ndarray]  # of a mask with a name, as `images.read_mask` gives them
    max_side: int
    controls: Controls

    def __str__(self):
        shares = ["%s %g" % pair for pair in zip(self.styles, self.weights)] or self.styles
        parts = ["style " + ", ".join(shares), "strength %g" % self.controls.strength]
        rest = describe(self.controls._replace(strength=1.0))
        return ", ".join(parts + ([rest] if rest else []) + (["masked"] if self.mask else []))


class Change(NamedTuple):
    """A request to look otherwise."""

    look: Look
    pictures: Optional[List[Any]]  # of its styles; `CAMERA` or `TOPIC` for one that is still to come; None: as before
    fade: float
    done: concurrent.futures.Future


class StyleTransferNode:
    """The node.  The constructor touches no middleware; `setup` connects, `shutdown` ends.

    Args:
        parameters: `params.Parameters`.
    """

    def __init__(self, parameters):
        self._parameters = parameters
        self._added = tempfile.mkdtemp(prefix="ros_style_transfer_")  # pictures that ~add_style brought
        self._library = StyleLibrary([self._added, *parameters.style_dirs])
        self._random = np.random.default_rng()
        try:
            names = self._named(parameters.style)
            self._pictures = self._read(names)
            self._look = Look(names, parameters.style_weights, parameters.mask, self._labels(parameters.mask),
                              parameters.max_side, parameters.controls)
            self._check(self._look)
        except StyleTransferError:
            shutil.rmtree(self._added)  # or every start that fails would leave one
            raise
        self._fade = 0.0
        self._state, self._message = StyleStatus.LOADING, "loading %s" % parameters.model
        self._device = self._dtype = "not known yet"
        self._last_error = ""
        self._slots, self._requests = LatestSlots(), queue.Queue()
        self._cameras = [Camera(name, parameters, self._slots) for name in parameters.cameras or ("",)]
        self._style_message, self._style_taken = None, 0.0  # the style topic's newest, and when one was taken last
        self._style_subscriber = None
        self._paused = False
        self._changing = threading.Lock()  # one request after the other
        self._awaiting = None  # the change whose style is still to come
        self._awaited_until = 0.0  # the monotonic time at which it has waited long enough
        self._stop, self._peers_changed = threading.Event(), threading.Event()
        self._watched = {}  # camera: when it was subscribed to, until a look was taken whether frames come
        self._renders = Renders(parameters, self._library, self._named, lambda: self._look.styles,
                                self._cameras[0].topic)
        self._reconfigure = Reconfigure(self._fields, self._on_reconfigure, self._lasting_fields)
        self._diagnostics = Diagnostics(self._cameras, parameters.expected_rate, lambda: (
            self._state_now(), self._message, self._last_error, parameters.model, self._device, self._dtype))
        self._threads = []

    def setup(self, is_ending=lambda: False):
        """Advertise everything and start working; the model loads in the background.

        Args:
            is_ending: () to whether the rest need not be done any more.
        """
        self._given = rospy.get_param("~", {})
        listener = _PeerListener(self._peers_changed)
        for camera in self._cameras:
            camera.advertise(listener)
        self._status = rospy.Publisher("~status", StyleStatus, queue_size=1, latch=True)
        self._publish_status()
        self._diagnostics.setup()
        for name, kind, answer in (
                ("set_style", SetStyle, self._on_set_style), ("list_styles", ListStyles, self._on_list_styles),
                ("add_style", AddStyle, self._on_add_style), ("pause", SetBool, self._on_pause),
                ("save", Trigger, self._on_save)):
            rospy.Service("~" + name, kind, answer)
        if is_ending():
            return
        self._renders.setup()
        if is_ending():
            return
        self._reconfigure.setup()
        if is_ending():
            return
        # A master that does not answer holds up whoever asks it, and nobody waits for that thread.
        threading.Thread(target=self._watch_master, name="watch_master", daemon=True).start()
        for target in (self._work, self._keep_house):
            thread = threading.Thread(target=target, name=target.__name__.strip("_"), daemon=True)
            thread.start()
            self._threads.append(thread)

    def shutdown(self):
        """Stop all threads and renders; returns when they have ended.  May be called again, and at any time."""
        self._stop.set()
        self._peers_changed.set()
        self._slots.wake()
        self._reconfigure.shutdown()
        self._renders.shutdown()
        for thread in self._threads:
            if thread is not threading.current_thread():  # housekeeping ends the node when the master was restarted
                thread.join(0.5)
        shutil.rmtree(self._added, ignore_errors=True)

    # --- requests: they store, wait for the worker, and answer --------------------------------

    def _on_list_styles(self, _request):
        paths = self._library.paths()
        return ListStylesResponse(list(paths), list(paths.values()), ",".join(self._look.styles))

    def _on_set_style(self, request):
        success, message = self._ask("set_style", lambda: self._change(request))
        return SetStyleResponse(success, message, ",".join(self._look.styles), self._look.controls.strength)

    def _on_add_style(self, request):
        try:
            if not re.match(r"^[A-Za-z0-9][\w-]{0,63}$", request.name) or request.name in params.NO_PICTURES:
                raise OptionError("a style's name must be letters, digits, - and _, 64 at most, none of %s, not %r"
                                  % (", ".join(params.NO_PICTURES), request.name))
            if conversions.is_empty(request.image):
                raise OptionError("the style %r has no picture: its image is empty" % request.name)
            rgb = images.limit(conversions.to_rgb(request.image), LARGEST_ADDED)
            path = os.path.join(self._added, request.name + ".png")
            images.write(path, rgb)
        except StyleTransferError as error:
            rospy.logwarn("add_style: %s", error)
            return AddStyleResponse(False, str(error))
        if request.use:
            return AddStyleResponse(*self._ask(
                "add_style", lambda: self._changed(self._look, [request.name], (), 0.0, "")))
        return AddStyleResponse(True, "added the style %s, %dx%d" % (request.name, rgb.shape[1], rgb.shape[0]))

    def _on_pause(self, request):
        self._set_paused(request.data)
        return SetBoolResponse(True, self._message)

    def _set_paused(self, paused):
        self._paused = paused
        self._say(self._state, "paused on request" if paused else "going on")
        self._reconfigure.tell()
        self._peers_changed.set()

    def _on_save(self, _request):
        """Write the newest frame and what was painted of it, of every camera."""
        try:
            pairs = [(camera, *camera.newest) for camera in self._cameras if camera.newest is not None]
            if not pairs:
                raise StyleError("no frame was painted yet; does somebody listen to ~image?")
            saved, now = [], datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S.%f")[:-3]
            for camera, content, painted in pairs:
                name = "_".join(camera.name.split("/") + [now]).strip("_")
                paths = [images.path_below(self._parameters.output_dir, "%s_%s.png" % (name, part), "~output_dir")
                         for part in ("content", "painted")]
                for path, rgb in zip(paths, (content, painted)):
                    images.write(path, rgb)
                saved.append(paths[1])
        except StyleTransferError as error:
            rospy.logwarn("save: %s", error)
            return TriggerResponse(False, str(error))
        rospy.loginfo("saved %s", ", ".join(saved))
        return TriggerResponse(True, ", ".join(saved))

    def _on_reconfigure(self, fields):
        """Look as dynamic_reconfigure asks: ``fields`` are those that are to be otherwise."""
        fade = fields.get("fade", self._fade)
        if set(fields) - {"paused", "fade"}:
            success, message = self._ask("reconfigure", lambda: self._changed_fields(fields, fade))
            if not success:
                raise StyleTransferError(message)
        self._fade = fade
        if "paused" in fields:
            self._set_paused(fields["paused"])

    def _ask(self, name, change):
        """Have the worker apply what ``change`` () gives; returns (success, message)."""
        with self._changing:
            try:
                wanted = change()
                self._requests.put(wanted)
                self._slots.wake()
                return True, wanted.done.result(STYLE_TIMEOUT)
            except concurrent.futures.TimeoutError:
                wanted.done.cancel()  # or it would be applied after all, some time
                message = "the style was not set within %g s (state: %s)" % (STYLE_TIMEOUT, self._state)
            except StyleTransferError as error:
                message = str(error)
            if name != "reconfigure":  # which warns by itself
                rospy.logwarn("%s: %s", name, message)
            return False, message

    def _change(self, request):
        """The `Change` that a request to ~set_style asks for; everything that can be wrong is found here."""
        if request.style and request.styles:
            raise OptionError("give either style or styles, not both")
        controls = {item.key: item.value for item in request.controls}
        if request.set_strength:
            controls["strength"] = request.strength
        elif request.strength:
            raise OptionError(
                "strength %g was given without set_strength: true; say both or neither" % request.strength)
        look = self._look._replace(controls=controls_from(controls, self._look.controls))
        return self._changed(look, request.styles or ([request.style] if request.style else []), request.weights,
                             request.fade, request.mask)

    def _changed_fields(self, fields, fade):
        """The same for dynamic_reconfigure's ``fields``."""
        look = self._look
        params.named("max_side", params.check_max_side, fields.get("max_side", look.max_side))
        look = look._replace(controls=controls_of(fields, look.controls),
                             max_side=fields.get("max_side", look.max_side))
        names, weights = (), ()
        if "style" in fields or "style_weights" in fields:
            names = params.named("style", params.names, fields.get("style", ",".join(look.styles)))
            weights = params.named("style_weights", params.numbers, fields.get("style_weights", ""))
        mask = fields.get("mask", look.mask)
        return self._changed(look, names, weights, fade, "" if mask == look.mask else mask or "none")

    def _changed(self, look, names, weights, fade, mask):
        names, pictures = self._named(names), None
        check_weights(weights, len(names))
        within("fade", fade, 0.0, 3600.0)
        if names:
            pictures = self._read(names)
            look = look._replace(styles=names, weights=tuple(weights))
        if mask:
            mask = "" if mask == "none" else mask
            look = look._replace(mask=mask, labels=self._labels(mask))
        self._check(look)
        return Change(look, pictures, fade, concurrent.futures.Future())

    def _named(self, names):
        return tuple(self._library.random(self._random) if name == "random" else name for name in names)

    def _read(self, names):
        return [name if name in (CAMERA, TOPIC) else self._library.read(name) for name in names]

    def _labels(self, mask):
        return self._library.read_mask(mask) if mask not in ("", TOPIC) else None

    def _check(self, look):
        check(look.controls, self._parameters.model)
        if look.labels is not None:
            masks.check(look.labels, *look.labels.shape, len(look.styles))
        if look.mask and look.controls.method == "whiten":
            raise OptionError("the method whiten takes no style, so there is nothing for a mask to say")

    def _fields(self):
        """What is in force, as dynamic_reconfigure shows it."""
        look = self._look
        return dict(fields_of(look.controls), style=",".join(look.styles),
                    style_weights=",".join("%g" % weight for weight in look.weights), fade=float(self._fade),
                    mask=look.mask, max_side=look.max_side, paused=self._paused)

    def _lasting_fields(self):
        """What of that a node that is started again, and has lost the added styles, can begin with."""
        added = os.listdir(self._added)
        if not any(style + ".png" in added for style in self._look.styles):
            return {}
        return {"style": ",".join(self._parameters.style), "mask": self._parameters.mask, "style_weights": ",".join(
            "%g" % weight for weight in self._parameters.style_weights)}

    # --- the worker: the only thread that touches TensorFlow ---------------------------------

    def _work(self):
        try:
            stylizer = self._load()
        except Exception as error:  # whatever it is, the status must say it
            self._say(StyleStatus.ERROR, "cannot load %s: %s" % (self._parameters.model, error), rospy.logerr)
            while not self._stop.is_set():
                self._answer_requests(None)
                self._slots.take(0.5)
            return
        while not self._stop.is_set():
            self._answer_requests(stylizer)
            self._take_style(stylizer)
            taken = self._slots.take(0.5)
            if taken is not None:
                self._paint(stylizer, *taken)
            if self._awaiting is not None and time.monotonic() > self._awaited_until:
                change, self._awaiting = self._awaiting, None
                if change.done.set_running_or_notify_cancel():
                    topic = STYLE_IMAGE if TOPIC in change.look.styles else self._cameras[0].topic
                    change.done.set_exception(StyleError(
                        "no frame came on %s within %g s to become the style; is its camera running?"
                        % (rospy.resolve_name(topic), PATIENCE)))

    def _load(self):
        started = time.monotonic()
        from ..stylizer import Stylizer  # TensorFlow's import takes seconds; the node is up meanwhile

        p = self._parameters
        stylizer = Stylizer(p.model, p.dtype, p.weights_dir or None, max_memory=p.max_memory,
                            gpu_memory_mb=p.gpu_memory_mb)
        self._device, self._dtype = stylizer.device, stylizer.dtype
        self._set_pictures(stylizer)
        # Without swapping: the little picture that warms up may be smaller than a patch.
        controls = self._look.controls._replace(swap=0.0)
        stylizer.warm_up(controls=controls if _complete(self._pictures) else controls._replace(method="whiten"))
        self._say(StyleStatus.READY, "%s loaded in %.1f s, computes in %s%s" % (
            p.model, time.monotonic() - started, stylizer.dtype, ", the fastest here" if p.dtype == "auto" else ""))
        return stylizer

    def _set_pictures(self, stylizer, fade=0.0):
        if _complete(self._pictures):
            stylizer.set_styles(self._pictures, self._look.weights or None, fade)

    def _answer_requests(self, stylizer):
        """Answer what waits; with no ``stylizer``, since it could not be loaded, by refusing."""
        while True:
            try:
                change = self._requests.get_nowait()
            except queue.Empty:
                return
            if stylizer is None:
                if change.done.set_running_or_notify_cancel():
                    change.done.set_exception(StyleTransferError(self._message))
            elif change.pictures and not _complete(change.pictures):
                self._awaiting, self._awaited_until = change, time.monotonic() + PATIENCE
                self._peers_changed.set()  # with nobody listening the camera is not subscribed to
            else:
                self._apply(stylizer, change)

    def _apply(self, stylizer, change):
        """Look as asked from now on."""
        if not change.done.set_running_or_notify_cancel():
            return
        if change.pictures:
            try:
                stylizer.set_styles(change.pictures, change.look.weights or None, change.fade)
            except Exception as error:  # one request never ends the stream
                change.done.set_exception(StyleTransferError("the style cannot be set: %s" % error))
                return
            self._pictures = change.pictures
        elif change.look.mask != self._look.mask:
            stylizer.reset()
        self._look = change.look
        self._say(self._state, str(self._look))
        self._reconfigure.tell()
        change.done.set_result(str(self._look))
        self._peers_changed.set()  # topics may be wanted now, or no longer

    def _fill(self, stylizer, source, rgb):
        """Give the styles that wait for a picture of ``source``, `CAMERA` or `TOPIC`, this one; whether some did."""
        waiting = self._awaiting.pictures if self._awaiting is not None else self._pictures
        filled = lambda pictures: [rgb if isinstance(p, str) and p == source else p for p in pictures]
        if self._awaiting is not None:
            self._awaiting = self._awaiting._replace(pictures=filled(self._awaiting.pictures))
            if _complete(self._awaiting.pictures):
                change, self._awaiting = self._awaiting, None
                self._apply(stylizer, change)
        elif not _complete(self._pictures):  # since the start
            self._pictures = filled(self._pictures)
            self._set_pictures(stylizer)
        return any(isinstance(picture, str) and picture == source for picture in waiting)

    def _take_style(self, stylizer):
        """Paint in the newest picture of the style topic from now on, if there is one and it is time."""
        message = self._style_message
        if message is None or time.monotonic() - self._style_taken < STYLE_PERIOD:
            return
        self._style_message, self._style_taken = None, time.monotonic()
        try:
            rgb = images.limit(conversions.to_rgb(message), LARGEST_ADDED)
            if self._fill(stylizer, TOPIC, rgb) or not _complete(self._pictures):
                return
            pictures = [rgb if name == TOPIC else picture for name, picture in zip(self._look.styles, self._pictures)]
            if not all(map(np.array_equal, pictures, self._pictures)):
                self._pictures = pictures
                # A second's fade: a camera's picture changes all the time, and a style must not flicker.
                self._set_pictures(stylizer, STYLE_PERIOD)
        except Exception as error:  # one picture never ends the stream
            self._warn("the picture on %s cannot be the style: %s" % (rospy.resolve_name(STYLE_IMAGE), error))

    def _paint(self, stylizer, camera, frame):
        try:
            moments = [time.monotonic()]
            whole = conversions.to_rgb(frame.message)
            rgb = images.limit(whole, self._look.max_side)
            self._fill(stylizer, CAMERA, rgb)
            if self._paused:
                return
            labels = self._look.labels
            if frame.mask is not None and self._look.mask == TOPIC:
                labels = conversions.to_labels(frame.mask)
            if not _complete(self._pictures):
                raise StyleError("no picture came on %s yet to become the style" % rospy.resolve_name(STYLE_IMAGE))
            moments.append(time.monotonic())
            painted = stylizer.stylize(rgb, self._look.controls, labels, camera.name)
            moments.append(time.monotonic())
            header = frame.message.header
            messages = camera.encode(painted, header)
            moments.append(time.monotonic())
            camera.publish(messages, header, rgb.shape[1] / whole.shape[1], rgb.shape[0] / whole.shape[0])
            moments.append(time.monotonic())
            camera.newest = rgb, painted
        except rospy.ROSException:
            return  # shutting down: the publisher is closed
        except StyleTransferError as error:
            self._skip(camera, str(error))
        except Exception as error:  # one frame never ends the stream
            self._skip(camera, "a frame could not be painted: %s" % error)
        else:
            camera.meter.published(moments[-1] - frame.arrival, tuple(np.diff(moments)))

    def _skip(self, camera, message):
        camera.meter.failed()
        self._warn("frame skipped: " + message, message)

    def _warn(self, message, short=None):
        self._message = self._last_error = short or message
        rospy.logwarn_throttle_identical(10, message)

    # --- housekeeping -----------------------------------------------------------------------

    def _keep_house(self):
        due = time.monotonic()
        while not self._stop.is_set():
            self._peers_changed.wait(max(0.0, due - time.monotonic()))
            self._peers_changed.clear()
            try:
                self._subscribe_as_wanted()
                if time.monotonic() >= due:
                    due = time.monotonic() + STATUS_PERIOD
                    self._warn_if_blind()
                    self._publish_status()
                    self._diagnostics.publish()
            except Exception as error:  # the master may be away for a moment
                if not self._stop.is_set():
                    rospy.logerr_throttle_identical(10, "housekeeping: %s" % error)

    def _subscribe_as_wanted(self):
        """Subscribe to a camera while somebody listens, or a request waits for a frame; to the style topic while
        it is the style."""
        awaiting = self._awaiting  # the worker may drop it any time
        awaited = awaiting.look.styles if awaiting is not None and not awaiting.done.done() else ()
        for camera in self._cameras:
            listened = camera.has_listeners() or self._parameters.always_subscribe
            if (CAMERA in awaited or (listened and not self._paused)) and not self._stop.is_set():
                if not camera.subscribed:
                    self._watched[camera] = time.monotonic()
                camera.subscribe(masked=self._look.mask == TOPIC)
            elif camera.subscribed:
                camera.unsubscribe()
                self._watched.pop(camera, None)
        followed = TOPIC in awaited or (TOPIC in self._look.styles and not self._paused)
        if followed and self._style_subscriber is None and not self._stop.is_set():
            self._style_taken = 0.0
            self._style_subscriber = subscribe(STYLE_IMAGE, self._on_style, self._parameters.image_transport)
        elif not followed and self._style_subscriber is not None:
            self._style_subscriber.unregister()
            self._style_subscriber = self._style_message = None

    def _on_style(self, message):
        if not conversions.is_empty(message):
            self._style_message = message
            self._slots.wake()

    def _warn_if_blind(self):
        """Say which topic brings nothing, once for each subscription."""
        now = time.monotonic()
        for camera, since in list(self._watched.items()):
            if now - since < PATIENCE:
                continue
            del self._watched[camera]
            if camera.meter.read().input_rate == 0:
                self._say_blind(camera)
        for camera in self._cameras:
            if camera.subscribed and camera.is_bare():
                self._warn("no mask came beside the frames of %s for %g s: they are painted whole"
                           % (rospy.resolve_name(camera.topic), MASK_PATIENCE))

    def _say_blind(self, camera):
        topic = resolved(camera.topic, self._parameters.image_transport)
        publishers = dict(rosgraph.Master(rospy.get_name()).getSystemState()[0]).get(topic)
        self._message = "no frame came on %s for %g s (%s); is its camera running?" % (
            topic, PATIENCE, "published by " + ", ".join(publishers) if publishers else "nobody publishes it")
        rospy.logwarn("%s", self._message)

    def _watch_master(self):
        """End when the ROS master is another one: rospy never registers with it, so nobody would find this node."""
        first = None
        while not self._stop.is_set():
            try:
                pid = rosgraph.Master(rospy.get_name()).getPid()
                if first is None:
                    first = pid
                elif pid != first:
                    # roslaunch sets parameters once: whoever it brings back is to find them again.
                    for name, value in {**self._given, **self._fields(), **self._lasting_fields()}.items():
                        rospy.set_param("~" + name, value)
                    rospy.logerr("the ROS master was restarted and does not know this node: ending; roslaunch brings "
                                 "it back with respawn:=true")
                    rospy.signal_shutdown("the ROS master was restarted")
                    return
            except (OSError, rosgraph.MasterException) as error:
                rospy.logwarn_throttle(60, "the ROS master at %s does not answer: %s"
                                       % (rosgraph.get_master_uri(), error))
            self._stop.wait(MASTER_PERIOD)

    def _state_now(self):
        resting = self._paused or not any(camera.subscribed for camera in self._cameras)
        return StyleStatus.PAUSED if self._state == StyleStatus.READY and resting else self._state

    def _publish_status(self):
        counts = stream_stats.together(camera.meter.read() for camera in self._cameras)
        steps = {name + "_time": seconds for name, seconds in zip(stream_stats.STEPS, counts.steps)}
        status = StyleStatus(
            state=self._state_now(), model=self._parameters.model, style=",".join(self._look.styles),
            weights=self._look.weights, controls=describe(self._look.controls),
            strength=self._look.controls.strength,
            input_rate=counts.input_rate, output_rate=counts.output_rate, latency=counts.latency,
            dropped=counts.dropped, failed=counts.failed, message=self._message, **steps)
        status.header.stamp = rospy.get_rostime()
        try:
            self._status.publish(status)
        except rospy.ROSException:
            pass  # shutting down

    def _say(self, state, message, log=rospy.loginfo):
        self._state, self._message = state, message
        if state == StyleStatus.ERROR:
            self._last_error = message
        log("%s", message)
        self._publish_status()


def _share_one_heap():
    """glibc gives threads heaps of their own, and frames that are made on one and freed on another let them all grow,
    by megabytes a minute; with a single one the memory stays flat, and painting is no slower."""
    try:
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
    except AttributeError:
        pass  # another C library, without such heaps


def _complete(pictures):
    """Whether none of them is still to come."""
    return not any(isinstance(picture, str) for picture in pictures)


class _PeerListener(rospy.SubscribeListener):
    """Notes that somebody came or went.  rospy calls this from connection threads, even from
    inside ``publish()``, so it decides nothing itself."""

    def __init__(self, event):
        super().__init__()
        self._event = event

    def peer_subscribe(self, topic_name, topic_publish, peer_publish):
        self._event.set()

    def peer_unsubscribe(self, topic_name, num_peers):
        self._event.set()


def main():
    """Run the node until shutdown; a wrong parameter ends it with one log line and code 1."""
    _share_one_heap()
    environment.leave_out_keras()
    rospy.init_node("style_transfer", disable_signals=True)
    # rospy's own handler talks to the master from wherever the signal finds us, and in the middle of another
    # call waits for that one's lock for ever.
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    try:
        node = StyleTransferNode(params.read())
    except StyleTransferError as error:
        rospy.logfatal("style_transfer: %s", error)
        raise SystemExit(1) from None
    rospy.on_shutdown(node.shutdown)
    node.setup(ending.is_set)
    while not ending.wait(0.1) and not rospy.is_shutdown():
        pass
    rospy.signal_shutdown("a signal came")
    node.shutdown()  # the hook is not called again if the master had begun to end us
    # The worker may be in TensorFlow's import, which nothing interrupts and Python would wait for.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)
