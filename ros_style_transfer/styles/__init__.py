"""The styles that we ship, painted by `paint.py`; Apache-2.0 like the code."""
