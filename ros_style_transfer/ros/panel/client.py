"""The panel's connection to the node: a `NodeClient` whose answers arrive in the thread of Qt.

All methods must be called from that thread.
"""

from typing import Any

from python_qt_binding.QtCore import QObject, Signal

from ..node_client import Answer, NodeClient


class _Dispatcher(QObject):
    """Calls functions in the thread that has made it."""

    _answered = Signal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self._answered.connect(self._call)  # a method: a plain function would be called in the emitting thread

    def deliver(self, then: Answer, answer: Any) -> None:
        try:
            self._answered.emit(then, answer)
        except RuntimeError:
            pass  # the window is closed

    def _call(self, then: Answer, answer: Any) -> None:
        then(answer)

    def stop(self) -> None:
        self._answered.disconnect()


class PanelClient(NodeClient):
    """The node as the panel sees it; see `NodeClient`."""

    def __init__(self, node: str = "style_transfer", image: str = "image") -> None:
        self._dispatcher = _Dispatcher()
        super().__init__(node, image, self._dispatcher.deliver)

    def connect(self) -> None:
        super().connect()
        self.watch(self.image_topics())

    def shutdown(self) -> None:
        self._dispatcher.stop()
        super().shutdown()
