"""Checks the licences and the versions of all dependencies, from what cargo knows of them.

python3 scripts/check_dependencies.py

Every licence must be one of those below, by the rules of SPDX expressions, and a crate that users build may
stand in the tree in two versions only where that is known and has a reason. Of the engine's workspace only
the licences are checked: its versions are those that DataFusion and Ballista ask for. Known vulnerabilities are not
looked up: that needs the network, and `cargo deny check advisories` does it.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys

# Permissive, with no duty beyond keeping the notice.
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "bzip2-1.0.6", "CC0-1.0",
    "CDLA-Permissive-2.0", "IJG", "ISC", "MIT", "MIT-0", "NCSA", "Unicode-3.0", "Unlicense", "Zlib",
}

# Crates in several versions, with the reason: each ends when those that ask for the old one move on.
SEVERAL_VERSIONS = {
    "equator": "faer, nano-gemm and spindle each ask for another",
    "equator-macro": "as equator",
    "getrandom": "ring and ahash ask for older ones than tempfile",
    "hashbrown": "safetensors asks for an older one than parquet",
    "miniz_oxide": "png asks for an older one than flate2",
    "syn": "macros of interpol ask for 1, others for 2 or 3",
    "thiserror": "sysctl, on other systems, asks for 1",
    "thiserror-impl": "as thiserror",
}
# Only for other systems, never built together.
FOREIGN = re.compile(r"^(windows|r-efi|wasm|wasip)")


def allowed(expression):
    """Whether an SPDX expression can be met with the allowed licences."""
    words = re.findall(r"[()]|[^\s()/]+|/", expression.replace(" WITH LLVM-exception", ""))
    words = ["OR" if word == "/" else word for word in words]

    def either(at):
        value, at = both(at)
        while at < len(words) and words[at] == "OR":
            other, at = both(at + 1)
            value = value or other
        return value, at

    def both(at):
        value, at = one(at)
        while at < len(words) and words[at] == "AND":
            other, at = one(at + 1)
            value = value and other
        return value, at

    def one(at):
        if words[at] == "(":
            value, at = either(at + 1)
            return value, at + 1
        return words[at] in ALLOWED, at + 1

    return either(0)[0]


def packages_of(folder, *options):
    """What cargo knows of the packages of a workspace that come from elsewhere."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", *options]
    metadata = json.loads(subprocess.check_output(command, cwd=folder))
    return [package for package in metadata["packages"] if package["source"]]


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    own = packages_of(root, "--all-features")
    # Without what would be built for other systems or with other features: its lockfile names much of both.
    engine = packages_of(root / "engine", "--filter-platform", "x86_64-unknown-linux-gnu")
    faults = []
    for package in {package["id"]: package for package in own + engine}.values():
        name, licence = package["name"], package["license"]
        if not licence or not allowed(licence):
            faults.append(f"{name} {package['version']}: expected one of the licences in {__file__}, found {licence}")
    versions = collections.defaultdict(set)
    for package in own:
        versions[package["name"]].add(package["version"])
    several = {name for name, found in versions.items() if len(found) > 1 and not FOREIGN.match(name)}
    for name in sorted(several - SEVERAL_VERSIONS.keys()):
        faults.append(f"{name}: expected one version, found {', '.join(sorted(versions[name]))}; see {__file__}")
    for name in sorted(SEVERAL_VERSIONS.keys() - several):
        faults.append(f"{name}: there is one version now; strike it from {__file__}")
    counted = f"{len(own)} packages, {len(engine)} of the engine"
    print("\n".join(faults) or f"{counted}: licences and versions are as they should be")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
