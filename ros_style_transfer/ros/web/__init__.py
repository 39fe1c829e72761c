"""The web page: the node in a browser.  `main` starts it."""
