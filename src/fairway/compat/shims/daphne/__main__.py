"""``python -m daphne`` is Daphne's command line."""

from fairway.compat.shims.daphne.cli import CommandLineInterface

if __name__ == "__main__":
    CommandLineInterface.entrypoint()
