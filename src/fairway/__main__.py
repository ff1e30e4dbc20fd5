"""``python -m fairway`` is the ``fairway`` command."""

from fairway.server.cli import main

if __name__ == "__main__":
    main()
