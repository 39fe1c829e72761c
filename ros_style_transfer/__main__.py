"""``python -m ros_style_transfer``, see `cli.main`."""

import sys

from .environment import limit_numpy_threads


def main() -> None:
    """Run the command line."""
    limit_numpy_threads()  # NumPy reads this when it is imported
    try:
        from .cli.main import main
    except KeyboardInterrupt:  # imports take a second
        sys.exit(130)
    main()


if __name__ == "__main__":
    main()
