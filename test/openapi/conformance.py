"""Tests a service by its own description, with Schemathesis and all of its checks.

Arguments: the address of the service, an API key, the seed, the number of examples of each operation.

JSON Schema cannot say all that a request has to be, such as that a tensor has as many elements as its shape
says. So before a request that follows the description is sent, the hook below makes it keep such rules.
Requests that break the description on purpose are sent as they are.
"""

import base64
import functools
import itertools
import json
import math
import pathlib
import re
import sys
import uuid

import requests
import schemathesis
from hypothesis import strategies
from schemathesis.cli import schemathesis as command
from schemathesis.core import NotSet
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode
from schemathesis.transport.serialization import Binary

TINY_IMAGE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP438MAAAQZAYzvQbwjAAAAAElFTkSuQmCC"
)
TINY_IMAGE_TEXT = base64.b64encode(TINY_IMAGE).decode()
# A string of a binary tensor: its length, and its bytes.
TEXT = b"\x04\0\0\0text"
WIDTHS = {"BOOL": 1, "UINT8": 1, "INT64": 8, "FP32": 4}
DEFAULTS = {"BOOL": True, "BYTES": "text"}


# Files are images, in forms and as bodies.
schemathesis.openapi.format("binary", strategies.just(TINY_IMAGE))
for each in ["jpeg", "png", "webp", "gif", "tiff", "avif"]:
    schemathesis.openapi.media_type(f"image/{each}", strategies.just(TINY_IMAGE))
schemathesis.openapi.media_type("application/x-ndjson", strategies.just(b'{"input": "text", "id": 1}\n[5]\n'))


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Says the same of answers without tuples, which Schemathesis 4.32 turns into those of an older draft.

    Forms have no deadline, since a hook cannot make it longer: Schemathesis calls any changed form wrong. It also takes
    the schema of a stream for that of each of its events.
    """
    for name, schema in raw_schema["components"]["schemas"].items():
        if "Request" not in name:
            loosen_tuples(schema)
    for path in raw_schema["paths"].values():
        content = path.get("post", {}).get("requestBody", {}).get("content", {})
        form = content.get("multipart/form-data", {}).get("schema", {})
        form.get("properties", {}).pop("deadlineMs", None)
        stream = path.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        stream.get("text/event-stream", {}).pop("schema", None)


def loosen_tuples(schema):
    if isinstance(schema, list):
        for each in schema:
            loosen_tuples(each)
    elif isinstance(schema, dict):
        if "prefixItems" in schema:
            schema["items"] = {"anyOf": schema.pop("prefixItems")}
        for each in schema.values():
            loosen_tuples(each)


valid_key = re.compile(r'"[ -~]{1,255}"|(?!")[ -~]{1,255}(?<!")')


@schemathesis.hook
def before_call(context, case, kwargs):
    # A caller who waits too short a time is answered with 504, as it wants.
    wait_long(case.headers, "Request-Timeout", 20)
    wait_long(case.query, "deadlineMs", 20_000)
    if case.media_type == "application/json" and case.operation.path.endswith("score") and isinstance(case.body, dict):
        case.body = dict(case.body)
        wait_long(case.body, "deadlineMs", 20_000)
    # A key belongs to one request.
    if valid_key.fullmatch(str(case.headers.get("Idempotency-Key", ""))):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    if follows(case, ParameterLocation.QUERY) and case.operation.path == "/score":
        # The form of the input has to be that of the model.
        case.query.pop("model", None)
    if follows(case, ParameterLocation.BODY) and not isinstance(case.body, NotSet):
        tidy_body(case)


def follows(case, location):
    """Whether this part of a request follows the description."""
    component = case.meta and case.meta.components.get(location)
    return not component or component.mode == GenerationMode.POSITIVE


def wait_long(given, name, long):
    """Replaces a deadline that is valid by a longer one."""
    try:
        if 0 < float(given.get(name, "-")) < math.inf:
            given[name] = str(long) if isinstance(given[name], str) else long
    except (TypeError, ValueError):
        pass


def tidy_body(case):
    path, media_type, body = case.operation.path, case.media_type, case.body
    if path.endswith("/infer"):
        # A body of JSON has no binary tensors behind it.
        case.headers.pop("Inference-Header-Content-Length", None)
        declared = inputs_of(path.split("/")[3])
        if declared and media_type == "application/json" and isinstance(body, dict):
            case.body = tidy_tensors(body, declared)
        elif declared and media_type == "application/octet-stream":
            send_binary(case, declared)
    elif path.endswith(":predict") and isinstance(body, dict):
        declared = inputs_of(path.split("/")[3].removesuffix(":predict"))
        case.body = tidy_rows(body, declared)
    elif media_type == "application/json" and path.endswith("score") and isinstance(body, dict):
        if "inputs" in body:
            # An input that is wrong fails alone, so the description allows any.
            case.body = body
            answer_at_once(case)
            return
        model = path.split("/")[3] if path != "/score" else table_of(body["input"])
        if path == "/score" and model and follows(case, ParameterLocation.QUERY):
            case.query["model"] = model
        case.body = {**body, "input": tidy_input(body["input"], kinds().get(model))}
    elif media_type == "application/x-ndjson":
        answer_at_once(case)


def answer_at_once(case):
    """Several inputs cannot become a job."""
    case.headers.pop("Prefer", None)
    case.query.pop("async", None)


def tidy_input(given, kind):
    """Images must be images, and the numbers of a table such that a network can compute with them."""
    if kind == "table" and isinstance(given, dict):
        return {name: math.remainder(value, 1000) if is_huge(value) else value for name, value in given.items()}
    if isinstance(given, dict):
        return {name: TINY_IMAGE_TEXT for name in given}
    return TINY_IMAGE_TEXT if kind == "image" else given


def is_huge(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) > 1e6


def table_of(given):
    """The table of which this is a row."""
    if not isinstance(given, dict):
        return None
    return next((name for name, columns in tables().items() if given and columns >= given.keys()), None)


@functools.cache
def tables():
    models = ask("/v1/models")["models"]
    return {
        each["name"]: {column["name"] for column in each["input"]["columns"]}
        for each in models
        if each["input"]["kind"] == "table"
    }


@functools.cache
def kinds():
    return {each["name"]: each["input"]["kind"] for each in ask("/v1/models")["models"]}


@functools.cache
def inputs_of(model):
    """The inputs that a model takes; none if the service has no such model."""
    return ask(f"/v2/models/{model}").get("inputs", [])


def ask(path):
    return requests.get(address + path, headers={"X-API-Key": key}, timeout=20).json()


def shapes_of(declared, rows):
    """Sizes that fit together, so that the model can compute with them."""
    for tensor in declared:
        sizes = [2 if size < 0 else size for size in tensor["shape"][1:]]
        # Pictures are large enough in a single row.
        yield [rows if math.prod(sizes) < 1000 else 1, *sizes][: len(tensor["shape"])]


def tidy_tensors(body, declared):
    """Each tensor occurs once and has as many elements as its shape says, and all have as many rows."""
    body = {**body}
    given = {tensor["name"]: tensor for tensor in body["inputs"]}
    inputs = []
    for tensor, shape in zip(declared, shapes_of(declared, 1 + len(str(body)) % 3)):
        own = given.get(tensor["name"], {})
        elements = itertools.cycle(list(flatten(own.get("data"))) or [DEFAULTS.get(tensor["datatype"], 1)])
        data = list(itertools.islice(elements, math.prod(shape)))
        inputs.append({**own, "name": tensor["name"], "datatype": tensor["datatype"], "shape": shape, "data": data})
    body["inputs"] = inputs
    if "outputs" in body:
        body["outputs"] = list({output["name"]: output for output in body["outputs"]}.values())
    parameters = body.get("parameters")
    if parameters:
        long_waits = {"deadlineMs": 20_000, "timeout": 20_000_000}
        body["parameters"] = {**parameters, **{name: long_waits[name] for name in parameters if name in long_waits}}
    return body


def tidy_rows(body, declared):
    """Each list is as long as the network says, and all inputs have as many rows."""
    columns = {}
    for tensor, shape in zip(declared, shapes_of(declared, 1 + len(str(body)) % 3)):
        own = list(flatten([elements_of(each, tensor["name"]) for each in body.values()]))
        elements = itertools.cycle(own or [DEFAULTS.get(tensor["datatype"], 1)])
        columns[tensor["name"]] = nested(elements, shape)
    if "inputs" in body:
        return {"inputs": columns if len(str(body)) % 2 or len(columns) > 1 else next(iter(columns.values()))}
    return {"instances": [dict(zip(columns, row)) for row in zip(*columns.values())]}


def elements_of(given, name):
    """What is given for an input, with and without its name."""
    if isinstance(given, list):
        return [elements_of(each, name) for each in given]
    return given.get(name, []) if isinstance(given, dict) else given


def nested(elements, shape):
    return [nested(elements, shape[1:]) for _ in range(shape[0])] if shape else next(elements)


def flatten(data):
    if not isinstance(data, list):
        return
    for each in data:
        if isinstance(each, list):
            yield from flatten(each)
        else:
            # Large whole numbers have to be written as digits alone.
            yield int(each) if isinstance(each, float) and each.is_integer() else each


def send_binary(case, declared):
    inputs, parts = [], []
    for tensor, shape in zip(declared, shapes_of(declared, 2)):
        elements = math.prod(shape)
        data = TEXT * elements if tensor["datatype"] == "BYTES" else bytes(elements * WIDTHS[tensor["datatype"]])
        parts.append(data)
        inputs.append({**tensor, "shape": shape, "parameters": {"binary_data_size": len(data)}})
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    case.body = Binary(head + b"".join(parts))
    case.headers["Inference-Header-Content-Length"] = str(len(head))


if __name__ == "__main__":
    address, key, seed, examples = sys.argv[1:5]
    configuration = pathlib.Path(__file__).with_name("schemathesis.toml")
    options = ["--checks", "all", "--continue-on-failure", "--seed", seed, "--max-examples", examples]
    command(
        ["--config-file", str(configuration), "run", f"{address}/openapi.json"]
        + ["-H", f"X-API-Key: {key}", *options, *sys.argv[5:]]
    )
