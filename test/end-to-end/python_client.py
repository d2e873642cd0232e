# Makes calls of the Python client. Each line of the input is one, in JSON; each line of the output is what came of it.
# What JSON cannot say is an expression of Python, as {"python": "float('nan')"}.
#
#   python_client.py FOLDER_OF_THE_CLIENT [--without-numpy]

import base64
import dataclasses
import json
import math
import os
import pathlib
import sys
import traceback
import uuid

sys.path.insert(0, sys.argv[1])
if "--without-numpy" in sys.argv:
    sys.modules["numpy"] = None

import scoreline  # noqa: E402

try:
    import numpy
except ImportError:
    numpy = None


def to_input(value):
    if isinstance(value, dict) and "python" in value:
        return eval(value["python"])
    if isinstance(value, dict) and "base64" in value:
        return base64.b64decode(value["base64"])
    if isinstance(value, dict) and "path" in value:
        return pathlib.Path(value["path"])
    if isinstance(value, dict) and "tensors" in value:
        return [to_tensor(**tensor) for tensor in value["tensors"]]
    return value


def to_tensor(name, data, dtype=None, **more):
    if dtype is not None:
        data = numpy.array(data, dtype=dtype)
    return scoreline.Tensor(name, data, **more)


def to_options(named):
    options = {name: to_input(value) for name, value in named.items()}
    if isinstance(options.get("idempotency_key"), dict):
        options["idempotency_key"] = uuid.UUID(options["idempotency_key"]["uuid"])
    return options


def to_plain(value):
    if isinstance(value, scoreline.Tensor):
        data = to_plain(value.data if isinstance(value.data, list) else value.data.ravel().tolist())
        kind = type(value.data).__name__
        return {"datatype": value.datatype, "shape": value.shape, "data": data, "kind": kind}
    if isinstance(value, scoreline.Inference):
        outputs = {name: to_plain(output) for name, output in value.outputs.items()}
        return {"model": value.model, "id": value.id, "outputs": outputs}
    if dataclasses.is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: to_plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [to_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def annotations():
    names = ("Problem", "Score", "JobSummary", "Job", "Jobs", "Models")
    return {name: sorted(getattr(scoreline, name).__annotations__) for name in names}


def in_fork(work):
    process = os.fork()
    if process == 0:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(process, 0)


def call(url, method, arguments=(), named=None, **options):
    if method == "annotations":
        return {"result": annotations()}
    options = {name: to_input(value) for name, value in options.items()}
    with scoreline.ScorelineClient(url, **options) as client:
        if method == "models_in_fork_too":
            client.models()
            in_fork(client.models)
            return {"result": client.models()}
        result = getattr(client, method)(*map(to_input, arguments), **to_options(named or {}))
        if method == "events":
            result = list(result)
        return {"result": to_plain(result), "repr": repr(result), "shown": repr(vars(client))}


for line in sys.stdin:
    try:
        answer = call(**json.loads(line))
    except scoreline.ScorelineError as error:
        answer = {**vars(error), "message": str(error), "traceback": traceback.format_exc()}
        answer["cause"] = repr(vars(getattr(error.__cause__, "request", None) or error.__cause__ or error))
    except (TypeError, ValueError) as error:
        answer = {"misuse": str(error), "traceback": traceback.format_exc()}
    except Exception as error:
        answer = {"bare": repr(error)}
    print(json.dumps(answer), flush=True)
