"""The work of the ActivityNet detection evaluator, in the manner of the official toolkit, as a peer to measure against.

As there: tables are pandas data frames, grouped by label; each detection of a class is visited by `iterrows` and its
video's truth is looked up by `get_group`; overlaps are NumPy vectors; classes may be spread over processes. Only what the
toolkit does for the number is done. Equal scores keep their order, so that both programs print the same value.

    python activitynet_detection.py make FOLDER [VIDEOS DETECTIONS]   writes truth.json and found.json
    python activitynet_detection.py score FOLDER [JOBS]              prints seconds and average mAP

`activitynet.py` times it beside Ocelli.
"""

import json
import pathlib
import sys
import time

import numpy as np
import pandas

CLASSES = 200
THRESHOLDS = np.linspace(0.5, 0.95, 10)


def make(folder, videos=4728, detections=100):
    """A set of the size of ActivityNet's validation set: 1.5 segments a video, detections around them and elsewhere."""
    draw = np.random.default_rng(0)
    database, results = {}, {}
    for index in range(videos):
        name, duration = f"{index:011d}", float(draw.uniform(30, 230))
        label = f"class {draw.integers(CLASSES)}"
        truth = []
        for _ in range(1 + int(draw.integers(2) * draw.integers(2) * 2)):
            start = draw.uniform(0, 0.8) * duration
            truth.append([start, start + draw.uniform(0.05, 0.2) * duration])
        entries = [{"segment": segment, "label": label} for segment in truth]
        database[name] = {"subset": "validation", "duration": duration, "annotations": entries}
        found = []
        for _ in range(detections):
            start, end = truth[draw.integers(len(truth))]
            spread = draw.choice([0.05, 0.3, 1.0]) * (end - start)
            segment = [max(0.0, start + draw.normal() * spread), min(duration, end + draw.normal() * spread)]
            right = draw.random() < 0.6
            name_of_class = label if right else f"class {draw.integers(CLASSES)}"
            score = float(draw.random() * np.exp(-spread / duration))
            found.append({"score": score, "segment": segment, "label": name_of_class})
        results[name] = found
    folder.mkdir(parents=True, exist_ok=True)
    truth = {"version": "1.3", "taxonomy": [], "database": database}
    (folder / "truth.json").write_text(json.dumps(truth))
    found = {"version": "1.3", "results": results, "external_data": {}}
    (folder / "found.json").write_text(json.dumps(found))


def frames(folder):
    database = json.loads((folder / "truth.json").read_text())["database"]
    numbers, rows = {}, []
    for name, video in database.items():
        for entry in video["annotations"]:
            number = numbers.setdefault(entry["label"], len(numbers))
            rows.append((name, *map(float, entry["segment"]), number))
    truth = pandas.DataFrame(rows, columns=["video", "start", "end", "label"])
    results = json.loads((folder / "found.json").read_text())["results"]
    rows = [
        (name, *map(float, entry["segment"]), numbers[entry["label"]], entry["score"])
        for name, entries in results.items()
        for entry in entries
        if entry["label"] in numbers
    ]
    return truth, pandas.DataFrame(rows, columns=["video", "start", "end", "label", "score"]), len(numbers)


def overlaps(segment, others):
    shared = (np.minimum(segment[1], others[:, 1]) - np.maximum(segment[0], others[:, 0])).clip(0)
    return shared / ((others[:, 1] - others[:, 0]) + (segment[1] - segment[0]) - shared)


def average_precision(truth, found):
    taken = -np.ones((len(THRESHOLDS), len(truth)))
    found = found.loc[np.argsort(-found["score"].values, kind="stable")].reset_index(drop=True)
    hits = np.zeros((len(THRESHOLDS), len(found)))
    by_video = truth.groupby("video")
    for index, row in found.iterrows():
        try:
            own = by_video.get_group(row["video"])
        except KeyError:
            continue
        own = own.reset_index()
        overlap = overlaps(row[["start", "end"]].values, own[["start", "end"]].values)
        order = overlap.argsort()[::-1]
        for t, threshold in enumerate(THRESHOLDS):
            for place in order:
                if overlap[place] < threshold:
                    break
                number = own.loc[place]["index"]
                if taken[t, number] >= 0:
                    continue
                hits[t, index] = 1
                taken[t, number] = index
                break
    hit, false = np.cumsum(hits, axis=1), np.cumsum(1 - hits, axis=1)
    recall, precision = hit / len(truth), hit / (hit + false)
    areas = []
    for t in range(len(THRESHOLDS)):
        p, r = np.hstack([[0], precision[t], [0]]), np.hstack([[0], recall[t], [1]])
        for place in range(len(p) - 1)[::-1]:
            p[place] = max(p[place], p[place + 1])
        steps = np.where(r[1:] != r[:-1])[0] + 1
        areas.append(np.sum((r[steps] - r[steps - 1]) * p[steps]))
    return areas


def score(folder, jobs=1):
    start, cpu = time.perf_counter(), time.process_time()
    truth, found, classes = frames(folder)
    true_of, found_of = truth.groupby("label"), found.groupby("label")

    def part(groups, label, empty):
        return groups.get_group(label).reset_index(drop=True) if label in groups.groups else empty.iloc[:0]

    parts = [(part(true_of, c, truth), part(found_of, c, found)) for c in range(classes)]
    if jobs == 1:
        table = [average_precision(*pair) for pair in parts]
    else:
        from joblib import Parallel, delayed

        table = Parallel(n_jobs=jobs)(delayed(average_precision)(*pair) for pair in parts)
    mean = float(np.array(table).mean())
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"average_mAP {mean!r}\nseconds {wall:.4f}\nprocessor {cpu:.4f}")


if __name__ == "__main__":
    command, folder, numbers = sys.argv[1], pathlib.Path(sys.argv[2]), map(int, sys.argv[3:])
    {"make": make, "score": score}[command](folder, *numbers)
