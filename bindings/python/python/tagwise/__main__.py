"""`python -m tagwise`: the command of the package, wherever its environment keeps it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig


def find_command() -> str:
    """The program that was installed with the package.

    Raises
    ------
    FileNotFoundError
        Where the package was installed without it, as from a build that is not the wheel.
    """
    name = "tagwise" + (sysconfig.get_config_var("EXE") or "")
    schemes = [sysconfig.get_path("scripts")]
    schemes.append(sysconfig.get_path("scripts", scheme=sysconfig.get_preferred_scheme("user")))
    # pip install --target puts it beside the package.
    schemes.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bin"))
    for folder in schemes:
        command = os.path.join(folder, name)
        if os.path.isfile(command):
            return command
    raise FileNotFoundError(f"expected the command {name} in one of {', '.join(schemes)}, found none; install the wheel")


def main() -> int:
    """Runs the command with the arguments of this process."""
    try:
        command = find_command()
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    arguments = [command, *sys.argv[1:]]
    if os.name == "nt":
        return subprocess.run(arguments, check=False).returncode
    os.execv(command, arguments)


if __name__ == "__main__":
    sys.exit(main())
