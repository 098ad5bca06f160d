"""Compares Ocelli's tracking scores with TrackEval and py-motmetrics, number by number, and times them side by side.

    pip install numpy trackeval motmetrics
    cargo build --release -p ocelli-score --example time_coco
    python benchmarks/score/hota.py check --ocelli PROGRAM [--rounds 40]
    python benchmarks/score/hota.py time  --ocelli PROGRAM [--rounds 3] [--tools trackeval,motmetrics]

PROGRAM is the example that was built (`target/release/examples/time_coco`). `check` draws small sets of MOTChallenge text
with misses, false positives, switches, fragments, empty frames, distractors and, on a grid, equal overlaps, and fails at the
first HOTA, CLEAR or identity number that differs by more than 1e-9. `time` draws a set of MOT17's size (7 sequences, 5,316
frames, about 30 objects a frame) and runs each tool in a process of its own on one core, in turns, from files to all three
families of numbers; it prints the least time of each, on the clock and of the processor, and its peak memory. The start
of Python and its imports do not count in the times, Ocelli's start does. Beside py-motmetrics, which has no HOTA, runs its
own variant, `ocelli-motm`.
"""

import argparse
import contextlib
import importlib
import io
import math
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from turns import in_turns, make_apart, values  # noqa: E402

TOLERANCE = 1e-9
SIDES = ("truth", "pred")
LENGTHS = {"02": 600, "04": 1050, "05": 837, "09": 525, "10": 654, "11": 900, "13": 750}
CLEAR = {
    "mota": "MOTA", "motp": "MOTP", "idsw": "IDSW", "frag": "Frag", "tp": "CLR_TP", "fp": "CLR_FP", "fn": "CLR_FN",
    "mostly_tracked": "MT", "partially_tracked": "PT", "mostly_lost": "ML",
}
IDENTITY = {"idf1": "IDF1", "idp": "IDP", "idr": "IDR"}
HOTA = {
    "hota": "HOTA", "deta": "DetA", "assa": "AssA", "detre": "DetRe", "detpr": "DetPr", "assre": "AssRe",
    "asspr": "AssPr", "loca": "LocA",
}
MOTMETRICS = [
    "mota", "motp", "idf1", "idp", "idr", "precision", "recall", "num_switches", "num_fragmentations", "num_misses",
    "num_false_positives", "num_objects", "num_unique_objects", "mostly_tracked", "partially_tracked", "mostly_lost",
]


def write(folder, sequences):
    """Writes {name: (truth rows, predicted rows)}; a truth row is frame, id, box, whether it counts, class."""
    folders = [os.path.join(folder, side) for side in SIDES]
    os.makedirs(os.path.join(folders[1]), exist_ok=True)
    for name, (truth, pred) in sequences.items():
        os.makedirs(os.path.join(folders[0], name, "gt"), exist_ok=True)
        with open(os.path.join(folders[0], name, "gt", "gt.txt"), "w") as file:
            for frame, number, box, counts, kind in sorted(truth, key=lambda row: row[:2]):
                file.write(f"{frame},{number},{','.join(map(repr, box))},{counts},{kind},1\n")
        with open(os.path.join(folders[1], f"{name}.txt"), "w") as file:
            for frame, number, box in pred:
                file.write(f"{frame},{number},{','.join(map(repr, box))},1,-1,-1,-1\n")
    return folders


def stress(seed):
    """Small sequences of everything that evaluators stumble over; on a grid of whole pixels or of tenths in two of three."""
    rng = random.Random(seed)
    grid, unit = seed % 3 != 0, 0.1 if seed % 3 == 1 else 1.0

    def moved(box):
        step = (lambda: unit * rng.choice([0, 0, 0, 5, 10])) if grid else (lambda: rng.gauss(0, 3))
        corner = [box[0] + step(), box[1] + step()]
        return [*(round(v, 1) if grid else v for v in corner), *box[2:]]

    sequences = {}
    for s in range(rng.randint(1, 3)):
        frames, objects, truth, pred = rng.randint(1, 30), rng.randint(1, 8), [], []
        side = [round(unit * rng.choice([10, 20, 40]), 1) if grid else rng.uniform(10, 60) for _ in range(2)]
        places = [[round(unit * rng.randrange(0, size, 5), 1) for size in (60, 40)] for _ in range(objects)]
        boxes = [[*place, *side] for place in places]
        kinds = [rng.choice([1, 1, 1, 2, 3, 7, 8, 12]) for _ in range(objects)]
        kinds[0] = 1
        names = rng.sample(range(1, 900), objects)
        for frame in range(1, frames + 1):
            boxes = [moved(box) for box in boxes]
            present = [k for k in range(objects) if rng.random() < 0.8]
            truth += [(frame, k + 1, boxes[k], int(rng.random() < 0.95), kinds[k]) for k in present]
            if rng.random() < 0.3:
                a, b = rng.randrange(objects), rng.randrange(objects)
                names[a], names[b] = names[b], names[a]
            if rng.random() < 0.2:
                names[rng.randrange(objects)] = rng.choice([n for n in range(1, 999) if n not in names])
            found = [(frame, names[k], moved(boxes[k])) for k in range(objects) if rng.random() < 0.75]
            if rng.random() < 0.15:
                found = []
            found += [(frame, 1000 + k, moved(rng.choice(boxes))) for k in range(rng.choice([0, 0, 1, 4]))]
            rng.shuffle(found)
            pred += found
        sequences[f"S-{s}"] = (truth, pred or [(1, 1, [0.0, 0.0, 5.0, 5.0])])
    return sequences


def mot17_size(seed=1):
    """Walkers in a street: some thirty a frame, found by a middling tracker; a few distractors among them."""
    rng = random.Random(seed)
    sequences = {}
    for name, length in LENGTHS.items():
        truth, pred, walkers, born, tracks = [], [], [], 0, 0
        for frame in range(1, length + 1):
            while len(walkers) < 33:
                born, tracks, height = born + 1, tracks + 1, rng.lognormvariate(5, 0.4)
                start = [rng.uniform(0, 1900), rng.uniform(300, 700), height * 0.4, height]
                kind = rng.choices([1, 7, 8, 12], weights=[85, 7, 4, 4])[0]
                walkers.append([born, tracks, start, rng.gauss(0, 3), rng.gauss(0, 0.3), rng.expovariate(1 / 180), kind])
            for walker in walkers:
                number, track, box, vx, vy, _, kind = walker
                box[0] += vx
                box[1] += vy
                walker[5] -= 1
                truth.append((frame, number, [round(v, 2) for v in box], int(kind == 1), kind))
                if rng.random() < 0.01:
                    tracks += 1
                    walker[1] = tracks
                if rng.random() < 0.002:
                    other = rng.choice(walkers)
                    walker[1], other[1] = other[1], walker[1]
            for number, track, box, *_ in walkers:
                if rng.random() < 0.85:
                    noise = [box[2] * 0.06, box[3] * 0.03, box[2] * 0.06, box[3] * 0.03]
                    pred.append((frame, track, [round(v + rng.gauss(0, n), 2) for v, n in zip(box, noise)]))
            for k in range(rng.choice([0, 1, 2, 3])):
                height = rng.lognormvariate(5, 0.4)
                ghost = [rng.uniform(0, 1900), rng.uniform(300, 700), height * 0.4, height]
                pred.append((frame, 100_000 + frame // 20 * 4 + k, [round(v, 2) for v in ghost]))
            walkers = [w for w in walkers if w[5] > 0 and -100 < w[2][0] < 1950]
        sequences[f"MOT17-{name}"] = (truth, pred)
    return sequences


def lengths(truth):
    """The last frame of each sequence."""
    found = {}
    for name in sorted(os.listdir(truth)):
        with open(os.path.join(truth, name, "gt", "gt.txt")) as file:
            found[name] = max(int(line.split(",")[0]) for line in file)
    return found


def run_trackeval(truth, pred):
    """HOTA, CLEAR and identity numbers of TrackEval, read and prepared by its own class for MOTChallenge."""
    import numpy as np
    from trackeval.datasets import MotChallenge2DBox
    from trackeval.metrics import CLEAR as Clear, HOTA as Hota, Identity

    sizes = lengths(truth)
    for name in sizes:
        with open(os.path.join(pred, f"{name}.txt")) as file:
            sizes[name] = max([sizes[name], *(int(line.split(",")[0]) for line in file)])
    settings = {
        "GT_FOLDER": truth, "TRACKERS_FOLDER": os.path.dirname(pred), "TRACKERS_TO_EVAL": [os.path.basename(pred)],
        "TRACKER_SUB_FOLDER": "", "SKIP_SPLIT_FOL": True, "SEQ_INFO": sizes, "BENCHMARK": "MOT17",
        "PRINT_CONFIG": False, "OUTPUT_FOLDER": os.path.dirname(pred),
    }
    data = MotChallenge2DBox(settings)
    quiet = {"PRINT_CONFIG": False}
    metrics = {"hota": Hota(), "clear": Clear(quiet), "identity": Identity(quiet)}
    each = {key: {} for key in metrics}
    for name in sizes:
        raw = data.get_raw_seq_data(os.path.basename(pred), name)
        prepared = data.get_preprocessed_seq_data(raw, "pedestrian")
        for key, metric in metrics.items():
            each[key][name] = metric.eval_sequence(prepared)
    total = {key: metric.combine_sequences(each[key]) for key, metric in metrics.items()}
    found = {("hota", ours): float(np.mean(total["hota"][theirs])) for ours, theirs in HOTA.items()}
    found |= {("hota", ours): float(total["clear"][CLEAR[ours]]) for ours in ("mota", "motp", "idsw")}
    found |= {("trackeval-clear", ours): float(total["clear"][theirs]) for ours, theirs in CLEAR.items()}
    identity = {ours: float(total["identity"][theirs]) for ours, theirs in IDENTITY.items()}
    return found | {(variant, ours): v for variant in ("hota", "trackeval-clear") for ours, v in identity.items()}


def run_motmetrics(truth, pred):
    """The numbers of py-motmetrics, for all truth boxes that count whatever their class."""
    import motmetrics
    import numpy as np

    np.asfarray = lambda values: np.asarray(values, float)  # which the package still uses
    accumulators = []
    for name in lengths(truth):
        at = os.path.join(truth, name, "gt", "gt.txt")
        objects = motmetrics.io.loadtxt(at, fmt="mot15-2D", min_confidence=1)
        found = motmetrics.io.loadtxt(os.path.join(pred, f"{name}.txt"), fmt="mot15-2D")
        accumulators.append(motmetrics.utils.compare_to_groundtruth(objects, found, "iou", distth=0.5))
    host = motmetrics.metrics.create()
    table = host.compute_many(accumulators, metrics=MOTMETRICS, generate_overall=True)
    return {("motmetrics", key): float(table.loc["OVERALL", key]) for key in MOTMETRICS}


TOOLS = {"trackeval": run_trackeval, "motmetrics": run_motmetrics}


def run_tool(tool, truth, pred):
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TOOLS[tool](truth, pred)


def ocelli(program, variant, truth, pred):
    return [program, "mot", variant, truth, pred, f"classes={'none' if variant == 'motmetrics' else 'pedestrians'}"]


def check(options):
    worst, compared = 0.0, 0
    for seed in range(-1, options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            folders = write(folder, mot17_size() if seed < 0 else stress(seed))
            want = {key: value for tool in options.tools.split(",") for key, value in run_tool(tool, *folders).items()}
            for variant in sorted({variant for variant, _ in want}):
                run = subprocess.run(ocelli(options.ocelli, variant, *folders), capture_output=True, text=True)
                if run.returncode:
                    raise SystemExit(f"seed {seed}: {run.stderr}")
                got = values(run.stdout)
                for (of, key), value in want.items():
                    if of != variant or math.isnan(value) and math.isnan(float(got[key])):
                        continue
                    difference = abs(float(got[key]) - value)
                    if not difference <= TOLERANCE:
                        raise SystemExit(f"seed {seed}: {variant} {key} is {got[key]}, wanted {value!r}")
                    worst, compared = max(worst, difference), compared + 1
    print(f"{options.rounds + 1} sets, {compared} numbers, largest difference {worst:.1e}")


def one(options):
    """A single run of a tool in this process, for `time`."""
    importlib.import_module(options.tool)  # which is not timed
    start, used = time.perf_counter(), time.process_time()
    found = run_tool(options.tool, options.truth, options.pred)
    seconds, processor = time.perf_counter() - start, time.process_time() - used
    for (_, key), value in found.items():
        print(f"{key} {value!r}")
    print(f"seconds {seconds:.4f}\nprocessor {processor:.4f}")


def make(options):
    """Writes the set of MOT17's size."""
    write(options.folder, mot17_size())


def timed(options):
    with tempfile.TemporaryDirectory() as folder:
        make_apart(__file__, folder)
        folders = [os.path.join(folder, side) for side in SIDES]
        tools = {"ocelli": ocelli(options.ocelli, "hota", *folders)}
        for tool in options.tools.split(","):
            if tool == "motmetrics":
                tools["ocelli-motm"] = ocelli(options.ocelli, tool, *folders)
            tools[tool] = [sys.executable, __file__, "one", "--tool", tool, "--truth", folders[0], "--pred", folders[1]]
        in_turns(tools, options.rounds, lambda found: found.get("hota", found.get("mota")))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["check", "time", "make", "one"])
    parser.add_argument("--ocelli")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tools", default="trackeval,motmetrics")
    parser.add_argument("--tool", choices=list(TOOLS))
    parser.add_argument("--folder", default=".", help="where `make` writes the set of MOT17's size")
    parser.add_argument("--truth")
    parser.add_argument("--pred")
    options = parser.parse_args()
    {"check": check, "time": timed, "make": make, "one": one}[options.what](options)


if __name__ == "__main__":
    main()
