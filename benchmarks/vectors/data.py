"""Writes the data sets of the search benchmark: base, queries and the true hundred nearest, as .fvecs and .ivecs.

    pip install numpy
    python benchmarks/vectors/data.py FOLDER [hard100 hard128 easy100 million sift-5k] [--sift sift_base_5k.fvecs]

Each set is a folder of FOLDER with `base.fvecs`, `queries.fvecs`, `truth.ivecs` (hundred rows of the base a query, best
first, equal scores by the smaller row) and `set.json` (law, measure and the files' SHA-256).

The law of the generated sets: `clusters` centres c_j uniform on the unit sphere of R^d; a vector is x / |x| with
x = c_j + noise * g, j uniform, g ~ N(0, I / d), so that `noise` is the length of the noise beside a centre of length 1.
Queries are further draws from the same centres. Similarity is the inner product. `hard` was calibrated so that ScaNN
(316 leaves, 32 searched, blocks of 2 dimensions, T 0.2, 100 reordered) has a recall@10 of 0.95: its clusters are many
more than its partitions and overlap. `easy` has fewer clusters than partitions pay for and hardly any overlap.

`sift-5k` takes the 5,000 SIFT descriptors of NGT's tutorial: every tenth is a query, the rest are the base, by squared
distance.
"""

import argparse
import hashlib
import json
import pathlib

import numpy as np

TRUE_NEIGHBOURS = 100
LAWS = {
    "hard100": {"rows": 100_000, "queries": 10_000, "dim": 100, "clusters": 1500, "noise": 1.0, "seed": 1},
    "hard128": {"rows": 100_000, "queries": 10_000, "dim": 128, "clusters": 1500, "noise": 1.08, "seed": 2},
    "easy100": {"rows": 100_000, "queries": 10_000, "dim": 100, "clusters": 1000, "noise": 0.55, "seed": 3},
    "million": {"rows": 1_000_000, "queries": 1_000, "dim": 96, "clusters": 10_000, "noise": 0.8, "seed": 4},
}
SETS = [*LAWS, "sift-5k"]


def read_vecs(path, rows=None):
    """The vectors of a .fvecs or .ivecs file, `[rows, dim]`, without a copy while nothing is changed."""
    words = np.memmap(path, dtype=np.int32, mode="r")
    table = words.reshape(-1, int(words[0]) + 1)[:rows, 1:]
    return table.view(np.float32) if pathlib.Path(path).suffix == ".fvecs" else table


def write_vecs(path, vectors):
    table = np.empty((len(vectors), vectors.shape[1] + 1), dtype=np.int32)
    table[:, 0] = vectors.shape[1]
    table[:, 1:] = vectors.view(np.int32)
    table.tofile(path)


def generated(law):
    """Base and queries of a law."""
    rng = np.random.default_rng(law["seed"])
    dim = law["dim"]

    def unit(vectors):
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    centres = unit(rng.standard_normal((law["clusters"], dim), dtype=np.float32))

    def draw(count):
        noise = rng.standard_normal((count, dim), dtype=np.float32)
        return unit(centres[rng.integers(law["clusters"], size=count)] + np.float32(law["noise"] / dim**0.5) * noise)

    return draw(law["rows"]), draw(law["queries"])


def exact(base, queries, measure, k=TRUE_NEIGHBOURS):
    """Rows of the k best of the base for each query: candidates in single precision, ranked in double."""
    spare = min(k + 28, len(base))
    norms = (base.astype(np.float64) ** 2).sum(axis=1)
    best = np.empty((len(queries), k), dtype=np.int32)
    step = max(1, 50_000_000 // len(base))
    for start in range(0, len(queries), step):
        some = queries[start : start + step]
        scores = some @ base.T
        if measure == "squared_l2":
            scores -= np.float32(0.5) * norms.astype(np.float32)
        near = np.argpartition(scores, len(base) - spare, axis=1)[:, -spare:]
        for row, (query, rows) in enumerate(zip(some.astype(np.float64), near)):
            fine = base[rows].astype(np.float64) @ query
            if measure == "squared_l2":
                fine -= 0.5 * norms[rows]
            best[start + row] = rows[np.lexsort((rows, -fine))[:k]]
    return best


def write_set(folder, name, base, queries, about):
    folder = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "base.fvecs": np.ascontiguousarray(base, dtype=np.float32),
        "queries.fvecs": np.ascontiguousarray(queries, dtype=np.float32),
    }
    files["truth.ivecs"] = exact(files["base.fvecs"], files["queries.fvecs"], about["measure"])
    for file, vectors in files.items():
        write_vecs(folder / file, vectors)
    sums = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in files}
    (folder / "set.json").write_text(json.dumps({"name": name, **about, "sha256": sums}, indent=1) + "\n")
    print(f"{name}: {len(base)} x {base.shape[1]}, {len(queries)} queries", flush=True)


class DataSet:
    """A folder written here."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.about = json.loads((self.folder / "set.json").read_text())
        self.name, self.measure = self.about["name"], self.about["measure"]
        self.base_path, self.queries_path, self.truth_path = (
            self.folder / file for file in ("base.fvecs", "queries.fvecs", "truth.ivecs")
        )

    def base(self):
        return np.ascontiguousarray(read_vecs(self.base_path))

    def queries(self, count=None):
        return np.ascontiguousarray(read_vecs(self.queries_path, count))

    def truth(self, count=None):
        return read_vecs(self.truth_path, count)


def recall(found, truth, k):
    """Mean share of the true k best that are among the k found."""
    hits = (np.asarray(found)[:, :k, None] == truth[:, None, :k]).any(axis=2)
    return float(hits.mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("sets", nargs="*", metavar="set", help=f"of {', '.join(SETS)}; all without any")
    parser.add_argument("--sift", type=pathlib.Path, help="the descriptors of sift-5k")
    options = parser.parse_args()
    for name in options.sets or SETS:
        if name in LAWS:
            law = LAWS[name]
            write_set(options.folder, name, *generated(law), {"measure": "inner_product", "law": law})
        elif name == "sift-5k" and options.sift:
            vectors = read_vecs(options.sift)
            query = np.arange(len(vectors)) % 10 == 0
            write_set(
                options.folder, name, vectors[~query], vectors[query], {"measure": "squared_l2", "source": options.sift.name}
            )
        else:
            parser.error(f"{name}: of {', '.join(SETS)}; sift-5k needs --sift")


if __name__ == "__main__":
    main()
