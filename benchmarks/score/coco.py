"""Compares Ocelli's COCO and LVIS scores with the official tools, number by number, and times them side by side.

    pip install numpy pycocotools lvis hotcoco ultrafast-pycocotools
    cargo build --release -p ocelli-score --example time_coco
    python benchmarks/score/coco.py check --ocelli PROGRAM [--rounds 40] [--lvis FILE]
    python benchmarks/score/coco.py time  --ocelli PROGRAM [--rounds 5] [--shape bbox]

PROGRAM is the example that was built (`target/release/examples/time_coco`). `check` draws small sets full of ties, crowds,
areas at the ends of ranges, pictures without truth and unknown categories, and fails at the first number that differs by
more than 1e-12. `time` draws a set of COCO's size (5,000 pictures, 80 categories, 36,000 objects, 140,000 detections) and
runs each tool in a process of its own on one core, in turns, reading included; it prints the least time of each and its
peak memory.
"""

import argparse
import contextlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from turns import in_turns, make_apart, values  # noqa: E402

TOLERANCE = 1e-12
NAMES = ("truth.json", "results.json")
DETECTION = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR@1", "AR@10", "AR@100", "ARs@100", "ARm@100", "ARl@100"]
KEYPOINTS = ["AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl"]


def polygon(rng, box):
    """A wobbly ring inside of a box."""
    import math

    x, y, w, h = box
    corners = rng.randint(3, 12)
    points = []
    for k in range(corners):
        angle, radius = 2 * math.pi * k / corners, rng.uniform(0.6, 1.0)
        points += [
            round(x + w / 2 + radius * w / 2 * math.cos(angle), 2),
            round(y + h / 2 + radius * h / 2 * math.sin(angle), 2),
        ]
    return points


def compressed(segmentation, height, width):
    from pycocotools import mask

    rles = mask.frPyObjects(segmentation, height, width)
    rle = mask.merge(rles)
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}


def uncompressed(segmentation, height, width):
    """Run lengths as numbers."""
    import numpy as np
    from pycocotools import mask

    pixels = mask.decode(mask.merge(mask.frPyObjects(segmentation, height, width))).flatten(order="F")
    changes = np.flatnonzero(np.diff(pixels)) + 1
    edges = [0, *changes.tolist(), len(pixels)]
    counts = [b - a for a, b in zip(edges, edges[1:])]
    return {"size": [height, width], "counts": ([0] if pixels[0] else []) + counts}


def keypoints(rng, box, spread):
    x, y, w, h = box
    values = []
    for _ in range(17):
        seen = rng.choice([0, 1, 2, 2]) if spread == 0 else 1
        values += [round(x + rng.random() * w + spread * rng.gauss(0, 1), 1), round(y + rng.random() * h, 1), seen]
    return values


def small_box(rng):
    """Boxes on a coarse grid: equal overlaps, areas of exactly 32 x 32 and 96 x 96, some without area."""
    side = rng.choice([4, 8, 16, 32, 32, 48, 96, 96, 128])
    other = rng.choice([side, side, rng.choice([0, 3.5, 8, 32, 96, 100.25])])
    return [rng.choice([0, 8, 16, 40.5, 100]) * 1.0, rng.choice([0, 8, 33.25, 90]) * 1.0, side * 1.0, other * 1.0]


def stress(seed, shape, federated):
    """A small set of everything that evaluators stumble over."""
    rng = random.Random(seed)
    height, width = 240, 260
    images = [{"id": i * 3 + 1, "height": height, "width": width, "file_name": f"{i}.jpg"} for i in range(rng.randint(1, 12))]
    rng.shuffle(images)
    categories = [{"id": c * 2 + 1, "name": f"c{c}"} for c in range(1 if shape == "keypoints" else rng.randint(1, 5))]
    rng.shuffle(categories)
    ids = [c["id"] for c in categories]
    if federated:
        for category in categories:
            category["frequency"] = rng.choice("rcf")
        for image in images:
            image["neg_category_ids"] = rng.sample(ids, rng.randint(0, len(ids)))
            image["not_exhaustive_category_ids"] = rng.sample(ids, rng.randint(0, len(ids)))
    annotations = []
    numbers = iter(rng.sample(range(0 if rng.random() < 0.3 else 1, 4000), 400))
    for image in images:
        for _ in range(rng.choice([0, 0, 1, 3, 8, 15])):
            box = small_box(rng)
            if shape == "segm":
                box[2:] = [max(box[2], 4.0), max(box[3], 4.0)]
            annotation = {
                "id": next(numbers),
                "image_id": image["id"],
                "category_id": rng.choice(ids),
                "bbox": box,
                "area": rng.choice([box[2] * box[3], 1024, 9216, 1024.5]),
                "iscrowd": int(rng.random() < 0.15 and not federated),
            }
            if rng.random() < 0.1:
                annotation["ignore"] = 1
            if shape == "segm":
                rings = [polygon(rng, box) for _ in range(rng.choice([1, 1, 2]))]
                form = compressed if rng.random() < 0.3 else None
                form = uncompressed if annotation["iscrowd"] else form
                annotation["segmentation"] = form(rings, height, width) if form else rings
            if shape == "keypoints":
                annotation["keypoints"] = keypoints(rng, box, 0) if rng.random() < 0.8 else [0] * 51
                annotation["num_keypoints"] = sum(v > 0 for v in annotation["keypoints"][2::3])
            annotations.append(annotation)
    results = []
    with_boxes = shape != "segm" or rng.random() < 0.5
    for _ in range(rng.choice([1, 30, 200, 600])):
        near = rng.choice(annotations) if annotations and rng.random() < 0.7 else None
        image = near["image_id"] if near else rng.choice(images)["id"]
        category = near["category_id"] if near and rng.random() < 0.9 else rng.choice(ids + ids + [9999])
        box = list(near["bbox"]) if near else small_box(rng)
        if rng.random() < 0.6:
            box = [box[0] + rng.choice([0, 1, 2.5, 8]), box[1] + rng.choice([0, 1, 4]), box[2], box[3]]
        if shape == "segm":
            box[2:] = [max(box[2], 4.0), max(box[3], 4.0)]
        result = {"image_id": image, "category_id": category, "score": rng.choice([0, 0.25, 0.5, 1, round(rng.random(), 3)])}
        if with_boxes:
            result["bbox"] = box
        if shape == "segm":
            same = near and isinstance(near["segmentation"], list) and rng.random() < 0.5
            result["segmentation"] = compressed(near["segmentation"] if same else [polygon(rng, box)], height, width)
        if shape == "keypoints":
            moved = near["keypoints"] if near and rng.random() < 0.7 else keypoints(rng, box, 5)
            result["keypoints"] = [v + rng.choice([0, 0, 1.5]) if i % 3 < 2 else 1 for i, v in enumerate(moved)]
            if rng.random() < 0.5 and results and "bbox" not in results[0]:
                result.pop("bbox")
        results.append(result)
    if shape == "keypoints" and rng.random() < 0.5:
        for result in results:
            result.pop("bbox", None)
    return {"images": images, "categories": categories, "annotations": annotations}, results


def coco_size(seed=1):
    """A set of COCO's size: most detections near an object of their category, a fifth of them anywhere."""
    rng = random.Random(seed)
    images = [{"id": i * 7 + 139, "width": 640, "height": 480, "file_name": f"{i:012}.jpg"} for i in range(5000)]
    categories = [{"id": c + 1, "name": f"category {c + 1}"} for c in range(80)]

    def box():
        w, h = min(rng.lognormvariate(4, 0.9), 600), min(rng.lognormvariate(4, 0.9), 450)
        return [round(v, 2) for v in (rng.random() * (640 - w), rng.random() * (480 - h), w, h)]

    annotations = []
    for number in range(36_000):
        area = box()
        annotations.append(
            {
                "id": number + 1,
                "image_id": rng.choice(images)["id"],
                "category_id": min(int(rng.expovariate(0.05)) + 1, 80),
                "bbox": area,
                "area": round(area[2] * area[3] * rng.uniform(0.5, 1), 4),
                "iscrowd": int(rng.random() < 0.01),
                "segmentation": [polygon(rng, area)],
            }
        )
    results = []
    for _ in range(140_000):
        near = rng.choice(annotations) if rng.random() < 0.8 else None
        found = [v + rng.gauss(0, 4) for v in near["bbox"]] if near else box()
        found[2:] = [max(v, 1.0) for v in found[2:]]
        results.append(
            {
                "image_id": near["image_id"] if near else rng.choice(images)["id"],
                "category_id": near["category_id"] if near else rng.randint(1, 80),
                "bbox": [round(v, 3) for v in found],
                "score": round(rng.betavariate(2, 2) if near else rng.betavariate(1, 4), 6),
            }
        )
    return {"images": images, "categories": categories, "annotations": annotations}, results


def run_tool(tool, truth, results, shape):
    """The metrics of a Python tool by name."""
    silent = contextlib.redirect_stdout(io.StringIO())
    if tool == "lvis":
        import numpy as np

        np.float = float  # which the package still uses
        from lvis import LVIS, LVISEval, LVISResults

        gt = LVIS(truth)
        evaluation = LVISEval(gt, LVISResults(gt, results), shape)
        evaluation.run()
        return dict(evaluation.get_results())
    with silent:
        if tool == "hotcoco":
            from hotcoco import COCO, COCOeval
        elif tool == "ultrafast":
            from ultrafast_pycocotools.coco import COCO
            from ultrafast_pycocotools.cocoeval import COCOeval
        else:
            from pycocotools.coco import COCO
            from pycocotools.cocoeval import COCOeval
        gt = COCO(truth)
        evaluation = COCOeval(gt, gt.loadRes(results), shape)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(KEYPOINTS if shape == "keypoints" else DETECTION, map(float, evaluation.stats)))


def run_ocelli(program, protocol, truth, results, shape):
    output = subprocess.run([program, protocol, shape, truth, results], capture_output=True, text=True)
    if output.returncode:
        raise SystemExit(f"{program}: {output.stderr}")
    return {name: float(value) for name, value in values(output.stdout).items()}


def save(folder, truth, results):
    paths = [os.path.join(folder, name) for name in NAMES]
    for path, content in zip(paths, (truth, results)):
        with open(path, "w") as file:
            json.dump(content, file)
    return paths


def compare(program, tool, paths, shape, name):
    want = run_tool(tool, *paths, shape)
    got = run_ocelli(program, "lvis" if tool == "lvis" else "coco", *paths, shape)
    for key, value in want.items():
        if not abs(got[key] - value) <= TOLERANCE:
            raise SystemExit(f"{name}: {key} is {got[key]!r}, {tool} says {value!r} ({paths})")
    return max(abs(got[key] - value) for key, value in want.items())


def federated_results(path, seed):
    """Detections around the objects of a real LVIS file."""
    rng = random.Random(seed)
    with open(path) as file:
        truth = json.load(file)
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    boxes, masks = [], []
    for annotation in truth["annotations"] * 4:
        category = annotation["category_id"] if rng.random() < 0.8 else rng.choice(truth["categories"])["id"]
        base = {"image_id": annotation["image_id"], "category_id": category, "score": round(rng.random(), 2)}
        boxes.append({**base, "bbox": [v + rng.gauss(0, 3) for v in annotation["bbox"]]})
        masks.append({**base, "segmentation": compressed(annotation["segmentation"], *sizes[annotation["image_id"]])})
    return {"bbox": boxes, "segm": masks}


def check(options):
    worst, compared = 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.rounds):
            for shape, tool in (("bbox", "coco"), ("segm", "coco"), ("keypoints", "coco"), ("bbox", "lvis"), ("segm", "lvis")):
                truth, results = stress(seed, shape, tool == "lvis")
                if tool == "lvis" and not any(r["category_id"] != 9999 for r in results):
                    continue
                paths = save(folder, truth, results)
                worst = max(worst, compare(options.ocelli, tool, paths, shape, f"seed {seed}, {tool} {shape}"))
                compared += 1
        if options.lvis:
            for shape, results in federated_results(options.lvis, 0).items():
                paths = save(folder, {}, results)
                paths[0] = options.lvis
                worst = max(worst, compare(options.ocelli, "lvis", paths, shape, f"{options.lvis} {shape}"))
                compared += 1
        worst = max(worst, compare(options.ocelli, "coco", save(folder, *coco_size()), "bbox", "COCO size"))
    print(f"{compared + 1} sets, largest difference {worst:.1e}")


def make(options):
    """Writes the set of COCO's size."""
    save(options.folder, *coco_size())


def one(options):
    """A single run of a tool in this process, for `time`."""
    start, used = time.perf_counter(), time.process_time()
    metrics = run_tool(options.tool, options.truth, options.results, options.shape)
    seconds, processor = time.perf_counter() - start, time.process_time() - used
    print(f"AP {metrics['AP']!r}\nseconds {seconds:.4f}\nprocessor {processor:.4f}")


def timed(options):
    with tempfile.TemporaryDirectory() as folder:
        make_apart(__file__, folder)
        paths = [os.path.join(folder, name) for name in NAMES]
        tools = {"ocelli": [options.ocelli, "coco", options.shape, *paths]}
        for tool in options.tools.split(","):
            files = ["--truth", paths[0], "--results", paths[1]]
            tools[tool] = [sys.executable, __file__, "one", "--tool", tool, *files, "--shape", options.shape]
        once = ["pycocotools"] if options.slow_once else []
        in_turns(tools, options.rounds, lambda found: f"AP {found['AP']}", once)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["check", "time", "make", "one"])
    parser.add_argument("--ocelli")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shape", default="bbox")
    parser.add_argument("--lvis")
    parser.add_argument("--tools", default="pycocotools,hotcoco,ultrafast")
    parser.add_argument("--slow-once", action="store_true", help="run pycocotools in the first round alone")
    parser.add_argument("--folder", default=".", help="where `make` writes truth.json and results.json of COCO's size")
    parser.add_argument("--tool")
    parser.add_argument("--truth")
    parser.add_argument("--results")
    options = parser.parse_args()
    {"check": check, "time": timed, "make": make, "one": one}[options.what](options)


if __name__ == "__main__":
    main()
