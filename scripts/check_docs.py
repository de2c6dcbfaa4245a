"""Runs the examples of the documentation and compares what they print.

python3 scripts/check_docs.py BINARY FILE.md...           the ```console blocks
python3 scripts/check_docs.py --python PYTHON FILE.md...  the ```python blocks

Every command (`$ ...`) of a file runs in one shell, each block in the same, at first empty folder, with BINARY first on the path as
`tagwise` and `cargo run` building this checkout. Lines below a command are what it must print, in this order,
on stdout or stderr: words count, numbers may differ from machine to machine, `…` stands for
anything. A block that is not for running says so, and why, in the line before it: `<!-- not run: REASON -->`;
one that needs a data set that is not in the project, `<!-- needs: yeast -->`, is skipped where the data
set is neither in TAGWISE_TEST_DATA nor in shared/data beside the checkout, and one that needs another program,
`<!-- with: tagwise-cluster -->`, where that is not on the path. A page with `<!-- after: README.md -->`
goes on in the folder that this page has left, which must be among those before it.

Python blocks of a file run one after the other in one process of PYTHON, which has the package tagwise, in
an empty folder; what stands behind `>>> ` must show exactly what follows it.
"""

import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
END_OF_COMMAND = "\x1e"


class Block:
    def __init__(self, line, note):
        self.line, self.note, self.commands = line, note, []

    def add(self, line):
        if line.startswith("$ "):
            self.commands.append([line[2:], []])
        elif self.commands and is_open(self.commands[-1][0]) and not self.commands[-1][1]:
            self.commands[-1][0] += "\n" + line
        elif self.commands:
            self.commands[-1][1].append(line)


def is_open(command):
    """Whether the next line belongs to the command too."""
    is_loop = command.startswith("for ") and not command.rstrip().endswith("done")
    return command.endswith("\\") or is_loop


def blocks(text):
    """The console blocks of a page, each with the comment in the line before it."""
    found, current, before = [], None, ""
    for number, line in enumerate(text.splitlines(), 1):
        if current is not None and line.startswith("```"):
            current = None
        elif current is not None:
            current.add(line)
        elif line.startswith("```console"):
            current = Block(number, before)
            found.append(current)
        before = line
    return found


def normal(line):
    line = NUMBER.sub("#", line)
    return " ".join(re.sub("─+", "─", line).split())


def first_missing(expected, printed):
    """The first expected line that is not printed after the ones before it, however lines are broken."""
    words, place = normal(printed), 0
    for line in expected:
        for part in map(normal, line.split("…")):
            found = words.find(part, place)
            if found < 0:
                return line
            place = found + len(part)
    return None


def provide(name, folder):
    """Puts a data set of Mulan's into the folder; false where there is none."""
    base = pathlib.Path(os.environ.get("TAGWISE_TEST_DATA", ROOT.parent / "shared/data"))
    archive = base / "tabular/mulan.tar.xz"
    if not archive.exists():
        return False
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.startswith(f"mulan/{name}/{name}.") and member.isfile():
                (folder / pathlib.Path(member.name).name).write_bytes(tar.extractfile(member).read())
    return any(folder.glob(f"{name}.*"))


def runnable(page, folder):
    chosen = []
    for block in blocks(page.read_text(encoding="utf-8")):
        reason = re.search(r"<!-- not run: (.+) -->", block.note)
        needs = re.search(r"<!-- needs: (\w+) -->", block.note)
        program = re.search(r"<!-- with: ([\w-]+) -->", block.note)
        if reason:
            print(f"{page.name}:{block.line}: not run, {reason[1]}")
        elif program and shutil.which(program[1]) is None:
            print(f"{page.name}:{block.line}: skipped, no {program[1]} on the path")
        elif needs and not provide(needs[1], folder):
            print(f"{page.name}:{block.line}: skipped, no {needs[1]}")
        else:
            chosen.append(block)
    return chosen


def run(commands, binary, folder):
    """What each command printed, with its exit code."""
    tools = folder / ".tools"
    tools.mkdir(exist_ok=True)
    (tools / "tagwise").unlink(missing_ok=True)
    (tools / "tagwise").symlink_to(binary)
    cargo = tools / "cargo"
    cargo.write_text(f'#!/bin/sh\nPATH=${{PATH#*:}}\ncommand=$1\nshift\n'
                     f'exec cargo "$command" --manifest-path {ROOT}/Cargo.toml --locked "$@"\n')
    cargo.chmod(cargo.stat().st_mode | stat.S_IXUSR)
    script = "".join(f"{{ {command}\n}} 2>&1\nprintf '%s' $?\"{END_OF_COMMAND}\"\n" for command in commands)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "CARGO_TERM_QUIET": "true"}
    shell = subprocess.run(["bash"], input=script, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE)
    return [re.fullmatch(r"(.*?)(\d+)", part, re.DOTALL).groups()
            for part in shell.stdout.split(END_OF_COMMAND)[:-1]]


PYTHON_BLOCKS = r"""
import doctest, pathlib, re, sys
page = pathlib.Path(sys.argv[1])
space, failed = {"__name__": "__main__"}, 0
for block in re.finditer(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S):
    line = page.read_text(encoding="utf-8")[:block.start()].count("\n") + 1
    print(f"{page.name}:{line}: python", flush=True)
    if ">>>" in block[1]:
        test = doctest.DocTestParser().get_doctest(block[1], space, page.name, str(page), line)
        failed += doctest.DocTestRunner(verbose=False).run(test, clear_globs=False).failed
        space.update(test.globs)
    else:
        exec(compile("\n" * line + block[1], str(page), "exec"), space)
sys.exit(failed > 0)
"""


def check_python(page, interpreter):
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run([interpreter, "-c", PYTHON_BLOCKS, page], cwd=folder).returncode != 0


def check(page, binary, folder):
    failures = 0
    chosen = runnable(page, folder)
    commands = [(block, *command) for block in chosen for command in block.commands]
    # Each block starts in the folder, whatever the one before left.
    scripts = [("" if place else f"cd {folder}\n") + command
               for block in chosen for place, (command, _) in enumerate(block.commands)]
    results = run(scripts, binary, folder)
    for (block, command, expected), (printed, code) in zip(commands, results, strict=True):
        missing = first_missing(expected, printed)
        if code == "0" and missing is None:
            print(f"{page.name}:{block.line}: $ {command.splitlines()[0]}")
            continue
        failures += 1
        why = f"ended with {code}" if code != "0" else f"did not print: {missing}"
        print(f"{page.name}:{block.line}: $ {command}\n  {why}; it printed:\n{printed}", file=sys.stderr)
    return failures


def check_all(pages, binary):
    failures = 0
    with tempfile.TemporaryDirectory() as scratch:
        for page in pages:
            after = re.search(r"<!-- after: (\S+) -->", page.read_text(encoding="utf-8"))
            # Two pages may be called README.md.
            name = after[1] if after else os.path.relpath(page, ROOT)
            folder = pathlib.Path(scratch) / name.replace("/", ",")
            if after and not folder.exists():
                sys.exit(f"{page.name}: expected {after[1]} among the pages before it, whose folder it goes on in")
            folder.mkdir(exist_ok=True)
            failures += check(page, binary, folder)
    return failures


def main():
    if sys.argv[1] == "--python":
        # The link of a virtual environment must stay a link.
        interpreter, *pages = sys.argv[2:]
        failures = sum(check_python(pathlib.Path(page).resolve(), os.path.abspath(interpreter)) for page in pages)
    else:
        binary, *pages = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
        failures = check_all(pages, binary)
    if failures:
        sys.exit(f"{failures} examples of the documentation do not do what it says")


if __name__ == "__main__":
    main()
