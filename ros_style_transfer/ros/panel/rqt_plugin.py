"""The panel as a plugin of rqt.  Untested: Debian 12 has no rqt."""

from typing import Any

from rqt_gui_py.plugin import Plugin

from .client import PanelClient
from .window import StylePanel


class StylePlugin(Plugin):
    """The class that ``plugin.xml`` names."""

    def __init__(self, context: Any) -> None:
        super().__init__(context)
        self.setObjectName("StylePanel")
        self._panel = StylePanel(PanelClient())
        context.add_widget(self._panel)

    def shutdown_plugin(self) -> None:
        """Disconnect, because rqt closes the plugin."""
        self._panel.shutdown()
