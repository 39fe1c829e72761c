"""The panel as a plugin of rqt.  Untested: Debian 12 has no rqt."""
from rqt_gui_py.plugin import Plugin

from .client import PanelClient
from .window import StylePanel


class StylePlugin(Plugin):
    """What ``plugin.xml`` names."""

    def __init__(self, context):
        super().__init__(context)
        self.setObjectName("StylePanel")
        self._panel = StylePanel(PanelClient())
        context.add_widget(self._panel)

    def shutdown_plugin(self):
        """rqt closes the plugin."""
        self._panel.shutdown()
