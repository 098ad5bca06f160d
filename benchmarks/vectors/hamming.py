"""Compares Ocelli's Hamming search with FAISS: same codes, same distances, times side by side.

    pip install numpy faiss-cpu
    cargo build --release -p ocelli-vectors --example time_hamming
    python benchmarks/vectors/hamming.py --ocelli PROGRAM [--rounds 3] [--sets 1Mx64,1Mx128,100kx1024] [--k 10,100]
        [--data random,clustered] [--calls batch,single] [--queries 1000] [--indexes IndexBinaryFlat]

PROGRAM is the example that was built (`target/release/examples/time_hamming`). For each set each tool searches in a process
of its own on one core, in turns: ours through all codes and by multi-index hashing, FAISS with IndexBinaryFlat, which is
exact too, and with IndexBinaryHash and IndexBinaryMultiHash, which are not and search buckets that differ in up to
`nflip` bits. The seconds are those of the search alone, without reading, packing or building. Beside them stands the
share of the k distances of all queries that are the exact ones; ours and IndexBinaryFlat must have all, or the script
fails. `--calls single` asks one query a call.

`random` codes are uniform. `clustered` ones are, as learned codes tend to be, around one centre for a hundred codes, each bit
turned over with probability 1/16; queries are drawn as the codes are.
"""

import argparse
import os
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from turns import in_turns  # noqa: E402


def draw(kind, count, queries, bits, seed):
    random = np.random.default_rng(seed)
    if kind == "random":
        return [random.integers(0, 256, (n, bits // 8), dtype=np.uint8) for n in (count, queries)]
    centres = random.integers(0, 256, (max(count // 100, 1), bits // 8), dtype=np.uint8)

    def around(n):
        # Four random bytes have all of their bits in common with probability 1/16 each.
        noise = np.bitwise_and.reduce(random.integers(0, 256, (4, n, bits // 8), dtype=np.uint8), axis=0)
        return centres[random.integers(0, len(centres), n)] ^ noise

    return [around(count), around(queries)]


def faiss_search(kind, database, queries, bits, k, calls, distances):
    import faiss

    faiss.omp_set_num_threads(1)
    database, queries = (np.fromfile(path, np.uint8).reshape(-1, bits // 8) for path in (database, queries))
    name, *settings = kind.split(",")
    settings = [int(setting) for setting in settings]
    start = time.perf_counter()
    if name == "IndexBinaryFlat":
        index = faiss.IndexBinaryFlat(bits)
    elif name == "IndexBinaryHash":
        index = faiss.IndexBinaryHash(bits, settings[0])
        index.nflip = settings[1]
    else:
        index = faiss.IndexBinaryMultiHash(bits, settings[0], settings[1])
        index.nflip = settings[2]
    index.add(database)
    print(f"build {time.perf_counter() - start:.4f}")
    parts = [queries] if calls == "batch" else [queries[i : i + 1] for i in range(len(queries))]
    start, before = time.perf_counter(), time.process_time()
    found = [index.search(part, k)[0] for part in parts]
    print(f"seconds {time.perf_counter() - start:.4f}")
    print(f"processor {time.process_time() - before:.4f}")
    np.concatenate(found).astype(np.uint32).tofile(distances)


def values(text):
    return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)


def compare(options, name, kind, k, calls):
    count, bits = name.replace("k", "000").replace("M", "000000").split("x")
    count, bits = int(count), int(bits)
    print(f"## {name} {kind}, k = {k}, {calls}, {options.queries} queries", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, part) for part in ("database", "queries")]
        for file, codes in zip(files, draw(kind, count, options.queries, bits, 7)):
            codes.tofile(file)
        # Substrings of about log2(count) bits, as ours.
        length = round(np.log2(count))
        hashes = max(bits // length, 1)
        flat = "IndexBinaryFlat"
        peers = [flat, f"IndexBinaryHash,{length},2"]
        peers += [f"IndexBinaryMultiHash,{hashes},{min(length, bits // hashes)},{flips}" for flips in (0, 1)]
        peers = [peer for peer in peers if peer.startswith(tuple(options.indexes))]
        ours = {"ocelli": "scan", "ocelli multi-index": "multi-index"}
        out = {tool: os.path.join(folder, f"{tool}.found") for tool in [*ours, *peers]}
        settings = [str(bits), str(k)]
        tools = {tool: [options.ocelli, *files, *settings, way, calls, out[tool]] for tool, way in ours.items()}
        for tool in peers:
            tools[tool] = [sys.executable, __file__, "faiss", *files, *settings, tool, calls, out[tool]]
        in_turns(tools, options.rounds, values, lambda found: f"build {found['build']} s")
        exact = np.fromfile(out["ocelli"], np.uint32).reshape(options.queries, k)
        for tool, path in out.items():
            found = np.fromfile(path, np.uint32).reshape(options.queries, k)
            share = np.mean(found == exact)
            print(f"{tool:28} {share:.4f} of the distances")
            if (tool in ours or tool == flat) and share != 1:
                raise SystemExit(f"{tool} differs")


def main():
    if sys.argv[1:2] == ["faiss"]:
        database, queries, bits, k, kind, calls, out = sys.argv[2:]
        return faiss_search(kind, database, queries, int(bits), int(k), calls, out)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ocelli", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--indexes", type=lambda text: text.split(","), default=["IndexBinary"], help="beginnings of names")
    for name, default in (
        ("sets", "1Mx64,1Mx128,100kx1024"),
        ("k", "10,100"),
        ("data", "random,clustered"),
        ("calls", "batch"),
    ):
        parser.add_argument(f"--{name}", type=lambda text: text.split(","), default=default.split(","))
    options = parser.parse_args()
    for name in options.sets:
        for kind in options.data:
            for k in options.k:
                for calls in options.calls:
                    compare(options, name, kind, int(k), calls)


if __name__ == "__main__":
    main()
