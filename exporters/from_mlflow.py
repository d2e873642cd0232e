"""Says how a model of MLflow is served: by its signature and its input example. It runs in the model's environment.

    python from_mlflow.py FOLDER RESULT.json

FOLDER has the model in mlflow-model, and mlflow_program.py as predict.py. The result has sections of the manifest, and
remarks, each of two texts.
"""

import json
import math
import os
import sys
import warnings
from pathlib import Path

from program import fail, reason

# A manifest is read by people.
ELEMENTS_MAX = 1000
# The rows of the example that are compared with themselves alone
ROWS_MAX = 8
INTEGERS = {"integer": "INT32", "long": "INT64"}
FLOATS = {"float": "FP32", "double": "FP64"}
TEXTS = ("string", "datetime")
DATATYPES = {
    "bool": "BOOL", "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "float16": "FP16", "float32": "FP32", "float64": "FP64",
}  # fmt: skip
ANSWERS = {"name": "json", "datatype": "BYTES", "shape": [-1]}


def main():
    folder, result = Path(sys.argv[1]), Path(sys.argv[2]).resolve()
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    warnings.simplefilter("ignore")
    try:
        import predict as program
    except ModuleNotFoundError as error:
        fail(f"expected {error.name} among the packages of the model; add it to its requirements.txt")
    program.load()
    metadata = program.model.metadata
    task = (metadata.metadata or {}).get("task", "")
    if str(task).startswith("llm/"):
        fail(f"expected a model that scores; this one has the task {task}, and generative language models are not served")
    sections, why = kind_of(program.schema, metadata.get_output_schema())
    remarks = [["input", f"{sections['input']['kind']}, because {why}"]]
    try:
        example, is_free = example_of(program, sections)
    except Exception as error:
        example, is_free = None, None
        remarks.append(["example", f"left out, since MLflow's own answer to it fails: {reason(error)}"])
    # A class of one's own may reckon with all the rows it gets, and those of other callers are none of its business.
    is_own = metadata.flavors["python_function"]["loader_module"] == "mlflow.pyfunc.model"
    if sections["input"]["kind"] in ("table", "text") and not (not is_own if is_free is None else is_free):
        sections["batch"] = {"max": 1}
        others = "rows get other answers together than alone" if is_free is False else "a class of yours is served, and no input example of several rows says that they do not depend on each other"
        remarks.append(["batch", f"one row, since {others}"])
    if example is not None:
        sections["example"] = example
    result.write_text(json.dumps({"sections": sections, "remarks": remarks}, allow_nan=False), encoding="utf-8")


def kind_of(inputs, outputs):
    """Returns the input, output and network of the manifest, and the reason."""
    if inputs is None:
        return as_sent("it has no signature, so a request is what /invocations of MLflow takes")
    if inputs.is_tensor_spec():
        return tensors_of(inputs, outputs)
    if not inputs.has_input_names():
        if [kind.name for kind in inputs.input_types()] == ["string"]:
            return {"input": {"kind": "text"}, "output": {"kind": "json"}}, "its signature has one text without a name"
        return as_sent("the columns of its signature have no names, so a request is what /invocations of MLflow takes")
    columns = [column_of(spec) for spec in inputs.inputs]
    if None in columns:
        other = inputs.inputs[columns.index(None)]
        return as_sent(f"no table has a column such as {other}, so a request is what /invocations of MLflow takes")
    names = [column["name"] for column, _ in columns]
    network = [{"name": name, "datatype": datatype, "shape": [-1]} for name, (_, datatype) in zip(names, columns)]
    return {
        "input": {"kind": "table", "columns": [column for column, _ in columns]},
        "output": {"kind": "json"},
        "network": {"inputs": network, "outputs": [ANSWERS]},
    }, "its signature has columns"


def as_sent(why):
    return {"input": {"kind": "json"}, "output": {"kind": "json"}}, why


def column_of(spec):
    """Returns a column and its datatype; None if no row of a table can have it."""
    kind, name = getattr(spec.type, "name", ""), spec.name
    missing = {} if spec.required else {"missing": "NaN" if kind in FLOATS else "<missing>"}
    if kind in FLOATS:
        return {"name": name, "datatype": "number", **missing}, FLOATS[kind]
    if kind in TEXTS:
        return {"name": name, "datatype": "category", **missing}, "BYTES"
    # Whole numbers and truth values have no NaN.
    if not spec.required:
        return None
    if kind == "boolean":
        return {"name": name, "datatype": "number", "categories": [0, 1]}, "UINT8"
    if kind in INTEGERS:
        return {"name": name, "datatype": "number"}, INTEGERS[kind]
    return None


def tensors_of(inputs, outputs):
    if outputs is None or not outputs.is_tensor_spec():
        return as_sent("its signature does not say which tensors it answers with, so a request is what /invocations takes")
    network = {"inputs": declare(inputs, "input-0"), "outputs": declare(outputs, "output-1")}
    if None in network["inputs"] or None in network["outputs"]:
        return as_sent("not all tensors of its signature are numbers in rows, so a request is what /invocations of MLflow takes")
    return {"input": {"kind": "tensors"}, "output": {"kind": "tensors"}, "network": network}, "its signature has tensors"


def declare(schema, unnamed):
    """Those without a name have the name that MLServer gives them."""
    return [
        {"name": spec.name or unnamed, "datatype": DATATYPES[spec.type.name], "shape": list(spec.shape)}
        if spec.type.name in DATATYPES and len(spec.shape) > 0 and spec.shape[0] == -1
        else None
        for spec in schema.inputs
    ]


def example_of(program, sections):
    """Returns the example of the manifest with MLflow's own prediction, and whether rows are answered each for itself.

    Both are None where the model has no example.
    """
    kind = sections["input"]["kind"]
    if kind == "json":
        return body_example(program), None
    data = program.model.metadata.load_input_example(program.FOLDER)
    if data is None:
        return None, None
    if kind == "tensors":
        return tensors_example(program, sections["network"], data), None
    rows = data if isinstance(data, list) else [data] if isinstance(data, str) else None
    count = len(data if rows is None else rows)
    pick = (lambda at: data.iloc[[at]]) if rows is None else (lambda at: [rows[at]])
    ask = lambda at: program.one_each(program.model.predict(pick(at)), 1)[0]  # noqa: E731
    first = ask(0)
    example = {"input": rows[0] if rows is not None else row_of(data), "expected": {"json": first}}
    if count < 2:
        return example, None
    together = program.as_json(program.model.predict(data))
    is_each = isinstance(together, list) and len(together) == count
    alone = [first, *(ask(at) for at in range(1, min(count, ROWS_MAX)))]
    return example, is_each and are_alike(together[: len(alone)], alone)


def row_of(frame):
    return {str(name): plain(frame[name].iloc[0]) for name in frame.columns}


def plain(value):
    if hasattr(value, "isoformat"):
        return value.isoformat()
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool):
        return int(value)
    return None if value is None or value != value else value


def body_example(program):
    text = program.model.metadata.get_serving_input(program.FOLDER)
    if text is None:
        return None
    body = json.loads(text, parse_constant=lambda _: None)
    data = program.model.metadata.load_input_example(program.FOLDER)
    params = program.model.metadata.load_input_example_params(program.FOLDER)
    predicted = program.model.predict(data) if params is None else program.model.predict(data, params=params)
    return {"input": body, "expected": {"json": program.as_json(predicted)}}


def tensors_example(program, network, data):
    import numpy as np

    by_name = data if isinstance(data, dict) else {network["inputs"][0]["name"]: data}
    first = {value["name"]: np.asarray(by_name[value["name"]])[:1] for value in network["inputs"]}
    predicted = program.model.predict(first if isinstance(data, dict) else next(iter(first.values())))
    outputs = predicted if isinstance(predicted, dict) else {network["outputs"][0]["name"]: predicted}
    values = [*first.values(), *map(np.asarray, outputs.values())]
    if sum(value.size for value in values) > ELEMENTS_MAX:
        return None
    return {"inputs": elements(first), "outputs": elements(outputs)}


def elements(tensors):
    import numpy as np

    return [
        {"name": name, "shape": list(np.shape(value)), "data": [element(each) for each in np.asarray(value).ravel().tolist()]}
        for name, value in tensors.items()
    ]


def element(value):
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def are_alike(one, other):
    """Whether two answers in JSON are the same but for the rounding of other batch sizes."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(are_alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(are_alike(one[key], other[key]) for key in one)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-6)
    return one == other


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        fail(f"expected a model that mlflow.pyfunc.load_model loads in its environment; {reason(error)}")
