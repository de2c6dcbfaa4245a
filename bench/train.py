"""Training steps and evaluation passes: tagwise-nn against PyTorch, side by side in one run.

Run:   python3 bench/train.py [--cases resnet18:56x56x1:32 ...] [--modes eager,...] [--json out.json]

Builds the Rust bench, and makes its own Python environment with torch and torchvision under target/
unless the interpreter that runs it has them. Where that fails it says so and times tagwise alone.

A step is forward, backward and SGD with momentum 0.9 on images that are in memory, for the loss
‖logits‖²/(2B); an evaluation pass is forward only. Everybody has the same networks (names and shapes
are compared by the engine's tests), the same batch and the same threads:

- tagwise, tagwise-bf16: the widest kernels of this machine in f32 and in bf16;
- eager: PyTorch, f32; channels_last: the same in that memory format; compile: torch.compile of it;
- bf16: PyTorch's autocast to bfloat16, channels_last.

Every round runs each of them once, in its own process, for a few steps after warm-up; figures are
medians over the rounds of the medians of a run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = {"tagwise": [], "tagwise-bf16": ["--precision", "bf16"]}
MODES = ["eager", "channels_last", "compile", "bf16"]
CASES = [
    "small:16x16x1:128",
    "resnet18:56x56x1:32",
    "resnet18:64x64x3:32",
    "resnet18:64x64x3:128",
    "resnet50:56x56x1:32",
    "vgg16:56x56x1:32",
]


def worker(mode, case, steps, threads):
    """Times PyTorch in this process and prints one JSON line."""
    import torch

    sys.path.insert(0, str(ROOT / "crates/tagwise-nn/tests/golden"))
    from train_step import MODELS

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    name, size, batch = case.split(":")
    height, width, channels = map(int, size.split("x"))
    model = MODELS[name](channels, 10, None)
    head = model.classifier if name.startswith("vgg") else model.fc
    images = torch.rand(int(batch), channels, height, width)
    if mode != "eager":
        model, images = (thing.to(memory_format=torch.channels_last) for thing in (model, images))

    def forward(x):
        with torch.autocast("cpu", torch.bfloat16, enabled=mode == "bf16"):
            return head(model.stages(x).mean((2, 3)))

    if mode == "compile":
        forward = torch.compile(forward)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)

    def train():
        optimizer.zero_grad()
        (forward(images).float().square().sum() / (2 * len(images))).backward()
        optimizer.step()

    def evaluate():
        with torch.no_grad():
            forward(images)

    model.train()
    train_ms = median_ms(train, steps)
    model.eval()
    print(json.dumps({"train_ms": train_ms, "eval_ms": median_ms(evaluate, steps)}))


def median_ms(run, steps):
    for _ in range(2):
        run()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def bench_program():
    """Builds the Rust bench and returns where it is."""
    command = ["cargo", "bench", "-p", "tagwise-nn", "--bench", "training_step", "--no-run"]
    command += ["--locked", "--message-format=json-render-diagnostics"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    made = [json.loads(line) for line in lines.splitlines()]
    return next(m["executable"] for m in reversed(made) if m.get("executable"))


def python_with_torch():
    """An interpreter with torch and torchvision, or None."""
    environment = ROOT / "target/bench-python"
    candidates = [Path(sys.executable), environment / "bin/python"]
    for python in candidates:
        probe = [python, "-c", "import torch, torchvision"]
        if python.exists() and subprocess.run(probe, capture_output=True).returncode == 0:
            return python
    print("making an environment with torch and torchvision under target/bench-python", file=sys.stderr)
    try:
        venv.create(environment, with_pip=True)
        python = candidates[1]
        subprocess.run([python, "-m", "pip", "install", "--quiet", "torch", "torchvision", "numpy"], check=True)
        return python
    except (OSError, subprocess.CalledProcessError) as problem:
        print(f"PyTorch cannot be installed ({problem}); only tagwise is timed", file=sys.stderr)
        return None


def last_json(command, environment):
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        return None
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=CASES, metavar="NAME:HxWxC:BATCH")
    parser.add_argument("--modes", default=",".join(MODES), help="of PyTorch, by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5, help="timed steps of one run")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", nargs=2, metavar=("MODE", "CASE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return worker(*arguments.worker, arguments.steps, arguments.threads)
    program, python = bench_program(), python_with_torch()
    modes = [mode for mode in arguments.modes.split(",") if mode] if python else []
    threads = str(arguments.threads)
    environment = dict(os.environ, RAYON_NUM_THREADS=threads, OMP_NUM_THREADS=threads)
    options = ["--steps", str(arguments.steps)]
    results = []
    for case in arguments.cases:
        times = {}
        for _ in range(arguments.rounds):
            for mode in [*OURS, *modes]:
                command = [program, *options, *OURS.get(mode, []), case]
                if mode not in OURS:
                    command = [python, __file__, "--worker", mode, case, *options, "--threads", threads]
                if (found := last_json(command, environment)) is None:
                    print(f"{case}: {mode} failed and is left out", file=sys.stderr)
                    modes = [other for other in modes if other != mode]
                    continue
                times.setdefault(mode, []).append(found)
                print(f"{case} {mode} {found}", file=sys.stderr, flush=True)
        medians = {
            mode: {key: statistics.median(f[key] for f in found) for key in ("train_ms", "eval_ms")}
            for mode, found in times.items()
        }
        results.append({"case": case, "medians": medians, "all": times})
        print_table(case, medians)
    about = {"threads": arguments.threads, "load": os.getloadavg()[0], "rounds": arguments.rounds}
    if arguments.json:
        arguments.json.write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")
    print(f"\n{about}")


def print_table(case, medians):
    batch = int(case.split(":")[2])
    base = medians.get("eager", medians.get("tagwise"))
    print(f"\n{case}\n\n| | step ms | to eager | images/s | evaluation ms | to eager |\n|---|---|---|---|---|---|")
    for mode, ms in medians.items():
        train, evaluation = ms["train_ms"], ms["eval_ms"]
        print(
            f"| {mode} | {train:.1f} | {train / base['train_ms']:.2f} | {1e3 * batch / train:.0f} "
            f"| {evaluation:.1f} | {evaluation / base['eval_ms']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
