"""What the two routes share: reading an export, its exact nearest rows, and the verdict.

An export is one or more Parquet files (shards) with the columns `id` (int64), `vector` (list<float32>, of fixed
size or not), `codes` (binary) and any metadata.
"""

import argparse
import pathlib
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 16_384


class Export:
    """Parquet files of one schema, read a batch at a time."""

    def __init__(self, paths):
        try:
            self.files = [pq.ParquetFile(path) for path in paths]
        except (OSError, pa.ArrowInvalid) as error:
            raise SystemExit(f"cannot read the export: {error}") from None
        self.schema = self.files[0].schema_arrow
        for path, file in zip(paths, self.files):
            if not file.schema_arrow.equals(self.schema):
                raise SystemExit(f"{path}: the columns differ from those of {paths[0]}")
        for name in ("id", "vector", "codes"):
            if name not in self.schema.names:
                raise SystemExit(f"{paths[0]}: there is no column `{name}`")
        self.rows = sum(file.metadata.num_rows for file in self.files)
        at = self.schema.get_field_index("vector")
        vector = self.schema.field(at).type
        lists = pa.types.is_list(vector) or pa.types.is_fixed_size_list(vector)
        if not lists or vector.value_type != pa.float32():
            raise SystemExit(f"{paths[0]}: `vector` is {vector}, not a list of float32")
        first = next((b for file in self.files for b in file.iter_batches(1, columns=["vector"])), None)
        if first is None or not first["vector"][0].is_valid:
            raise SystemExit(f"{paths[0]}: there is no first vector")
        # Parquet itself knows lists of any length; the engines want to be told that all are as long as the first.
        self.dim = len(first["vector"][0])
        self.schema = self.schema.set(at, pa.field("vector", pa.list_(pa.float32(), self.dim)))

    def batches(self, columns=None):
        schema = self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])
        for file in self.files:
            for batch in file.iter_batches(BATCH, columns=columns):
                try:
                    yield batch.select(schema.names).cast(schema)
                except pa.ArrowInvalid as error:
                    raise SystemExit(f"a vector has not {self.dim} elements: {error}") from None

    def vectors(self):
        """Pairs of ids `[n]` and vectors `[n, dim]`."""
        for batch in self.batches(["id", "vector"]):
            yield batch["id"].to_numpy(), matrix(batch["vector"])


def matrix(column):
    return column.flatten().to_numpy().reshape(len(column), -1)


def queries(options, export):
    """Those of the file, or rows spread over the export with a tenth of noise."""
    if options.queries:
        return np.concatenate([matrix(b["vector"]) for b in pq.ParquetFile(options.queries).iter_batches(columns=["vector"])])
    every = max(1, export.rows // options.count)
    taken, start = [], 0
    for ids, vectors in export.vectors():
        taken.append(vectors[-start % every :: every])
        start += len(ids)
    rows = np.concatenate(taken)[: options.count]
    noise = np.random.default_rng(0).standard_normal(rows.shape, dtype=np.float32)
    return rows + 0.1 * noise * np.linalg.norm(rows, axis=1, keepdims=True) / rows.shape[1] ** 0.5


def exact(export, wanted, measure, k, allowed=None):
    """Ids `[Q, k]` of the k best of all rows, or of those whose id is allowed."""
    best = np.full((len(wanted), k), -np.inf, np.float32)
    names = np.full((len(wanted), k), -1, np.int64)
    for ids, vectors in export.vectors():
        if allowed is not None:
            inside = np.isin(ids, allowed)
            ids, vectors = ids[inside], vectors[inside]
        scores = wanted @ vectors.T
        if measure == "cosine":
            scores /= np.maximum(np.linalg.norm(vectors, axis=1), 1e-30)
        if measure == "squared_l2":
            scores -= 0.5 * (vectors**2).sum(axis=1)
        scores = np.concatenate([best, scores], axis=1)
        all_names = np.concatenate([names, np.broadcast_to(ids, (len(wanted), len(ids)))], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best, names = np.take_along_axis(scores, order, 1), np.take_along_axis(all_names, order, 1)
    return names


def check_row(export, fetch):
    """Fails unless the engine gives the export's last row back as it was; `fetch` takes an id and names of columns."""
    *_, batch = export.batches()
    want = batch.slice(len(batch) - 1).to_pylist()[0]
    got = fetch(want["id"], list(want))
    for name, value in want.items():
        same = np.array_equal(np.float32(got[name]), np.float32(value)) if name == "vector" else got[name] == value
        if not same:
            raise SystemExit(f"row {want['id']}: `{name}` is {got[name]!r}, the export has {value!r}")


def judge(options, export, search, allowed=None):
    """Searches for every query, prints recall and speed, and fails below the bound."""
    wanted = queries(options, export)
    truth = exact(export, wanted, options.measure, options.k, allowed)
    start = time.perf_counter()
    found = [list(search(query)) for query in wanted]
    seconds = time.perf_counter() - start
    possible = (truth >= 0).sum()
    hits = sum(len(set(row) & set(ids.tolist())) for row, ids in zip(found, truth))
    recall = hits / possible if possible else 1.0
    print(f"recall@{options.k} {recall:.4f} over {len(wanted)} queries, {len(wanted) / seconds:.0f} queries/s one by one")
    if recall < options.least:
        raise SystemExit(f"recall {recall:.4f} is below the bound of {options.least}")


def parser(about):
    arguments = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("export", nargs="+", type=pathlib.Path, help="Parquet files, the shards of one export")
    arguments.add_argument("--measure", choices=["inner_product", "cosine", "squared_l2"], default="cosine")
    arguments.add_argument("--queries", type=pathlib.Path, help="Parquet file with a column `vector`; rows with noise without")
    arguments.add_argument("--count", type=int, default=200, help="how many queries without a file")
    arguments.add_argument("--k", type=int, default=10)
    arguments.add_argument("--where", help="SQL condition on the metadata; searches among these rows alone")
    arguments.add_argument("--least", type=float, default=0.9, help="fail when recall@k is below")
    return arguments
