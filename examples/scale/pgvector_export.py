"""Loads an export into PostgreSQL with pgvector, builds its index, searches, and compares with the exact nearest rows.

    pip install -r requirements.txt
    python pgvector_export.py EXPORT.parquet... --data FOLDER [--measure cosine] [--where "label = 3"] [--least 0.95]
    python pgvector_export.py EXPORT.parquet... --server postgresql://user@host/database

`--data` starts the PostgreSQL of the package `pgserver` in that folder (its own user, a local socket) and stops it in the
end; the rows stay. `--server` uses one that runs and has pgvector.
"""

import contextlib
import time

import psycopg
import pyarrow as pa
from exported import Export, check_row, judge, matrix, parser
from pgvector import Vector
from pgvector.psycopg import register_vector
from psycopg import sql

# Operator of the distance that ORDER BY asks for, and the index's class of operators.
DISTANCES = {
    "inner_product": ("<#>", "vector_ip_ops"),
    "cosine": ("<=>", "vector_cosine_ops"),
    "squared_l2": ("<->", "vector_l2_ops"),
}
TYPES = {
    pa.bool_(): "bool",
    pa.int16(): "int2",
    pa.int32(): "int4",
    pa.int64(): "int8",
    pa.float32(): "float4",
    pa.float64(): "float8",
    pa.string(): "text",
    pa.large_string(): "text",
    pa.binary(): "bytea",
    pa.large_binary(): "bytea",
}


def columns(export):
    """Name and PostgreSQL type of every column."""
    found = {}
    for field in export.schema:
        found[field.name] = "vector" if field.name == "vector" else TYPES.get(field.type)
        if found[field.name] is None:
            raise SystemExit(f"column `{field.name}`: {field.type} has no counterpart here; add it to TYPES")
    return found


def load(connection, table, export):
    types = columns(export)
    definitions = [
        sql.SQL("{} {}").format(
            sql.Identifier(name), sql.SQL({"id": "int8 PRIMARY KEY", "vector": f"vector({export.dim})"}.get(name, kind))
        )
        for name, kind in types.items()
    ]
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(table, sql.SQL(", ").join(definitions)))
    names = sql.SQL(", ").join(map(sql.Identifier, types))
    statement = sql.SQL("COPY {} ({}) FROM STDIN WITH (FORMAT BINARY)").format(table, names)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(list(types.values()))
        for batch in export.batches():
            lists = [map(Vector, matrix(batch[name])) if name == "vector" else batch[name].to_pylist() for name in types]
            for row in zip(*lists):
                copy.write_row(row)
    return connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()[0]


@contextlib.contextmanager
def server(options):
    if options.server:
        yield options.server
        return
    import pgserver

    with pgserver.get_server(options.data, cleanup_mode="stop") as running:
        yield running.get_uri()


def main():
    arguments = parser(__doc__)
    where = arguments.add_mutually_exclusive_group(required=True)
    where.add_argument("--data")
    where.add_argument("--server")
    arguments.add_argument("--table", default="vectors")
    arguments.add_argument("--links", type=int, default=16, help="HNSW's m")
    arguments.add_argument("--construction", type=int, default=64, help="HNSW's ef_construction")
    arguments.add_argument("--ef", type=int, default=100, help="HNSW's ef_search, 1000 at most")
    options = arguments.parse_args()
    export = Export(options.export)
    operator, operators = DISTANCES[options.measure]
    table = sql.Identifier(options.table)
    with server(options) as address, psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(connection)
        version = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()[0]
        start = time.perf_counter()
        rows = load(connection, table, export)
        if rows != export.rows:
            raise SystemExit(f"{rows} rows arrived of {export.rows}")
        print(f"{rows} rows x {export.dim} loaded in {time.perf_counter() - start:.1f} s, pgvector {version}")

        def fetch(identity, names):
            some = sql.SQL(", ").join(map(sql.Identifier, names))
            row = connection.execute(sql.SQL("SELECT {} FROM {} WHERE id = %s").format(some, table), [identity]).fetchone()
            got = dict(zip(names, row))
            vector = got["vector"]
            return {**got, "vector": vector.to_numpy() if isinstance(vector, Vector) else vector}

        check_row(export, fetch)

        start = time.perf_counter()
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute(
            sql.SQL("CREATE INDEX ON {} USING hnsw (vector {}) WITH (m = {}, ef_construction = {})").format(
                table, sql.SQL(operators), options.links, options.construction
            )
        )
        print(f"HNSW, m {options.links}, ef_construction {options.construction}, built in {time.perf_counter() - start:.1f} s")

        allowed, condition = None, sql.SQL("")
        if options.where:
            # The driver takes a lone percent sign for a parameter.
            condition = sql.SQL("WHERE {}").format(sql.SQL(options.where.replace("%", "%%")))
            allowed = [row[0] for row in connection.execute(sql.SQL("SELECT id FROM {} {}").format(table, condition), [])]
            print(f"{len(allowed)} rows are {options.where}")
        # A literal in the text: SET takes no parameters.
        connection.execute(sql.SQL("SET hnsw.ef_search = {}").format(options.ef))
        text = sql.SQL("SELECT id FROM {} {} ORDER BY vector {} %s LIMIT {}").format(
            table, condition, sql.SQL(operator), options.k
        )

        def search(query):
            return [row[0] for row in connection.execute(text, [Vector(query)])]

        judge(options, export, search, allowed)
        probe = next(export.vectors())[1][0]
        plan = "\n".join(row[0] for row in connection.execute(sql.SQL("EXPLAIN ") + text, [Vector(probe)]))
        if "Index Scan" not in plan and not options.where:
            raise SystemExit(f"the index was not used:\n{plan}")


if __name__ == "__main__":
    main()
