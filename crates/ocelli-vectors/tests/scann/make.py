"""Makes the indexes in this folder anew: `pip install scann==1.4.2 numpy`, then `python make.py`.

The vectors are drawn here; the index is what the package builds of them (its training may differ from run to run), and
`ids.npy` what it finds for `queries.npy`.
"""

import pathlib
import shutil

import numpy as np
import scann
from scann.scann_ops.py.scann_builder import ReorderType

HERE = pathlib.Path(__file__).parent
TREE = dict(num_leaves=6, num_leaves_to_search=2, min_partition_size=10)
NEIGHBORS, QUERIES = 5, 20


def make(name, count, dim, seed, distance, unit, tree=None, codes=None, reorder=None):
    """An index of `count` vectors around twelve centres; without codes every vector is compared exactly."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(12, dim))
    x = centres[draw.integers(12, size=count)] + 0.7 * draw.normal(size=(count, dim))
    q = x[draw.integers(count, size=QUERIES)] + 0.3 * draw.normal(size=(QUERIES, dim))
    x = x / (np.linalg.norm(x, axis=1, keepdims=True) if unit else np.sqrt(dim))
    q = q / np.linalg.norm(q, axis=1, keepdims=True)
    builder = scann.scann_ops_pybind.builder(x.astype(np.float32), NEIGHBORS, distance)
    if tree:
        builder = builder.tree(**tree)
    builder = builder.score_ah(**codes) if codes else builder.score_brute_force()
    if reorder:
        builder = builder.reorder(**reorder)
    searcher = builder.build()
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    searcher.serialize(str(folder))
    # It names the folder by its full path, and is not read.
    (folder / "scann_assets.pbtxt").unlink()
    np.save(folder / "queries.npy", q.astype(np.float32))
    np.save(folder / "ids.npy", np.asarray(searcher.search_batched(q.astype(np.float32))[0]).astype(np.int32))


def ah(dims, threshold=float("nan"), hash_type="lut16"):
    return dict(dimensions_per_block=dims, anisotropic_quantization_threshold=threshold, hash_type=hash_type)


make("tree", 200, 10, 1, "dot_product", True, TREE, ah(3, 0.2), dict(reordering_num_neighbors=15))
make("spilled", 160, 8, 2, "dot_product", True, dict(TREE, soar_lambda=1.5), ah(2, 0.2),
     dict(reordering_num_neighbors=20, quantize=ReorderType.INT8))
make("plain", 160, 9, 3, "dot_product", False, None, ah(2, 0.2), dict(reordering_num_neighbors=12))
make("distance", 160, 9, 4, "squared_l2", False, None, ah(2),
     dict(reordering_num_neighbors=12, quantize=ReorderType.BFLOAT16))
make("brute", 100, 8, 5, "squared_l2", False)
make("bytes", 300, 6, 6, "dot_product", True, TREE, ah(2, 0.2, "lut256"), dict(reordering_num_neighbors=15))
make("distance_tree", 300, 10, 7, "squared_l2", False, TREE, ah(2), dict(reordering_num_neighbors=8))
make("integer_centres", 300, 10, 8, "dot_product", True, dict(TREE, num_leaves=20, quantize_centroids=True), ah(2, 0.2),
     dict(reordering_num_neighbors=8))
# Candidates among which many vectors are twice: the mean of their scores decides.
make("soar", 400, 8, 9, "dot_product", True, dict(TREE, num_leaves=12, num_leaves_to_search=6, soar_lambda=1.5, overretrieve_factor=1.7),
     ah(2, 0.2), dict(reordering_num_neighbors=8))
# Few dimensions: many sums of whole numbers are equal where the candidates end.
make("ties", 400, 6, 10, "squared_l2", False, dict(TREE, num_leaves=12, num_leaves_to_search=6), ah(2),
     dict(reordering_num_neighbors=8))
# The lengths of vectors before they were rounded decide.
make("distance_bytes", 300, 8, 11, "squared_l2", False, TREE, ah(2),
     dict(reordering_num_neighbors=20, quantize=ReorderType.INT8))
# One block and many partitions: where a partition's limit lies below its whole number, vectors of that score are lost.
make("limits", 900, 4, 21, "squared_l2", False, dict(TREE, num_leaves=12, num_leaves_to_search=10), ah(4),
     dict(reordering_num_neighbors=8))
