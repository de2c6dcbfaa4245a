"""Statistics of Parquet files: `tagwise stats`, `tagwise-cluster stats` in one process and on executors.

python3 bench/cluster.py TAGWISE TAGWISE_CLUSTER [--rows 64=2000000,512=300000] [--rounds 3]

TAGWISE is built with the feature parquet. Needs pyarrow and NumPy. Ways take turns, so that what else the
machine does meets all of them; the median of the rounds counts. Every result is compared with that of
`tagwise stats`: label sets and counts are equal, means and scatters agree to 1e-12. Memory is the largest
resident set of each process (VmHWM).
"""

import argparse
import json
import pathlib
import signal
import statistics
import struct
import subprocess
import tempfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CLASSES = 20
ROUNDING = 1e-12


def write(folder, dim, rows, files=8):
    """Features near the sum of the means of 1 to 3 labels."""
    rng = np.random.default_rng(dim)
    means = rng.normal(size=(CLASSES, dim)).astype(np.float32)
    for part in range(files):
        count = rows // files
        lengths = rng.integers(1, 4, count)
        labels = rng.integers(0, CLASSES, lengths.sum(), dtype=np.int32)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        features = 0.3 * rng.standard_normal((count, dim), dtype=np.float32)
        features += np.add.reduceat(means[labels], offsets[:-1])
        table = pa.table({
            "features": pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), dim),
            "labels": pa.ListArray.from_arrays(pa.array(offsets), pa.array(labels)),
        }, metadata={"num_classes": str(CLASSES)})
        # Random numbers do not get smaller, and decompression is not what is compared.
        pq.write_table(table, folder / f"part-{part}.parquet", compression="none", use_dictionary=False,
                       row_group_size=16384)


def read(path):
    """The tensors of a .ncs file, which is safetensors."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    kinds = {"F64": "<f8", "U64": "<u8", "U32": "<u4"}
    header = json.loads(data[8:8 + size])
    return {
        name: np.frombuffer(data[8 + size:][slice(*entry["data_offsets"])], kinds[entry["dtype"]])
        for name, entry in header.items() if name != "__metadata__"
    }


def agree(path, expected):
    found, expected = read(path), read(expected)
    assert found.keys() == expected.keys()
    for name in expected:
        if name in ("counts", "label_sets.labels", "label_sets.offsets"):
            assert (found[name] == expected[name]).all(), name
        elif name != "means_low":  # what the rounding of the means lost
            error = np.abs(found[name] - expected[name]).max() / np.abs(expected[name]).max()
            assert error <= ROUNDING, (name, error)


def peak(process):
    for line in pathlib.Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def timed(command):
    """Seconds, and the peak memory in MiB."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        memory = 0.0
        while process.poll() is None:
            try:
                memory = max(memory, peak(process.pid))
            except (FileNotFoundError, ProcessLookupError):
                break
            time.sleep(0.002)
        assert process.wait() == 0, command
    return time.perf_counter() - began, memory


class Cluster:
    def __init__(self, program, executors):
        command = [program, "local", "--executors", str(executors), "--tasks", str(2 // executors)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def children(self):
        path = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(child) for child in path.read_text().split()]

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tagwise")
    parser.add_argument("cluster")
    parser.add_argument("--rows", default="64=2000000,512=300000")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    clusters = {count: Cluster(arguments.cluster, count) for count in (1, 2)}
    try:
        for sizes in arguments.rows.split(","):
            dim, rows = map(int, sizes.split("="))
            compare(arguments, clusters, dim, rows)
    finally:
        for cluster in clusters.values():
            cluster.end()


def compare(arguments, clusters, dim, rows):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "data").mkdir()
        (folder / "few").mkdir()
        write(folder / "data", dim, rows)
        write(folder / "few", dim, 800)

        def engine(place, out, *more):
            return [arguments.cluster, "stats", str(folder / place), "--out", str(folder / out), *more]

        ways = {
            "tagwise stats": [arguments.tagwise, "stats", str(folder / "data"), "--out", str(folder / "one.ncs")],
            "one process": engine("data", "local"),
        }
        few = {"one process": engine("few", "few-local")}
        for count, cluster in clusters.items():
            options = ("--scheduler", cluster.url, "--partitions", "8")
            name = f"{count} executor{'s' if count > 1 else ''}"
            ways[name] = engine("data", f"executors-{count}", *options)
            few[name] = engine("few", f"few-{count}", *options)
        seconds = {name: [] for name in ways}
        fixed = {name: [] for name in few}
        memory = {}
        for _ in range(arguments.rounds):
            for name, command in ways.items():
                took, peak_now = timed(command)
                seconds[name].append(took)
                memory[name] = max(memory.get(name, 0.0), peak_now)
            for name, command in few.items():
                fixed[name].append(timed(command)[0])
        for out in ("local", "executors-1", "executors-2"):
            agree(folder / out / "all.ncs", folder / "one.ncs")
        base = statistics.median(seconds["tagwise stats"])
        print(f"d = {dim}, {rows} rows")
        for name, took in seconds.items():
            median = statistics.median(took)
            job = f", {statistics.median(fixed[name]):.2f} s for 800 rows" if name in fixed else ""
            print(f"  {name:<14} {median:7.2f} s  {rows / median:10,.0f} rows/s  {median / base:5.2f}x  "
                  f"{memory[name]:5.0f} MiB{job}")
        for count, cluster in clusters.items():
            peaks = ", ".join(f"{peak(child):.0f}" for child in cluster.children())
            print(f"  processes of {count}: scheduler and executors {peaks} MiB")


if __name__ == "__main__":
    main()
