"""Writes a small export to try the two routes with: clustered unit vectors, sign codes, a label and a name.

python make_sample.py FOLDER [--rows 20000] [--dim 64] [--shards 2]
"""

import argparse
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--shards", type=int, default=2)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((200, options.dim), dtype=np.float32)
    cluster = rng.integers(len(centres), size=options.rows)
    vectors = centres[cluster] + rng.standard_normal((options.rows, options.dim), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    # Ids that are not the rows' numbers, so that a route that mixes the two up is found.
    ids = rng.permutation(options.rows) * 7 + 1_000_000
    bits = np.packbits(vectors > 0, axis=1)
    table = pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), options.dim),
            "codes": pa.array([row.tobytes() for row in bits], pa.binary()),
            "label": pa.array(cluster % 10, pa.int32()),
            "name": [f"picture {number}" for number in ids],
        }
    )
    options.folder.mkdir(parents=True, exist_ok=True)
    size = -(-options.rows // options.shards)
    for shard in range(options.shards):
        pq.write_table(table.slice(shard * size, size), options.folder / f"sample-{shard}.parquet")


if __name__ == "__main__":
    main()
