"""Loads an export into LanceDB, builds its index, searches, and compares with the exact nearest rows.

    pip install -r requirements.txt
    python lancedb_export.py EXPORT.parquet... --to FOLDER [--measure cosine] [--where "label = 3"] [--least 0.95]

`--to` is what `lancedb.connect` takes: a folder, or an object store's address (s3://bucket/path, gs://, az://).
"""

import time

import lancedb
from exported import Export, check_row, judge, parser
from lancedb.index import IvfPq

DISTANCES = {"inner_product": "dot", "cosine": "cosine", "squared_l2": "l2"}


def blocks(dim):
    """The most product-quantization blocks of at least four dimensions that divide the vector evenly."""
    return next(count for count in range(max(1, dim // 4), 0, -1) if dim % count == 0)


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--to", required=True)
    arguments.add_argument("--table", default="vectors")
    arguments.add_argument("--partitions", type=int, help="without: the root of the number of rows, at most one for 256 rows")
    arguments.add_argument("--probes", type=int, default=20)
    arguments.add_argument("--refine", type=int, default=10, help="rescore this many times k with the stored vectors")
    options = arguments.parse_args()
    export = Export(options.export)

    start = time.perf_counter()
    table = lancedb.connect(options.to).create_table(options.table, data=export.batches(), schema=export.schema, mode="overwrite")
    if table.count_rows() != export.rows:
        raise SystemExit(f"{table.count_rows()} rows arrived of {export.rows}")
    print(f"{export.rows} rows x {export.dim} loaded in {time.perf_counter() - start:.1f} s")

    def fetch(identity, columns):
        return table.search().where(f"id = {identity}").select(columns).limit(1).to_list()[0]

    check_row(export, fetch)

    start = time.perf_counter()
    # LanceDB wants 256 rows a partition to train with.
    partitions = options.partitions or max(1, min(round(export.rows**0.5), export.rows // 256))
    codes = IvfPq(distance_type=DISTANCES[options.measure], num_partitions=partitions, num_sub_vectors=blocks(export.dim))
    table.create_index("vector", config=codes)
    print(f"IVF_PQ, {partitions} partitions, {blocks(export.dim)} blocks, built in {time.perf_counter() - start:.1f} s")

    allowed = None
    if options.where:
        allowed = table.search().where(options.where).select(["id"]).limit(export.rows).to_arrow()["id"].to_numpy()
        print(f"{len(allowed)} rows are {options.where}")

    def search(query):
        asked = table.search(query, vector_column_name="vector").distance_type(DISTANCES[options.measure])
        asked = asked.nprobes(options.probes).refine_factor(options.refine).limit(options.k).select(["id", "_distance"])
        if options.where:
            asked = asked.where(options.where, prefilter=True)
        return asked.to_arrow()["id"].to_pylist()

    judge(options, export, search, allowed)


if __name__ == "__main__":
    main()
