"""What the exporters of boosted trees share: one matrix of numbers goes in, and rows with gaps are compared, too."""

import numpy as np

from onnx_file import compare, difference, run, save

ROWS = 256


def finish(network, path, columns, rows, predict):
    """Compares a network with its booster, and saves it as a table of these columns."""
    # The converters declare that there is one label, whatever the number of rows.
    for output in network.graph.output:
        output.type.tensor_type.shape.dim[0].dim_param = "N"
    compare(scores(network, rows), align(predict(rows)), f"{ROWS} rows")
    gaps = np.where(np.random.default_rng(2).random(rows.shape) < 0.2, np.nan, rows).astype(np.float32)
    if difference(scores(network, gaps), align(predict(gaps))) < 1e-4:
        for column in columns:
            column["missing"] = "NaN"
    is_classifier = len(network.graph.output) > 1
    manifest = {"input": {"kind": "table", "columns": columns}}
    save(network, path, manifest=manifest if is_classifier else {**manifest, "output": {"kind": "regression"}})


def scores(network, rows):
    return align(next(value for value in run(network, {"row": rows}).values() if value.dtype.kind == "f"))


def align(found):
    """Boosters give the probability of the second of two classes, networks those of both."""
    found = np.asarray(found)
    return found[:, 1] if found.ndim == 2 and found.shape[1] == 2 else found
