"""Who may use the page: the token, and the checks of where a request comes from.  Nothing here needs ROS."""

import hmac
import ipaddress
import secrets
from typing import Mapping, Optional
from urllib.parse import urlsplit

MIN_TOKEN = 16  # characters of a token that the user chooses

# What every response says: nothing but our own files runs, nobody frames or embeds the page, nothing is stored.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches ``host``, a name or an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(18)


class Access:
    """The checks of a request.

    Args:
        token: that every request must show; empty: none is needed, because only this computer reaches the server.
    """

    def __init__(self, token: str = "") -> None:
        self.token = token

    def matches(self, token: str) -> bool:
        """Whether ``token`` is ours, compared in constant time."""
        return hmac.compare_digest(self.token.encode(), token.encode("utf-8", "replace"))

    def refusal(self, headers: Mapping[str, str], token: str, is_page: bool) -> Optional[str]:
        """Why a request is refused; None if it is not.

        Args:
            headers: of the request.
            token: that it shows.
            is_page: whether it asks for the page itself, which other pages may link to.
        """
        host = headers.get("Host", "")
        if self.token and not self.matches(token):
            return "Open the full link that web_panel printed when it started: the token is missing or wrong."
        # Without a token, a page of the internet could reach us through a name that leads to this computer.
        if not self.token and not is_loopback(urlsplit("//" + host).hostname or ""):
            return "Open the page as http://localhost, not as %s." % (host or "an unnamed host")
        origin = headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "A page of another origin (%s) may not use this one." % origin
        if headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none") and not is_page:
            return "A page of another site may not use this one."
        return None
