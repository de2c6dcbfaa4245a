"""What statistics of very many rows take on many machines: a simulation of the merge tree, from rates measured on one.

python3 bench/cluster_estimate.py [--rows 1e9] [--dim 2048] [--executors 100] [--cores 16] …

No machine but this one is asked for: the rates of a core, of a merge and of the network are given, the
defaults are those of docs/cluster.md. Every core of every executor scans an equal part of the rows, with the
spread of its time that `--spread` says (a lognormal factor), and makes one state of 16·L·d + 4·M·d² bytes
for L label sets of M multiplicities. Then the states are merged

- flat: all states travel to one task, which merges them one after the other as they arrive (what one group
  of `tagwise-cluster stats` does);
- by executor: each executor merges its own states first, one task the rest;
- as a tree: as before, and then in pairs of executors, level by level.

Seconds are means over `--draws` draws. "first to break" is what holds most bytes in one process.
"""

import argparse
import math
import random
import statistics


def served(arrivals, seconds):
    """When one task that takes so many seconds for each state has merged all, in the order of arrival."""
    done = 0.0
    for arrival in sorted(arrivals):
        done = max(done, arrival) + seconds
    return done


def draw(given, state, random_numbers):
    """Seconds until the scan ends, and until everything is merged each way."""
    reading = given.rows / given.executors * given.dim * given.bytes / given.disk
    calculating = given.rows / (given.executors * given.cores) / given.rate
    scans = [
        [max(reading, calculating) * random_numbers.lognormvariate(0, given.spread) for _ in range(given.cores)]
        for _ in range(given.executors)
    ]
    merge, travel = state / given.merge, state / given.network
    flat = served([scan for executor in scans for scan in executor], merge + travel)
    own = [served(executor, merge) for executor in scans]
    by_executor = served(own, merge + travel)
    level = own
    while len(level) > 1:
        pairs = [max(level[i : i + 2]) + merge + travel for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) - len(level) % 2 :]
    return reading, calculating, max(map(max, scans)), flat, by_executor, level[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    numbers = {
        "rows": 1e9, "dim": 2048, "bytes": 4, "executors": 100, "cores": 16, "sets": 55, "multiplicities": 2,
        "rate": 3100, "merge": 1.6e8, "network": 1.25e9, "disk": 1.25e9, "spread": 0.1, "draws": 20,
    }
    for name, value in numbers.items():
        parser.add_argument(f"--{name}", type=float, default=value, help=f"{value:g} when absent")
    given = parser.parse_args()
    for name in numbers:
        if not getattr(given, name) > 0 and name != "spread":
            parser.error(f"expected --{name} above 0, found {getattr(given, name):g}")
    given.executors, given.cores = math.ceil(given.executors), math.ceil(given.cores)
    state = 16 * given.sets * given.dim + 4 * given.multiplicities * given.dim**2
    random_numbers = random.Random(0)
    draws = [draw(given, state, random_numbers) for _ in range(math.ceil(given.draws))]
    reading, calculating, scan, flat, by_executor, tree = map(statistics.mean, zip(*draws))
    num_states = given.executors * given.cores
    total = f"{num_states * state / 1e9:,.0f} GB"
    print(f"state {state / 1e6:,.0f} MB, {num_states:,} of them: {total}")
    print(f"reading {reading:,.0f} s, calculating {calculating:,.0f} s, slowest scan {scan:,.0f} s")
    for name, seconds in (("flat", flat), ("by executor", by_executor), ("tree", tree)):
        print(f"{name}: {seconds:,.0f} s in all, {seconds - scan:,.0f} s after the slowest scan")
    held = given.cores * state / 1e9
    print(f"first to break: an executor holds {held:,.1f} GB of states, the last task of a flat merge reads {total}")


if __name__ == "__main__":
    main()
