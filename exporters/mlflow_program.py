"""Serves a model of MLflow, which is in the folder mlflow-model, as mlflow.pyfunc.load_model loads it."""

import json
import sys
from io import StringIO

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc import scoring_server
from mlflow.types import DataType

FOLDER = "mlflow-model"
# What a missing category is for the program, since the texts of a table have no None.
MISSING = "<missing>"
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
# MLflow says so of what the caller has sent. Exceptions of the model are others.
FAULTS_OF_CALLERS = ("BAD_REQUEST", "INVALID_PARAMETER_VALUE")


def load():
    global model, schema
    check_python(Model.load(FOLDER).flavors["python_function"])
    model = mlflow.pyfunc.load_model(FOLDER)
    schema = model.metadata.get_input_schema()


def predict(batch):
    if isinstance(batch, list):
        return predict_texts(batch) if batch and isinstance(batch[0], str) and takes_text() else [*map(answer, batch)]
    if schema.is_tensor_spec():
        return predict_tensors(batch)
    return predict_rows(batch)


def predict_rows(columns):
    """Rows of a table: an array for each column."""
    specs = {spec.name: spec for spec in schema.inputs}
    rows = zip(*([cell(specs[name], value) for value in column.tolist()] for name, column in columns.items()))
    split = {"columns": list(columns), "data": [list(row) for row in rows]}
    return one_each(ask(read({"dataframe_split": split})), len(split["data"]))


def predict_texts(texts):
    return one_each(ask(read({"dataframe_split": {"columns": [0], "data": [[text] for text in texts]}})), len(texts))


def predict_tensors(tensors):
    is_named = schema.has_input_names()
    result = ask(tensors if is_named else next(iter(tensors.values())))
    outputs = model.metadata.get_output_schema()
    return result if outputs.has_input_names() else {"output-1": result}


def answer(body):
    """What MLflow's /invocations answers to a body."""
    if not isinstance(body, dict) or sum(form in body for form in FORMS) != 1:
        raise ValueError(f"expected an object with one of {', '.join(FORMS)}, as /invocations of MLflow takes it")
    data = {form: body[form] for form in FORMS if form in body}
    unknown = sorted(body.keys() - data.keys() - {"params"})
    if unknown:
        raise ValueError(f"expected only {next(iter(data))} and params; got {', '.join(unknown)}")
    return as_json(ask(read(data), body.get("params")))


def read(data):
    """Reads what a caller has sent, so whatever fails here is for the caller."""
    try:
        return scoring_server.infer_and_parse_data(data, schema)
    except Exception as error:
        raise ValueError(f"expected {next(iter(data))} as the signature of the model says; {error}") from error


def ask(data, params=None):
    try:
        return model.predict(data) if params is None else model.predict(data, params=params)
    except MlflowException as error:
        if error.error_code in FAULTS_OF_CALLERS:
            raise ValueError(error.message) from error
        raise


def one_each(result, count):
    """Returns an answer for each row. What the model makes of one row alone is the answer to it, whatever that is."""
    answers = as_json(result)
    if isinstance(answers, list) and len(answers) == count:
        return answers
    if count == 1:
        return [answers]
    got = f"{len(answers)} of them" if isinstance(answers, list) else type(answers).__name__
    raise RuntimeError(f"expected a prediction for each of {count} rows; got {got}")


def as_json(result):
    """Returns predictions as MLflow's server writes them. JSON has no NaN, so it becomes None."""
    text = StringIO()
    scoring_server.predictions_to_json(result, text)
    return json.loads(text.getvalue(), parse_constant=read_constant)["predictions"]


def read_constant(name):
    if name == "NaN":
        return None
    raise RuntimeError(f"expected predictions that JSON has a form for; got {name}")


def cell(spec, value):
    if spec.type == DataType.boolean:
        return bool(value)
    is_missing = value != value or (value == MISSING and not spec.required)
    return None if is_missing else value


def takes_text():
    return schema is not None and not schema.is_tensor_spec() and not schema.has_input_names()


def check_python(flavor):
    """A pickled class holds byte code, which another Python reads in another way, or not at all."""
    wanted = ".".join(str(flavor.get("python_version", "")).split(".")[:2])
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if flavor.get("python_model") and wanted and wanted != here:
        raise RuntimeError(
            f"expected Python {wanted}, with which the class of this model was pickled; this is {here}. "
            f"Make .venv in the folder of the model with Python {wanted} and {FOLDER}/requirements.txt"
        )
