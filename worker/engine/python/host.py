"""Runs a model's Python program for a worker of Scoreline.

    python host.py OPTIONS

OPTIONS is JSON: {"folder", "file", "kind", "inputs": [value], "outputs": [value]}. A value is
{"name", "datatype", "shape"}; an open size is below 1 or a text.

The worker is at the other end of file descriptor 3, a stream of frames in both directions:

    uint32  bytes of the header     little-endian
    uint64  bytes of the data       little-endian
    header  JSON in UTF-8
    data    the bytes of the header's tensors, one after the other

The worker sends {"id", "outputs": [name], "tensors": [{"name", "datatype", "shape", "bytes"}]}. The
answers are {"type": "ready"} or {"type": "failed", "reason", "trace"} at first, and then for each batch
{"type": "done", "id", "computeMs", "tensors"} or {"type": "error", "id", "reason", "trace",
"isForCaller"}. Elements are as in the binary tensors of the Open Inference Protocol: little-endian, in
row-major order, each text preceded by its length as uint32.
"""

import ctypes
import importlib.util
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
import traceback

HEAD = struct.Struct("<IQ")
LENGTH = struct.Struct("<I")
TYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip


class Unfit(Exception):
    """The program returned something else than the manifest says."""


def main():
    options = json.loads(sys.argv[1])
    outlive_nobody(options["parent"])
    # The worker decides when the process ends: it finishes its runs first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = Worker(socket.socket(fileno=3))
    try:
        predict = load(options)
    except BaseException as error:
        worker.send({"type": "failed", **explain(error)})
        return
    worker.send({"type": "ready"})
    while (batch := worker.receive()) is not None:
        header, tensors = batch
        try:
            started = time.perf_counter()
            result = predict(make_batch(options, tensors))
            compute_ms = (time.perf_counter() - started) * 1000
            outputs = read_result(options["outputs"], result, header["outputs"], tensors)
            worker.send({"type": "done", "id": header["id"], "computeMs": compute_ms}, outputs)
        except Exception as error:
            is_for_caller = isinstance(error, ValueError)
            worker.send(
                {"type": "error", "id": header["id"], "isForCaller": is_for_caller, **explain(error)}
            )


def outlive_nobody(parent):
    """Ends the process when the worker does, however that ends, and whatever the program is doing."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def load(options):
    """Imports the program, calls its `load` if it has one, and returns its `predict`."""
    global np
    sys.path.insert(0, options["folder"])
    os.chdir(options["folder"])
    try:
        import numpy as np
    except ImportError as error:
        raise ImportError("expected numpy in the environment of the model. Add it to its requirements.") from error
    spec = importlib.util.spec_from_file_location("predict", options["file"])
    program = importlib.util.module_from_spec(spec)
    sys.modules["predict"] = program
    spec.loader.exec_module(program)
    if not callable(getattr(program, "predict", None)):
        raise AttributeError("expected a function predict(batch) in the program; there is none.")
    if callable(getattr(program, "load", None)):
        program.load()
    return program.predict


class Worker:
    """The stream to and from the worker."""

    def __init__(self, stream):
        self.stream = stream
        self.stream.setblocking(True)

    def receive(self):
        """Returns a batch, as its header and its tensors by name, or None if the worker has closed."""
        head = self.read(HEAD.size)
        if head is None:
            return None
        header_bytes, data_bytes = HEAD.unpack(head)
        header = json.loads(bytes(self.read(header_bytes)))
        data = memoryview(self.read(data_bytes))
        tensors, at = {}, 0
        for tensor in header["tensors"]:
            end = at + tensor["bytes"]
            tensors[tensor["name"]] = {**tensor, "data": data[at:end]}
            at = end
        return header, tensors

    def read(self, count):
        buffer = bytearray(count)
        view, at = memoryview(buffer), 0
        while at < count:
            got = self.stream.recv_into(view[at:])
            if got == 0:
                return None
            at += got
        return buffer

    def send(self, header, tensors=()):
        header["tensors"] = [{**tensor, "data": None, "bytes": len(tensor["data"])} for tensor in tensors]
        text = json.dumps(header).encode()
        size = sum(len(tensor["data"]) for tensor in tensors)
        self.stream.sendall(HEAD.pack(len(text), size) + text)
        for tensor in tensors:
            if len(tensor["data"]) > 0:
                self.stream.sendall(tensor["data"])


def make_batch(options, tensors):
    """What `predict` gets: a list of texts, an array of pictures, or arrays by the names of the inputs."""
    arrays = {}
    for value in options["inputs"]:
        arrays[value["name"]] = to_array(tensors[value["name"]], options["kind"])
    if options["kind"] in ("text", "image"):
        (only,) = arrays.values()
        return only
    return arrays


def to_array(tensor, kind):
    if tensor["datatype"] != "BYTES":
        # The frame's memory belongs to this batch alone, so the program may write to the array.
        array = np.frombuffer(tensor["data"], dtype=TYPES[tensor["datatype"]])
        return array.reshape(tensor["shape"])
    texts = split_texts(tensor["data"])
    if kind == "text":
        return [decode(text) for text in texts]
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array.reshape(tensor["shape"])


def split_texts(data):
    texts, at = [], 0
    while at < len(data):
        (length,) = LENGTH.unpack_from(data, at)
        at += LENGTH.size
        texts.append(bytes(data[at : at + length]))
        at += length
    return texts


def decode(text):
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"expected a text in UTF-8; {error}") from error


def read_result(values, result, names, inputs):
    """Returns the tensors of these outputs, out of what `predict` returned."""
    if not isinstance(result, dict):
        if len(values) != 1:
            listed = ", ".join(value["name"] for value in values)
            raise Unfit(f"expected predict to return a dict with {listed}; got {type(result).__name__}")
        result = {values[0]["name"]: result}
    by_name = {value["name"]: value for value in values}
    for name in names:
        if name not in result:
            raise Unfit(f"expected the output {name} in what predict returns; got {', '.join(map(str, result))}")
    return [to_tensor(by_name[name], result[name]) for name in names]


def to_tensor(value, output):
    if hasattr(output, "detach"):  # a tensor of PyTorch
        output = output.detach().cpu()
    if value["datatype"] == "BYTES":
        array = np.asarray(output, dtype=object)
        data = join_texts(value, array)
    else:
        array = to_numbers(value, np.asarray(output))
        data = memoryview(np.ascontiguousarray(array)).cast("B") if array.size > 0 else b""
    check_shape(value, array)
    return {"name": value["name"], "datatype": value["datatype"], "shape": array.shape, "data": data}


def to_numbers(value, array):
    """Converts numbers to the datatype of the output. No number may change but by rounding."""
    dtype = np.dtype(TYPES[value["datatype"]])
    if array.dtype == dtype:
        return array
    if not np.can_cast(array.dtype, dtype, casting="same_kind"):
        raise Unfit(f"expected numbers of {dtype} in the output {value['name']}; got {array.dtype}")
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    is_kept = np.isfinite(cast) == np.isfinite(array) if dtype.kind == "f" else cast == array
    if not np.all(is_kept):
        raise Unfit(f"expected numbers that {dtype} can hold in the output {value['name']}; got larger ones")
    return cast


def join_texts(value, array):
    parts = []
    for text in array.ravel():
        if isinstance(text, str):
            text = text.encode()
        if not isinstance(text, bytes):
            raise Unfit(f"expected texts or bytes in the output {value['name']}; got {type(text).__name__}")
        parts += [LENGTH.pack(len(text)), text]
    return b"".join(parts)


def check_shape(value, array):
    sizes = value["shape"]
    fits = len(sizes) == array.ndim and all(
        not isinstance(size, int) or size < 1 or size == got for size, got in zip(sizes, array.shape)
    )
    if not fits:
        shown = ", ".join("any" if not isinstance(size, int) or size < 1 else str(size) for size in sizes)
        raise Unfit(f"expected the shape ({shown}) in the output {value['name']}; got {array.shape}")


def explain(error):
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    reason = str(error) if isinstance(error, (Unfit, ValueError)) else f"{type(error).__name__}: {error}"
    return {"reason": reason[:2000], "trace": "".join(lines)[-8000:]}


main()
