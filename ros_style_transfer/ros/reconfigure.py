"""What dynamic_reconfigure shows and changes of the node, in step with its services and parameters."""
import threading

import rospy
from dynamic_reconfigure.server import Server

from ros_style_transfer.cfg import StyleTransferConfig

from ..controls import ALL_LEVELS, DESCRIPTIONS, controls_from
from ..errors import StyleTransferError

_LEVEL = "level_strength_"
# Of the controls, what a field says in place of None.
_OWN = {"levels": "", "method": "", "swap_level": 0}


class Reconfigure:
    """The server of dynamic_reconfigure.  The constructor touches no middleware; `setup` connects.

    A request is answered when the node looks as it asks; one that it refuses, with a warning that
    says why, changes nothing, and whoever asked is shown what is in force.

    Args:
        now: () to what is in force, by the names of `cfg/StyleTransfer.cfg`.
        change: (what is to be otherwise, by name), raises `StyleTransferError`.
        lasting: () to those parameters that are to be otherwise for a node that is started again.
    """

    def __init__(self, now, change, lasting):
        self._now, self._change, self._lasting = now, change, lasting
        self._telling = threading.local()
        self._news, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._tell, name="reconfigure", daemon=True)

    def setup(self):
        # The server starts from the parameters, which may be lists, or names that were chosen at random.
        known = rospy.get_param("~", {})
        for name, value in self._now().items():
            if name in known and known[name] != value:
                rospy.set_param("~" + name, value)
        self._telling.active = True
        self._server = Server(StyleTransferConfig, self._on_request)
        self._telling.active = False
        self._thread.start()

    def shutdown(self):
        self._stop.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(0.5)

    def tell(self):
        """Say soon that something has changed."""
        self._news.set()

    def _tell(self):
        # A thread of its own: the server's lock is held as long as a request waits for the node.
        self._telling.active = True
        while True:
            self._news.wait()
            self._news.clear()
            if self._stop.is_set():
                return
            try:
                self._server.update_configuration(self._now())
                for name, value in self._lasting().items():
                    rospy.set_param("~" + name, value)
            except Exception as error:  # the master may be away for a moment
                if not rospy.is_shutdown():
                    rospy.logwarn_throttle(10, "dynamic_reconfigure: %s" % error)

    def _on_request(self, config, _level):
        now = self._now()
        if not getattr(self._telling, "active", False):
            wanted = {name: config[name] for name in now if config[name] != now[name]}
            if wanted:
                try:
                    self._change(wanted)
                except StyleTransferError as error:
                    rospy.logwarn("reconfigure: %s", error)
        config.update(self._now())
        return config


def fields_of(controls):
    """`controls.Controls` as the fields that show them."""
    fields = dict(controls._asdict())
    strengths = fields.pop("level_strength")
    for level in ALL_LEVELS:
        fields[_LEVEL + str(level)] = float(strengths.get(level, 1.0))
    fields["levels"] = ",".join(map(str, controls.levels or ()))
    return {name: _OWN[name] if value is None else value for name, value in fields.items()}


def controls_of(fields, controls):
    """The ``controls`` with what ``fields``, some of them, say otherwise.

    Raises:
        OptionError: a text does not parse.  Ranges are for `controls.check`.
    """
    strengths = dict(controls.level_strength)
    values = {}
    for name, value in fields.items():
        if name.startswith(_LEVEL):
            strengths[int(name[len(_LEVEL):])] = value
        elif name in DESCRIPTIONS:
            values[name] = None if value == _OWN.get(name) else value
    values["level_strength"] = {level: value for level, value in strengths.items() if value != 1.0}
    return controls_from(values, controls)
