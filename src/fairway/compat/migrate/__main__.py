"""``python -m fairway.compat.migrate``: the command without Django and without settings."""

import argparse
import sys

from fairway.compat.migrate.command import HELP, add_arguments, execute


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fairway.compat.migrate", description=HELP)
    add_arguments(parser)
    options = parser.parse_args()
    try:
        return execute(
            path=options.path,
            write_at_once=options.write,
            show_only=options.dry_run,
            check=options.check,
            force_dirty=options.force_dirty,
            out=sys.stdout,
            ask=input if sys.stdin.isatty() else None,
        )
    except (OSError, RuntimeError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
