"""``python -m ros_style_transfer``, see `cli.main`."""

from .environment import limit_numpy_threads


def main():
    """Run the command line."""
    limit_numpy_threads()  # numpy reads this when it is imported
    from .cli.main import main

    main()


if __name__ == "__main__":
    main()
