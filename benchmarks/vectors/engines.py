"""The engines that are compared with, each behind the same few calls.

An engine is built from a configuration (what is fixed when the index is made) and searched with parameters (what may
change from search to search), both plain dictionaries:

| engine | configuration | parameters |
|---|---|---|
| `faiss` | `factory`, a string of FAISS's index factory | `nprobe`, `k_factor` |
| `scann` | `leaves` (0: no tree), `block` dimensions (0: exact scores), `threshold` T, `soar`, `avq`, `reorder_as` | `leaves`, `reorder` |
| `hnswlib` | `links`, `construction` | `ef` |

One process holds one engine, since each brings its own thread pool and allocator.
"""

import ctypes
import gc
import importlib.metadata
import json
import math
import os
import pathlib
import time

import numpy as np

PACKAGES = {"faiss": "faiss-cpu", "scann": "scann", "hnswlib": "hnswlib"}


def anonymous_memory():
    """Bytes of this process's memory that no file backs."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def settle():
    """Gives back what is free, so that `anonymous_memory` counts what is held."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)


class Clock:
    """Seconds on the clock and of this process's threads."""

    def __enter__(self):
        self.start = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self.start[0]
        self.processor = time.process_time() - self.start[1]


class Faiss:
    def __init__(self, config, dim, measure):
        import faiss

        faiss.omp_set_num_threads(1)
        self.faiss = faiss
        metric = faiss.METRIC_L2 if measure == "squared_l2" else faiss.METRIC_INNER_PRODUCT
        self.index = faiss.index_factory(dim, config["factory"], metric)

    def build(self, base):
        if not self.index.is_trained:
            self.index.train(base)
        self.index.add(base)

    def save(self, path):
        self.faiss.write_index(self.index, os.path.join(path, "index.faiss"))

    def load(self, path):
        self.index = self.faiss.read_index(os.path.join(path, "index.faiss"))

    def threads(self, count):
        self.faiss.omp_set_num_threads(count)

    def use(self, params):
        if params:
            self.faiss.downcast_index(self.index).k_factor = params["k_factor"]
            self.faiss.extract_index_ivf(self.index).nprobe = params["nprobe"]

    def batch(self, queries, k, params):
        self.use(params)
        with Clock() as clock:
            ids = self.index.search(queries, k)[1]
        return ids, clock

    def single(self, queries, k, params):
        """One query a call through the bare binding: pointers and results are prepared before."""
        self.use(params)
        ids, scores = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        pointers = [tuple(map(self.faiss.swig_ptr, row)) for row in zip(queries, scores, ids)]
        search = self.index.search_c
        with Clock() as clock:
            for query, score, found in pointers:
                search(1, query, k, score, found)
        return ids, clock

    def nothing(self, base):
        """An index that answers at once."""
        engine = Faiss({"factory": "Flat"}, base.shape[1], "inner_product")
        engine.build(base[:1])
        return engine, {}


class Scann:
    def __init__(self, config, dim, measure):
        self.config = config
        self.measure = "squared_l2" if measure == "squared_l2" else "dot_product"
        self.count = 1

    def build(self, base):
        from scann.scann_ops.py import scann_builder, scann_ops_pybind

        config = self.config
        builder = scann_ops_pybind.builder(base, 10, self.measure)
        if config["leaves"]:
            soar = {"soar_lambda": config["soar"], "overretrieve_factor": 2.0} if config.get("soar") else {}
            avq = {"avq": config["avq"]} if config.get("avq") else {}
            quantized = {"quantize_centroids": True} if config.get("quantize_centroids") else {}
            builder = builder.tree(config["leaves"], max(1, config["leaves"] // 10), **soar, **avq, **quantized)
        if config["block"]:
            threshold = config.get("threshold") or float("nan")
            builder = builder.score_ah(config["block"], anisotropic_quantization_threshold=threshold)
            storage = scann_builder.ReorderType[config.get("reorder_as", "FLOAT32")]
            builder = builder.reorder(100, storage)
        else:
            builder = builder.score_brute_force()
        self.searcher = builder.set_n_training_threads(1).build()

    def save(self, path):
        self.searcher.serialize(path, relative_path=True)

    def load(self, path):
        from scann.scann_ops.py import scann_ops_pybind

        self.searcher = scann_ops_pybind.load_searcher(path)

    def threads(self, count):
        self.count = count
        if count > 1:
            # The calling thread works beside those of the pool.
            self.searcher.set_num_threads(count - 1)

    def batch(self, queries, k, params):
        search, more = self.searcher.search_batched, {}
        if self.count > 1:
            # The package's own batch size, less for few queries, so that every thread has some.
            more = {"batch_size": min(256, math.ceil(len(queries) / (4 * self.count)))}
            search = self.searcher.search_batched_parallel
        reorder, leaves = params.get("reorder"), params.get("leaves")
        with Clock() as clock:
            ids, _ = search(queries, k, reorder, leaves, **more)
        return ids, clock

    def single(self, queries, k, params):
        search = self.searcher.searcher.search
        reorder, leaves = params.get("reorder", -1), params.get("leaves", -1)
        rows = list(queries)
        found = []
        with Clock() as clock:
            for row in rows:
                found.append(search(row, k, reorder, leaves)[0])
        ids = np.full((len(queries), k), -1, np.int64)
        for row, some in zip(ids, found):
            row[: len(some)] = some
        return ids, clock

    def nothing(self, base):
        engine = Scann({"leaves": 0, "block": 0}, base.shape[1], "inner_product")
        engine.build(base[:1])
        return engine, {}


class Hnswlib:
    def __init__(self, config, dim, measure):
        import hnswlib

        self.config, self.dim = config, dim
        self.index = hnswlib.Index("l2" if measure == "squared_l2" else "ip", dim)

    def build(self, base):
        self.index.init_index(len(base), M=self.config["links"], ef_construction=self.config["construction"], random_seed=1)
        self.index.set_num_threads(1)
        self.index.add_items(base)

    def threads(self, count):
        self.index.set_num_threads(count)

    def batch(self, queries, k, params):
        self.index.set_ef(params["ef"])
        with Clock() as clock:
            ids, _ = self.index.knn_query(queries, k)
        return ids, clock

    def single(self, queries, k, params):
        self.index.set_ef(params["ef"])
        rows = list(queries)
        with Clock() as clock:
            found = [self.index.knn_query(row, k)[0][0] for row in rows]
        return np.array(found), clock

    def nothing(self, base):
        engine = Hnswlib({"links": 2, "construction": 2}, self.dim, "inner_product")
        engine.build(base[:1])
        return engine, {"ef": 1}


ENGINES = {"faiss": Faiss, "scann": Scann, "hnswlib": Hnswlib}


def versions():
    """Name and version of the packages."""
    return {package: importlib.metadata.version(package) for package in (*PACKAGES.values(), "numpy")}


def built(name, config, data, index=None):
    """An engine over a data set with what building it took.

    `index` names a folder to keep the index in: it is loaded when there, with the building's own numbers.
    """
    folder = pathlib.Path(index) if index else None
    dim = data.queries(1).shape[1]
    engine = ENGINES[name](config, dim, data.measure)
    if folder and (folder / "facts.json").exists():
        engine.load(str(folder))
        return engine, {**json.loads((folder / "facts.json").read_text()), "loaded": True}
    settle()
    before = anonymous_memory()
    base = data.base()
    with Clock() as clock:
        engine.build(base)
    del base
    settle()
    facts = {"build_s": clock.seconds, "build_processor_s": clock.processor, "memory_bytes": anonymous_memory() - before}
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        engine.save(str(folder))
        (folder / "facts.json").write_text(json.dumps(facts))
    return engine, facts


def overhead(engine, data):
    """Seconds that a call for one query takes when there is nothing to search."""
    queries = data.queries(1000)
    trivial, params = engine.nothing(queries)
    return min(trivial.single(queries, 1, params)[1].seconds for _ in range(5)) / len(queries)
