"""Errors that a user can cause and mend, and paths as users write them."""

from __future__ import annotations

from pathlib import Path


class UserError(Exception):
    """Wrong input from outside: a config value, a path, a file.

    The message is one line, names what is wrong and what would be valid. The command line prints it
    without a traceback and exits with code 2.
    """

    exit_code = 2


def user_path(written: str | Path) -> Path:
    """The path that a user means, with `~` spelled out.

    A shell passes `--workdir=~/runs` on as it stands, which would make a folder named `~`.

    Raises:
      UserError: `~NAME`, and nobody here is called so.

    Example:
      >>> user_path("~/runs") == Path.home() / "runs"
      True
    """
    try:
        return Path(written).expanduser()
    except RuntimeError:
        home = Path(written).parts[0]
        raise UserError(f"{written}: {home} is no home folder here; give the whole path") from None
