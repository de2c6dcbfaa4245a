"""Checks that what `cargo package` made holds every file that the packaged sources name.

python3 scripts/check_packages.py FOLDER

Cargo can build each package to verify it, which takes as long as building everything once more. What breaks
a package in practice is a file that its sources take in at compile time and that lies outside of the crate; this
finds those in the archives alone: every `include_str!` and `include_bytes!` of a path must lead to a file of the
same package.
"""

import pathlib
import posixpath
import re
import sys
import tarfile

INCLUDE = re.compile(r'include_(?:str|bytes)!\(\s*"([^"]+)"')


def missing(archive):
    """Places that name a file which the archive lacks."""
    with tarfile.open(archive) as tar:
        files = {member.name for member in tar if member.isfile()}
        for name in sorted(files):
            if not name.endswith(".rs"):
                continue
            text = tar.extractfile(name).read().decode("utf-8")
            for path in INCLUDE.findall(text):
                target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
                if target not in files:
                    yield f"{archive.name}: {name} takes in {path}, which is not in the package"


def main():
    archives = sorted(pathlib.Path(sys.argv[1]).glob("*.crate"))
    if not archives:
        sys.exit(f"no packages in {sys.argv[1]}")
    problems = [problem for archive in archives for problem in missing(archive)]
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        sys.exit(1)
    print(f"{len(archives)} packages are whole")


if __name__ == "__main__":
    main()
