"""Finds the best settings of FAISS, ScaNN and hnswlib for target recalls, and serves chosen ones.

    pip install numpy scann==1.4.2 faiss-cpu==1.15.1 hnswlib==0.8.0 matplotlib
    python benchmarks/vectors/rivals.py sweep    DATA/hard100 --out sweep.json [--engines faiss,scann] [--grid full]
    python benchmarks/vectors/rivals.py best     sweep.json
    python benchmarks/vectors/rivals.py frontier DATA/hard100 --out ours.json [--ours target/release/ocelli]
    python benchmarks/vectors/rivals.py picture  sweep.json pictures/hard100.svg [--ours ours.json]

DATA comes from `data.py`. `sweep` builds every index of the grid in a process of its own on one thread, walks its search
parameters on a few queries, looks on more for the least effort that reaches each target recall@10, and measures what it
finds on all queries, as one batch and one by one. An index that the output file has already is not measured again, so a
sweep may be broken off, gone on with, and extended. Queries per second of the sweep are by processor time, so that other
work on the machine disturbs little; what is compared in the end is measured by `compare.py`.

`frontier` has `ocelli index eval` tune itself to recalls from 0.7 to 0.9995, on one thread and in one batch, on two indexes
(built for recall 0.9 and for 0.99, as a user would who knows what is wanted), and writes a list of recall and queries per
second of processor time. `picture` draws of each tool the settings that no other of its own beats. All pictures, SWEEPS
being the folder of the files `sweep-SET.json`:

    for set in hard100 easy100 hard128 sift-5k million; do
        python benchmarks/vectors/rivals.py frontier DATA/$set --out SWEEPS/ours-$set.json
        python benchmarks/vectors/rivals.py picture SWEEPS/sweep-$set.json benchmarks/vectors/pictures/$set.svg \
            --ours SWEEPS/ours-$set.json
    done

`work` is what `compare.py` starts: it builds (or loads) one index, prints its facts as a line of JSON, then `ready`, and
for each line `run {"params": …, "mode": "batch"|"single", "threads": 1, "timed": N}` answers with a line of JSON: seconds,
processor, queries, recall.
"""

import argparse
import itertools
import json
import math
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

from data import DataSet, recall
from engines import ENGINES, built, overhead, versions

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from turns import ONE_CORE

K = 10
TARGETS = (0.90, 0.95, 0.98, 0.999)
SATURATED = 0.9997
# Queries of the walk, of the search for the least effort, and of those one by one.
SAMPLES = {"walk": 500, "fine": 2000, "single": 1000}
# Recalls that ours are tuned to for pictures, and those that indexes are built for.
FRONTIER = (0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995)
BUILT_FOR = (0.9, 0.99)
# The smallest share of misses that a picture tells apart.
LEAST_MISS = 2e-4
# By how much the fine sample is to exceed a target, so that all queries rarely miss it.
MARGIN = 3e-4
REORDER = (20, 40, 80, 160, 320)


def roots(rows):
    """Numbers of partitions around the root of the number of rows."""
    root = math.sqrt(rows)
    return [max(4, round(root * factor)) for factor in (0.8, 1, 1.6, 3.2)]


def faiss_grid(rows, dim, full):
    sizes = roots(rows)
    for partitions, share, kind in itertools.product(sizes if full else sizes[1::2], (2, 4) if full else (2,), ("fs", "fsr")):
        yield {"factory": f"IVF{partitions},PQ{dim // share}x4{kind},RFlat"}
    yield {"factory": "Flat"}


def scann_grid(rows, dim, full, measure):
    sizes = roots(rows)
    base = {"block": 2, "threshold": 0.2 if measure == "inner_product" else None, "soar": None}
    spills = (None, 1.5) if measure == "inner_product" else (None,)
    for leaves, soar in itertools.product(sizes if full else sizes[1::2], spills):
        yield {**base, "leaves": leaves, "soar": soar}
    if full:
        root = {**base, "leaves": sizes[1]}
        yield {**root, "block": 1}
        yield {**root, "block": 4}
        yield {**root, "reorder_as": "BFLOAT16"}
        yield {**root, "quantize_centroids": True}
        if measure == "inner_product":
            yield {**root, "threshold": None}
            yield {**root, "avq": 1.5}
    if rows < 20_000:
        yield {**base, "leaves": 0}
        yield {"leaves": 0, "block": 0}


def grid(engine, data, full):
    rows, dim = data.about.get("law", {}).get("rows") or len(data.base()), data.queries(1).shape[1]
    if engine == "faiss":
        return list(faiss_grid(rows, dim, full))
    if engine == "scann":
        return list(scann_grid(rows, dim, full, data.measure))
    return [{"links": 16, "construction": 200}]


class Space:
    """The search parameters of an index: an effort that raises recall step by step, at each of several reorderings."""

    def __init__(self, engine, config):
        tree = engine == "faiss" and config["factory"] != "Flat" or engine == "scann" and config["leaves"]
        self.reorders = REORDER if tree else (None,)
        if engine == "hnswlib":
            self.most, self.params = 2048, lambda effort, _: {"ef": max(effort, K)}
        elif config.get("factory") == "Flat" or config.get("block") == 0:
            self.most, self.params = 1, lambda *_: {}
        elif not tree:
            self.most, self.params = 1024, lambda effort, _: {"reorder": max(effort, K)}
        elif engine == "scann":
            self.most, self.params = config["leaves"], lambda effort, reorder: {"leaves": effort, "reorder": reorder}
        else:
            self.most = int(config["factory"].split(",")[0].removeprefix("IVF"))
            self.params = lambda effort, reorder: {"nprobe": effort, "k_factor": reorder / K}

    def efforts(self):
        """Powers of two, and the most."""
        return [*itertools.takewhile(lambda n: n < self.most, (2**e for e in itertools.count())), self.most]


class Probe:
    """Searches of one index over the first queries, each kind once."""

    def __init__(self, engine, space, data, count):
        self.engine, self.space, self.points = engine, space, {}
        self.queries, self.truth = data.queries(count), data.truth(count)

    def __call__(self, effort, reorder):
        key = (reorder, effort)
        if key not in self.points:
            params = self.space.params(effort, reorder)
            ids, clock = self.engine.batch(self.queries, K, params)
            found = recall(ids, self.truth, K)
            self.points[key] = {"params": params, "recall": found, "qps": len(self.queries) / clock.processor}
        return self.points[key]

    def walk(self):
        """Every reordering, with doubled efforts until recall stands still."""
        for reorder in self.space.reorders:
            before = -1
            for effort in self.space.efforts():
                now = self(effort, reorder)["recall"]
                if now > SATURATED or now - before < 3e-4:
                    break
                before = now

    def speed_at(self, reorder, target):
        """Queries per second at the target, between the two walked points around it; 0 when it is not reached."""
        below = None
        for effort in self.space.efforts():
            point = self.points.get((reorder, effort))
            if point is None:
                return 0
            if point["recall"] >= target:
                if below is None:
                    return point["qps"]
                share = (target - below["recall"]) / (point["recall"] - below["recall"])
                return below["qps"] ** (1 - share) * point["qps"] ** share
            below = point
        return 0


def least(low, high, reaches):
    """The least number above `low` that reaches, to a sixteenth, when `high` does."""
    while high - low > max(1, high // 16):
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def setting(walked, fine, reorder, target):
    """The least effort that reaches the target with a reordering, then the least reordering with that effort.

    The second matters where few partitions are searched and one more is a large step. None when nothing reaches it.
    """
    efforts = walked.space.efforts()
    # What the walk has says where to start; the finer probe decides.
    start = next((e for e in efforts if walked.points.get((reorder, e), {"recall": 0})["recall"] >= target - 0.003), 1)
    high = next((e for e in efforts if e >= start and fine(e, reorder)["recall"] >= target), None)
    if high is None:
        return None
    effort = least(high // 2, high, lambda e: fine(e, reorder)["recall"] >= target)
    if reorder:
        reorder = least(max(K - 1, reorder // 2), reorder, lambda r: fine(effort, r)["recall"] >= target)
    return fine(effort, reorder)


def candidates(walked, fine, target):
    """What reaches the target with the reorderings that are fastest there and with those between them; fastest first."""
    reorders = sorted(walked.space.reorders, key=lambda reorder: -walked.speed_at(reorder, target))[:2]
    if reorders[0]:
        reorders += [round(reorders[0] * factor) for factor in (0.7, 1.4)]
    points = [setting(walked, fine, reorder, target) for reorder in reorders]
    return sorted(filter(None, points), key=lambda point: -point["qps"])


def measure(options):
    """One index: its facts, the walk over its parameters and the points near the targets."""
    data, config = DataSet(options.set), json.loads(options.config)
    engine, facts = built(options.engine, config, data)
    engine.threads(1)
    space = Space(options.engine, config)
    walked, fine = (Probe(engine, space, data, SAMPLES[part]) for part in ("walk", "fine"))
    walked.walk()
    chosen = {json.dumps(p["params"]): p for target in TARGETS for p in candidates(walked, fine, target + MARGIN)[:2]}
    queries, truth = data.queries(), data.truth()
    alone = queries[: SAMPLES["single"]]
    final = []
    for point in chosen.values():
        params = point["params"]
        (ids, first), (_, second) = (engine.batch(queries, K, params) for _ in range(2))
        _, single = engine.single(alone, K, params)
        final.append(
            {
                "params": params,
                "recall": recall(ids, truth, K),
                "batch_qps": len(queries) / min(first.processor, second.processor),
                "single_qps": len(alone) / single.processor,
            }
        )
    points = [*walked.points.values(), *fine.points.values()]
    row = {"engine": options.engine, "config": config, **facts, "points": points, "final": final}
    row["call_overhead_s"] = overhead(engine, data)
    print(json.dumps(row))


def sweep(options):
    data = DataSet(options.set)

    def so_far():
        return (
            json.loads(options.out.read_text())
            if options.out.exists()
            else {"set": data.about, "versions": versions(), "indexes": []}
        )

    done = so_far()
    if done["set"]["sha256"] != data.about["sha256"]:
        raise SystemExit(f"{options.out} is of other data; choose another file")
    known = {(row["engine"], json.dumps(row["config"])) for row in done["indexes"]}
    for engine in options.engines.split(","):
        configs = [json.loads(text) for text in options.config] or grid(engine, data, options.grid == "full")
        for config in configs:
            if (engine, json.dumps(config)) in known:
                continue
            command = [sys.executable, __file__, "measure", str(options.set), "--engine", engine, "--config", json.dumps(config)]
            result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **ONE_CORE})
            if result.returncode:
                print(f"{engine} {config}: {result.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
                continue
            row = json.loads(result.stdout.splitlines()[-1])
            # Another sweep may have added to the file meanwhile.
            done = so_far()
            done["indexes"].append(row)
            part = options.out.with_suffix(".part")
            part.write_text(json.dumps(done))
            part.replace(options.out)
            print(f"{engine} {config}: build {row['build_processor_s']:.1f} s, {row['memory_bytes'] / 2**20:.0f} MiB", flush=True)


def best(done, target, mode, engine=None):
    """The fastest setting of a sweep that reaches a recall: index and point; none when none does."""
    able = [
        (index, point)
        for index in done["indexes"]
        for point in index["final"]
        if point["recall"] >= target and (engine is None or index["engine"] == engine)
    ]
    return max(able, key=lambda pair: pair[1][f"{mode}_qps"], default=None)


def show_best(options):
    done = json.loads(options.sweep.read_text())
    print(f"{done['set']['name']}: " + ", ".join(f"{name} {version}" for name, version in done["versions"].items()))
    for engine, target, mode in itertools.product(ENGINES, TARGETS, ("batch", "single")):
        found = best(done, target, mode, engine)
        if found:
            index, point = found
            print(
                f"{engine:8} {target:5} {mode:6} {point[f'{mode}_qps']:8.0f}/s  recall {point['recall']:.4f}  build "
                f"{index['build_processor_s']:6.1f} s  {index['memory_bytes'] / 2**20:6.0f} MiB  {index['config']} {point['params']}"
            )
    for engine in ENGINES:
        calls = [row["call_overhead_s"] for row in done["indexes"] if row["engine"] == engine]
        if calls:
            print(f"{engine:8} a call without work: {min(calls) * 1e6:.2f} µs")


def work(options):
    data = DataSet(options.set)
    engine, facts = built(options.engine, json.loads(options.config), data, options.index)
    facts["call_overhead_s"] = overhead(engine, data)
    print(json.dumps(facts))
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line.removeprefix("run"))
        queries, truth = data.queries(order["timed"]), data.truth(order["timed"])
        engine.threads(order["threads"])
        ids, clock = getattr(engine, order["mode"])(queries, K, order["params"])
        answer = {
            "seconds": clock.seconds,
            "processor": clock.processor,
            "queries": len(queries),
            "recall": recall(ids, truth, K),
        }
        print(json.dumps(answer), flush=True)


def front(points):
    """Those that no other beats in both recall and speed, by recall."""
    kept, fastest = [], 0
    for recalled, speed in sorted(points, reverse=True):
        if speed > fastest:
            kept.append((recalled, speed))
            fastest = speed
    return kept[::-1]


def frontier(options):
    """Recall and queries per second of Ocelli's indexes, each tuned to each recall, the best of all rounds."""
    data, points = DataSet(options.set), {}
    similarity = {"inner_product": "inner-product", "squared_l2": "l2"}[data.measure]
    with tempfile.TemporaryDirectory() as folder:
        for built_for, turn in itertools.product(BUILT_FOR, range(options.rounds)):
            # An index is built for the first recall that is named.
            recalls = [built_for, *(recall for recall in FRONTIER if recall != built_for)]
            files = (data.folder / name for name in ("queries.fvecs", "truth.ivecs"))
            command = [options.ours, "index", "eval", f"{folder}/{built_for}", *map(str, files)]
            command += ["--base", str(data.folder / "base.fvecs"), "--similarity", similarity, "--json", "-k", str(K)]
            command += ["--recall", ",".join(map(str, recalls)), "--threads", "1", "--mode", "batch"]
            result = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **ONE_CORE})
            if result.returncode:
                raise SystemExit(f"{shlex.join(command)} failed")
            for line in result.stdout.splitlines():
                point = json.loads(line)
                key = (built_for, json.dumps(point["chosen"], sort_keys=True))
                speed = point["qps_processor"] or point["qps"]
                points[key] = (point["recall"], max(speed, points.get(key, (0, 0))[1]))
            print(f"built for {built_for}, round {turn + 1}: {len(result.stdout.splitlines())} settings", flush=True)
    options.out.write_text(json.dumps(front(points.values())))


def picture(options):
    import matplotlib

    # Text as curves, and nothing of the day: the same points give the same file, and it needs no fonts.
    matplotlib.rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "ocelli"})
    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    done = json.loads(options.sweep.read_text())
    figure, axes = pyplot.subplots(figsize=(7, 4.5), constrained_layout=True)
    curves = {}
    for row in done["indexes"]:
        points = [(p["recall"], p["qps"]) for p in row["points"]] + [(p["recall"], p["batch_qps"]) for p in row["final"]]
        name = (
            "FAISS exact"
            if row["config"].get("factory") == "Flat"
            else {"faiss": "FAISS IVF,PQ fast scan", "scann": "ScaNN"}.get(row["engine"], row["engine"])
        )
        curves.setdefault(name, []).extend(points)
    if options.ours:
        curves["Ocelli"] = [tuple(point) for point in json.loads(options.ours.read_text())]
    for name, points in curves.items():
        line = front([p for p in points if p[0] >= 0.7])
        # Misses on a logarithmic axis: the difference of 0.98 and 0.999 is the point.
        axes.plot([max(1 - r, LEAST_MISS) for r, _ in line], [speed for _, speed in line], marker=".", label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.invert_xaxis()
    ticks = (0.3, 0.1, 0.05, 0.02, 0.01, 0.001, LEAST_MISS)
    axes.set_xticks(ticks, [f"{1 - tick:g}" if tick > LEAST_MISS else f"≥ {1 - tick:g}" for tick in ticks])
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda speed, _: f"{speed:,.0f}"))
    axes.minorticks_off()
    axes.set_xlabel("recall@10")
    axes.set_ylabel("queries/s, one thread, batch")
    law = done["set"].get("law")
    axes.set_title(done["set"]["name"] + (f": {law['rows']:,} x {law['dim']}" if law else ""))
    axes.grid(alpha=0.3)
    axes.legend()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=150, metadata={"Date": None} if options.out.suffix == ".svg" else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="sweep|best|frontier|picture|work")
    path = pathlib.Path

    def command(name, run, *arguments):
        added = commands.add_parser(name)
        added.set_defaults(run=run)
        for argument in arguments:
            added.add_argument(argument, type=path)
        return added

    swept = command("sweep", sweep, "set")
    swept.add_argument("--out", type=path, required=True)
    swept.add_argument("--engines", default="faiss,scann")
    swept.add_argument("--grid", choices=["small", "full"], default="full")
    swept.add_argument(
        "--config", action="append", default=[], help="this configuration (JSON) of one engine instead of the grid"
    )
    command("best", show_best, "sweep")
    ours = command("frontier", frontier, "set")
    ours.add_argument("--ours", default="target/release/ocelli", help="the command")
    ours.add_argument("--out", type=path, required=True)
    ours.add_argument("--rounds", type=int, default=2)
    command("picture", picture, "sweep", "out").add_argument("--ours", type=path, help="JSON: [[recall, queries/s], …]")
    for name, run in (("measure", measure), ("work", work)):
        one = command(name, run, "set")
        one.add_argument("--engine", choices=ENGINES, required=True)
        one.add_argument("--config", required=True)
        one.add_argument("--index", help="folder to keep the index in")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
