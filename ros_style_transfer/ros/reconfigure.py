"""The node's server of dynamic_reconfigure, kept in step with its services and parameters."""

import threading
from typing import Any, Callable, Mapping

import rospy
from dynamic_reconfigure.server import Server
from dynamic_reconfigure.srv import ReconfigureRequest

from ros_style_transfer.cfg import StyleTransferConfig

from ..errors import StyleTransferError


class _Server(Server):
    """The library's server fails on requests with groups, which `dynparam load` and rqt_reconfigure's load send.
    Ours have no state, so nothing is lost without them."""

    def _set_callback(self, request: ReconfigureRequest) -> Any:
        request.config.groups = []
        return super()._set_callback(request)


class Reconfigure:
    """The server of dynamic_reconfigure.  The constructor touches no middleware; `setup` connects.

    A request is answered when its changes are in force.  A request that is refused changes nothing: a warning
    says why, and the client receives the values in force.

    Args:
        current_values: returns the values in force, by the names of `fields.FIELDS`.
        apply: called with the changed values, by name; raises `StyleTransferError` to refuse them.
        restart_values: returns the parameters that a restarted node must find different from the values in force.
    """

    def __init__(
        self,
        current_values: Callable[[], Mapping[str, Any]],
        apply: Callable[[Mapping[str, Any]], Any],
        restart_values: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._current_values, self._apply, self._restart_values = current_values, apply, restart_values
        self._publishing = threading.local()  # .active while the server's callback comes from this class itself
        self._changed, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._publish, name="reconfigure", daemon=True)

    def setup(self) -> None:
        """Start the server."""
        # It starts from the parameters on the parameter server, which may be lists, or `random` for a style.
        parameters = rospy.get_param("~", {})
        for name, value in self._current_values().items():
            if name in parameters and parameters[name] != value:
                rospy.set_param("~" + name, value)
        self._publishing.active = True
        self._server = _Server(StyleTransferConfig, self._on_request)
        self._publishing.active = False
        self._thread.start()

    def shutdown(self) -> None:
        """Stop publishing changes."""
        self._stop.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(0.5)

    def notify(self) -> None:
        """Publish the values in force soon, because they have changed."""
        self._changed.set()

    def _publish(self) -> None:
        # In a thread of its own, because a request holds the server's lock while it waits for the node.
        self._publishing.active = True
        while True:
            self._changed.wait()
            self._changed.clear()
            if self._stop.is_set():
                return
            try:
                self._server.update_configuration(self._current_values())
                for name, value in self._restart_values().items():
                    rospy.set_param("~" + name, value)
            except Exception as error:  # the master may be unreachable for a moment
                if not rospy.is_shutdown():
                    rospy.logwarn_throttle(10, "dynamic_reconfigure: %s" % error)

    def _on_request(self, config: Any, _level: int) -> Any:
        current = self._current_values()
        if not getattr(self._publishing, "active", False):
            changes = {name: config[name] for name in current if config[name] != current[name]}
            if changes:
                try:
                    self._apply(changes)
                except StyleTransferError as error:
                    rospy.logwarn("reconfigure: %s", error)
        config.update(self._current_values())
        return config
