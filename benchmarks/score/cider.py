"""Compares Ocelli's CIDEr with pycocoevalcap and times the two side by side.

    pip install numpy pycocoevalcap
    cargo build --release -p ocelli-score --example time_coco
    python benchmarks/score/cider.py check --ocelli PROGRAM [--rounds 50]
    python benchmarks/score/cider.py time  --ocelli PROGRAM [--rounds 5]

PROGRAM is the example that was built (`target/release/examples/time_coco`). Captions are drawn tokenised, so that neither
side needs the tokeniser. `check` draws small sets full of repeated words, empty captions, single pictures and equal
captions, and fails at the first value that differs by more than 1e-10 (values reach 10). `time` draws a set of the size of
COCO's Karpathy split (5,000 pictures, 5 references each) and runs each tool in a process of its own on one core, in turns,
from files to the value; it prints the least time of each, on the clock and of the processor, and its peak memory. The
start of Python and its imports do not count in the times, Ocelli's start does.
"""

import argparse
import contextlib
import io
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from turns import in_turns, make_apart, values  # noqa: E402

TOLERANCE = 1e-10
NAMES = ("truth.json", "results.json")


def zipf(count, exponent):
    """Weights of words by rank, summed up as `random.choices` likes them."""
    return list(itertools.accumulate(1 / (rank + 3) ** exponent for rank in range(count)))


def files(folder, units):
    """Writes units (candidate, references) as COCO has them."""
    ids = [i * 7 + 139 for i in range(len(units))]
    captions = [(i, reference) for i, (_, references) in zip(ids, units) for reference in references]
    truth = {
        "images": [{"id": i} for i in ids],
        "annotations": [{"id": n, "image_id": i, "caption": caption} for n, (i, caption) in enumerate(captions)],
    }
    results = [{"image_id": i, "caption": candidate} for i, (candidate, _) in zip(ids, units)]
    paths = [os.path.join(folder, name) for name in NAMES]
    for path, content in zip(paths, (truth, results)):
        with open(path, "w") as file:
            json.dump(content, file)
    return paths


def stress(seed):
    """A small set from few words."""
    rng = random.Random(seed)
    words = [chr(ord("a") + k) for k in range(rng.choice([2, 5, 20]))] + ["straße", "don't", "twenty-one"]

    def sentence(low):
        return " ".join(rng.choices(words, k=rng.randint(low, rng.choice([3, 8, 30]))))

    units = []
    for _ in range(rng.choice([1, 2, 3, 10, 40])):
        references = [sentence(1) for _ in range(rng.randint(1, 6))]
        candidate = rng.choice([sentence(0), sentence(1), rng.choice(references)])
        units.append((candidate, references + references[:1] * rng.randint(0, 1)))
    return units


def coco_size(seed=1, pictures=5000, references=5):
    """Captions of some ten words each: of all words, of those of the picture, and of phrases that all pictures share."""
    rng = random.Random(seed)
    words = [f"{rng.choice('bcdfghklmnprst')}{rng.choice('aeiou')}{k:x}" for k in range(12_000)]
    common, rare = zipf(300, 0.9), zipf(len(words), 1.0)
    phrases = [" ".join(rng.choices(words[:300], cum_weights=common, k=rng.randint(2, 4))) for _ in range(4000)]
    often = zipf(len(phrases), 0.8)

    def sentence(topic):
        parts, wanted, length = [], max(7, round(rng.gauss(10.5, 2))), 0
        while length < wanted:
            of = rng.random()
            if of < 0.5:
                part = rng.choices(phrases, cum_weights=often)[0]
            elif of < 0.8:
                part = rng.choice(topic)
            else:
                part = rng.choices(words, cum_weights=rare)[0]
            parts.append(part)
            length += part.count(" ") + 1
        return " ".join(parts)

    units = []
    for _ in range(pictures):
        topic = rng.choices(words, cum_weights=rare, k=5) + rng.choices(phrases, cum_weights=often, k=2)
        units.append((sentence(topic), [sentence(topic) for _ in range(references)]))
    return units


def run_pycocoevalcap(truth, results):
    """CIDEr of files of tokenised captions."""
    from pycocoevalcap.cider.cider import Cider

    with open(truth) as file:
        annotations = json.load(file)["annotations"]
    with open(results) as file:
        candidates = {r["image_id"]: [r["caption"]] for r in json.load(file)}
    references = {i: [] for i in candidates}
    for annotation in annotations:
        references[annotation["image_id"]].append(annotation["caption"])
    return float(Cider().compute_score(references, candidates)[0])


def ocelli(program, truth, results):
    return [program, "caption", "cider-d", truth, results, "tokenize=false", "metrics=cider"]


def check(options):
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(-1, options.rounds):
            paths = files(folder, coco_size() if seed < 0 else stress(seed))
            want = run_pycocoevalcap(*paths)
            run = subprocess.run(ocelli(options.ocelli, *paths), capture_output=True, text=True)
            if run.returncode:
                raise SystemExit(f"seed {seed}: {run.stderr}")
            got = float(values(run.stdout)["cider"])
            if not abs(got - want) <= TOLERANCE:
                raise SystemExit(f"seed {seed}: CIDEr is {got!r}, pycocoevalcap says {want!r}")
            worst = max(worst, abs(got - want))
    print(f"{options.rounds + 1} sets, largest difference {worst:.1e}")


def one(options):
    """A single run of pycocoevalcap in this process, for `time`."""
    with contextlib.redirect_stdout(io.StringIO()):
        import pycocoevalcap.cider.cider  # noqa: F401, whose import is not timed

    start, used = time.perf_counter(), time.process_time()
    value = run_pycocoevalcap(options.truth, options.results)
    print(f"cider {value!r}\nseconds {time.perf_counter() - start:.4f}\nprocessor {time.process_time() - used:.4f}")


def make(options):
    """Writes the set of the size of COCO's Karpathy split."""
    files(options.folder, coco_size())


def timed(options):
    with tempfile.TemporaryDirectory() as folder:
        make_apart(__file__, folder)
        paths = [os.path.join(folder, name) for name in NAMES]
        peer = [sys.executable, __file__, "one", "--truth", paths[0], "--results", paths[1]]
        tools = {"ocelli": ocelli(options.ocelli, *paths), "pycocoevalcap": peer}
        in_turns(tools, options.rounds, lambda found: f"CIDEr {found['cider']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["check", "time", "make", "one"])
    parser.add_argument("--ocelli")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", default=".", help="where `make` writes truth.json and results.json")
    parser.add_argument("--truth")
    parser.add_argument("--results")
    options = parser.parse_args()
    {"check": check, "time": timed, "make": make, "one": one}[options.what](options)


if __name__ == "__main__":
    main()
