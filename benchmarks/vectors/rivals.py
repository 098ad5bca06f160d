"""Finds the best settings of FAISS, ScaNN and hnswlib for target recalls, and serves chosen ones.

    pip install numpy scann==1.4.2 faiss-cpu==1.15.1 hnswlib==0.8.0 matplotlib
    python benchmarks/vectors/rivals.py sweep   DATA/hard100 --out sweep.json [--engines faiss,scann] [--grid full]
    python benchmarks/vectors/rivals.py best    sweep.json
    python benchmarks/vectors/rivals.py picture sweep.json curves.png [--ours FILE]

DATA comes from `data.py`. `sweep` builds every index of the grid in a process of its own on one thread, walks its search
parameters on a few queries, and measures those near each target recall@10 again on 5,000, as one batch and one by
one. An index that the output file has already is not measured again, so a sweep may be broken off, gone on with,
and extended. Queries per second of the sweep are by processor time, so that other work on the machine disturbs little;
what is compared in the end is measured by `compare.py`.

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
import subprocess
import sys

from data import DataSet, recall
from engines import ENGINES, anonymous_memory, built, overhead, versions

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from turns import ONE_CORE

K = 10
TARGETS = (0.90, 0.95, 0.98, 0.999)
SATURATED = 0.9997
SAMPLES = {"walk": 500, "final": 5000, "single": 1000}
WALK = (1, 2, 3, 4, 6, 8, 11, 16, 22, 32, 45, 64, 90, 128, 180, 256, 360, 512)
REORDER = (20, 40, 80, 160, 320, 640)


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


def walks(engine, config):
    """Search parameters in series that rise in recall, each to be left once it does not."""
    if engine == "hnswlib":
        return [[{"ef": 10 * ef} for ef in WALK]]
    if config.get("factory") == "Flat" or config.get("block") == 0:
        return [[{}]]
    if engine == "scann" and not config["leaves"]:
        return [[{"reorder": reorder} for reorder in REORDER]]
    if engine == "scann":
        leaves = [n for n in WALK if n <= config["leaves"]]
        return [[{"leaves": n, "reorder": reorder} for n in leaves] for reorder in REORDER]
    partitions = int(config["factory"].split(",")[0].removeprefix("IVF"))
    probes = [n for n in WALK if n <= partitions]
    return [[{"nprobe": n, "k_factor": reorder / K} for n in probes] for reorder in REORDER]


def walked(engine, series, queries, truth):
    """The points of one series until recall stands still."""
    points = []
    for params in series:
        ids, clock = engine.batch(queries, K, params)
        points.append({"params": params, "recall": recall(ids, truth, K), "qps": len(queries) / clock.processor})
        before = points[-3]["recall"] if len(points) > 2 else 0
        if points[-1]["recall"] > SATURATED or points[-1]["recall"] - before < 3e-4:
            break
    return points


def near(points, target, spare=2):
    """The fastest of those that may reach the target, those that just fail it within the error of the sample too."""
    able = [p for p in points if p["recall"] >= target - (0.004 if target < 0.99 else 0.0005)]
    return sorted(able, key=lambda p: -p["qps"])[:spare]


def measure(options):
    """One index: its facts, the walk over its parameters and the points near the targets."""
    data, config = DataSet(options.set), json.loads(options.config)
    engine, facts = built(options.engine, config, data)
    engine.threads(1)
    queries, truth = data.queries(SAMPLES["walk"]), data.truth(SAMPLES["walk"])
    points = []
    for series in walks(options.engine, config):
        points += walked(engine, series, queries, truth)
    queries, truth = data.queries(SAMPLES["final"]), data.truth(SAMPLES["final"])
    alone = queries[: SAMPLES["single"]]
    chosen = {json.dumps(p["params"]): p for target in TARGETS for p in near(points, target)}
    final = []
    for point in chosen.values():
        params = point["params"]
        ids, batch = engine.batch(queries, K, params)
        _, single = engine.single(alone, K, params)
        final.append(
            {
                "params": params,
                "recall": recall(ids, truth, K),
                "batch_qps": len(queries) / batch.processor,
                "single_qps": len(alone) / single.processor,
            }
        )
    row = {"engine": options.engine, "config": config, **facts, "points": points, "final": final}
    row["call_overhead_s"] = overhead(engine, data)
    print(json.dumps(row))


def sweep(options):
    data = DataSet(options.set)
    done = json.loads(options.out.read_text()) if options.out.exists() else {"set": data.about, "versions": versions(), "indexes": []}
    if done["set"]["sha256"] != data.about["sha256"]:
        raise SystemExit(f"{options.out} is of other data; choose another file")
    known = {(row["engine"], json.dumps(row["config"])) for row in done["indexes"]}
    for engine in options.engines.split(","):
        configs = [json.loads(text) for text in options.config] or grid(engine, data, options.grid == "full")
        for config in configs:
            if (engine, json.dumps(config)) in known:
                continue
            command = [sys.executable, __file__, "measure", str(options.set), "--engine", engine, "--config", json.dumps(config)]
            result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **ONE_CORE})
            if result.returncode:
                print(f"{engine} {config}: {result.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
                continue
            row = json.loads(result.stdout.splitlines()[-1])
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
    # Pages of a loaded index are touched before anything is timed.
    facts["call_overhead_s"] = overhead(engine, data)
    print(json.dumps(facts))
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line.removeprefix("run"))
        queries, truth = data.queries(order["timed"]), data.truth(order["timed"])
        engine.threads(order["threads"])
        ids, clock = getattr(engine, order["mode"])(queries, K, order["params"])
        answer = {"seconds": clock.seconds, "processor": clock.processor, "queries": len(queries), "recall": recall(ids, truth, K)}
        print(json.dumps(answer), flush=True)


def front(points):
    """Those that no other beats in both recall and speed, by recall."""
    kept, fastest = [], 0
    for recalled, speed in sorted(points, reverse=True):
        if speed > fastest:
            kept.append((recalled, speed))
            fastest = speed
    return kept[::-1]


def picture(options):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    done = json.loads(options.sweep.read_text())
    figure, axes = pyplot.subplots(figsize=(7, 4.5), constrained_layout=True)
    curves = {}
    for row in done["indexes"]:
        points = [(p["recall"], p["qps"]) for p in row["points"]] + [(p["recall"], p["batch_qps"]) for p in row["final"]]
        name = "FAISS exact" if row["config"].get("factory") == "Flat" else {"faiss": "FAISS IVF,PQ fast scan", "scann": "ScaNN"}.get(row["engine"], row["engine"])
        curves.setdefault(name, []).extend(points)
    if options.ours:
        curves["Ocelli"] = [tuple(point) for point in json.loads(options.ours.read_text())]
    for name, points in curves.items():
        line = front([p for p in points if p[0] >= 0.7])
        # Misses on a logarithmic axis: the difference of 0.98 and 0.999 is the point.
        axes.plot([max(1 - r, 2e-4) for r, _ in line], [speed for _, speed in line], marker=".", label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.invert_xaxis()
    ticks = (0.3, 0.1, 0.05, 0.02, 0.01, 0.001, 0.0002)
    axes.set_xticks(ticks, [f"{1 - tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("recall@10")
    axes.set_ylabel("queries/s, one thread, batch")
    law = done["set"].get("law")
    axes.set_title(done["set"]["name"] + (f": {law['rows']:,} x {law['dim']}" if law else ""))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(options.out, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="sweep|best|picture|work")
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
    swept.add_argument("--config", action="append", default=[], help="this configuration (JSON) of one engine instead of the grid")
    command("best", show_best, "sweep")
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
