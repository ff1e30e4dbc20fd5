"""``manage.py fairway_migrate``: rewrite the project for Fairway."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fairway.compat.migrate.command import HELP, add_arguments, execute


class Command(BaseCommand):
    help = (
        f"{HELP} Where the project does not start, because Channels is gone already, use "
        "python -m fairway.compat.migrate, which is the same."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.ending = ""
        try:
            code = execute(
                path=options["path"],
                write_at_once=options["write"],
                show_only=options["dry_run"],
                check=options["check"],
                force_dirty=options["force_dirty"],
                out=self.stdout,
                ask=input if sys.stdin.isatty() else None,
            )
        except (OSError, RuntimeError) as error:
            raise CommandError(str(error)) from error
        if code:
            sys.exit(code)
