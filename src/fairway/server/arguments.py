"""What may be typed: the command line is made from the options, and read here."""

import argparse
import difflib
import functools
import os
import shlex
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

import fairway
from fairway.server.config import Config, ConfigError, Option, options

#: The environment variable with options as they are typed.
VARIABLE: Final = "FAIRWAY_OPTIONS"

_EPILOG: Final = """\
examples:
  fairway mysite.asgi:application
  fairway -b 0.0.0.0 -p 8001 mysite.asgi:application
  fairway -w auto -p 8001 mysite.asgi:application
  fairway -u /run/mysite.sock --proxy-headers mysite.asgi:application

Durations are seconds, sizes are bytes. A duration of 0 or less and a size of 0
mean that there is no limit.

Every option may also stand in the environment variable FAIRWAY_OPTIONS, spelt as
here, and is a key of the Django setting FAIRWAY, such as FAIRWAY = {"ping_interval":
25}. What is typed wins over the variable, and that over the setting.
"""


def read(argv: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """What was typed, and what the environment says where it was not.

    Only what was said appears in the result, so that settings can fill in the rest. If it is no
    command line, the process ends with 2, the usage and a line.

    Args:
        argv: The command line, without the program's name.

    Returns:
        The path of the application; and the options by their names.

    Raises:
        ConfigError: An option in the environment has a value that cannot be used.
    """
    parser = make_parser()
    words = _in_environment(parser)
    return _parse(parser, [*words, *argv])


def _in_environment(parser: "_Parser") -> list[str]:
    where = f"In the environment variable {VARIABLE}: "
    try:
        words = shlex.split(os.environ.get(VARIABLE, ""))
        parser.where = where
        # By itself first, so that a complaint says where to look.
        Config.from_mapping(_parse(parser, ["module:application", *words])[1])
    except ValueError as error:  # a quotation that does not end; or a ConfigError
        raise ConfigError(f"{where}{error}") from None
    parser.where = ""
    return words


def _parse(parser: "_Parser", words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    found = vars(parser.parse_args(words))
    return found.pop("application"), found


class _Parser(argparse.ArgumentParser):
    """Finds the option that was misspelled; else the application behind it is wrong, too.

    Attributes:
        where: What stands before a complaint.
    """

    where = ""

    def error(self, message: str) -> NoReturn:
        super().error(f"{self.where}{message}")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        parsed, unknown = self.parse_known_args(args, namespace)
        flag = next((word.partition("=")[0] for word in unknown if word.startswith("-")), None)
        if flag is not None:
            near = difflib.get_close_matches(flag, self._option_string_actions, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            self.error(f"There is no option {flag}.{hint}")
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed


def make_parser() -> _Parser:
    """The parser of the command line, made from :func:`fairway.server.config.options`.

    Only what was typed appears in its result, so that settings can fill in the rest.
    """
    parser = _Parser(
        prog="fairway",
        # All flags in brackets would hide what is wrong under twenty lines.
        usage="%(prog)s [options] module:application  (--help lists the options)",
        description="Serve an ASGI application over HTTP and WebSocket.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "application",
        metavar="module:application",
        help="what to serve, such as mysite.asgi:application",
    )
    parser.add_argument("--version", action="version", version=f"fairway {fairway.__version__}")
    groups: dict[str, argparse._ArgumentGroup] = {}
    for option in options():
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        _add_option(groups[option.group], option)
    groups["HTTP"].add_argument(
        "--no-server-name",
        dest="server_name",
        action="store_const",
        const="",
        help="Send no Server header.",
    )
    return parser


def _add_option(group: "argparse._ArgumentGroup", option: Option) -> None:
    text = option.help.replace("%", "%%")
    if option.type is bool:
        # Also --no-…, for what the settings have switched on.
        action = argparse.BooleanOptionalAction
        group.add_argument(*option.flags, dest=option.name, action=action, help=text)
        return
    if option.repeated:
        group.add_argument(
            *option.flags, dest=option.name, action=_Collect, metavar=option.metavar, help=text
        )
        return
    default = ",".join(option.default) if option.type is tuple else option.default
    if default not in (None, ""):
        shown = (f"{default:g}" if option.type is float else str(default)).replace("%", "%%")
        text += f" [{shown}{' ' + option.unit if option.unit else ''}]"
    kind: Any = option.type if option.type is not tuple else _split
    if option.parse is not None:
        kind = functools.partial(_value, option.parse)
    group.add_argument(
        *option.flags,
        dest=option.name,
        type=kind,
        choices=option.choices or None,
        metavar=option.metavar or option.unit.upper() or None,
        help=text,
    )


class _Collect(argparse.Action):
    """Collects what a flag is given in all its places."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Take one."""
        setattr(namespace, self.dest, (*(getattr(namespace, self.dest, ())), values))


def _value(parse: Callable[[str], Any], text: str) -> Any:
    """What an option's own function makes of a text; what is wrong with it is said as it says."""
    try:
        return parse(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
