"""What this machine does, in about five minutes: one table to set beside docs/performance.md.

Needs: a Rust toolchain, and pip install numpy torch torchvision safetensors. Run: python bench/machine.py

It runs the other benchmarks of this folder at small size, one after the other, and prints their figures
under the name of the processor: the rates of memory and of products in f64, `tagwise analyze` beside NumPy
and PyTorch, training steps beside eager PyTorch in f32 and bf16, and the first command of the README.
Close other programs first: ratios survive a busy machine better than seconds, but not well.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"


def processor():
    """The name of the processor and the widest instructions that matter here."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = fields.get("flags", "").split()
    known = ["amx_bf16", "avx512_bf16", "avx512f", "avx2"]
    widest = next((flag for flag in known if flag in flags), "no AVX2")
    return f"{fields.get('model name', platform.machine())}, {widest}"


def run(arguments, **options):
    print(f"-- {' '.join(map(str, arguments))}", file=sys.stderr, flush=True)
    return subprocess.run(list(map(str, arguments)), cwd=ROOT, check=True, **options)


def figures(script, *arguments):
    """What a benchmark writes with --json."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        run([sys.executable, BENCH / script, *arguments, "--json", path], stdout=subprocess.DEVNULL)
        return json.loads(path.read_text())


def collapse_rows(found):
    yield "read of memory, GB/s", f"{found['read_gb_per_s']:.1f}"
    yield "product in f64, GFLOP/s", f"{found['product_gflops']:.0f}"
    for case in found["cases"]:
        seconds = case["seconds"]
        ours = seconds["tagwise"]
        others = [f"{name} {spent / ours:.1f} ×" for name, spent in seconds.items() if name != "tagwise"]
        yield f"analyze, {case['name']}, N = {case['n']:,}", f"{ours:.2f} s; {', '.join(others) or 'alone'}"


def training_rows(found):
    for result in found["results"]:
        medians = result["medians"]
        eager = medians.get("eager")
        for mode, ms in medians.items():
            if mode == "eager":
                continue
            beside = f" ({ms['train_ms'] / eager['train_ms']:.2f} of eager)" if eager else ""
            evaluation = f" ({ms['eval_ms'] / eager['eval_ms']:.2f} of eager)" if eager else ""
            value = f"step {ms['train_ms']:.0f} ms{beside}, evaluation {ms['eval_ms']:.0f} ms{evaluation}"
            yield f"{mode}, {result['case']}", value


def first_command(program):
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run([program, "train", "--out", Path(folder) / "run"], capture_output=True)
        yield "tagwise train (digits, 20 epochs, with report)", f"{time.perf_counter() - start:.0f} s"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tagwise", default=ROOT / "target/release/tagwise", type=Path)
    program = parser.parse_args().tagwise.resolve()
    if not program.exists():
        run(["cargo", "build", "--release", "--locked"])
    rows = [
        *collapse_rows(figures("collapse.py", "--quick", "--rounds", 3, "--tagwise", program)),
        *training_rows(
            figures("train.py", "--rounds", 2, "--steps", 3, "--modes", "eager", "--cases", "small:16x16x1:128", "resnet18:56x56x1:32")
        ),
        *first_command(program),
    ]
    print(f"| {processor()} | |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
