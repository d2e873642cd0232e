"""Runs a model's Python program for a worker of Scoreline.

    python host.py OPTIONS

OPTIONS is JSON: {"folder", "file", "kind", "json": [name], "inputs": [value], "outputs": [value]}. A value is
{"name", "datatype", "shape"}; an open size is below 1 or a text. "json" names the outputs that are written as JSON.

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
import importlib.machinery
import importlib.util
import json
import math
import os
import re
import signal
import socket
import struct
import sys
import threading
import time
import traceback

# A worker holds a batch in memory as a whole.
BATCH_BYTES_MAX = 2**30
HEAD = struct.Struct("<IQ")
LENGTH = struct.Struct("<I")
# Tells the processes of a program where the model is: the program may change its working directory.
FOLDER = "SCORELINE_FOLDER"
TYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip
# A key of JSON that may have been a number, True, False or None.
KEY_OF_OTHER_TYPE = re.compile('[{,]"(?:-?[0-9][0-9.e+-]*|true|false|null)":')


class Unfit(Exception):
    """The program returned something else than the manifest says."""


def main():
    options = json.loads(sys.argv[1])
    leave_nothing_behind()
    outlive_nobody(options["parent"])
    # The worker decides when the process ends: it finishes its runs first. Handlers of its own, since a
    # signal that is ignored would be ignored by the programs that it starts, too, and nothing could end them.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    worker = Worker(socket.socket(fileno=3))
    leave_forks_alone(worker)
    try:
        predict = load(options)
    except BaseException as error:
        worker.send({"type": "failed", **explain(error)})
        return
    worker.send({"type": "ready"})
    while (batch := worker.receive()) is not None:
        worker.send(*score(options, predict, *batch))


def score(options, predict, header, tensors):
    """Scores a batch. Returns the header of the answer and its tensors."""
    # Panics of libraries in Rust and cancellations are no `Exception`, and fail one batch all the same.
    # A program that asks for its end gets it.
    try:
        batch = make_batch(options, tensors)
        started = time.perf_counter()
        result = predict(batch)
        compute_ms = (time.perf_counter() - started) * 1000
    except SystemExit:
        raise
    except BaseException as error:
        return failure(header, error, isinstance(error, ValueError)), ()
    try:
        outputs = read_result(options, result, header["outputs"])
    except Exception as error:
        # What the program returned is its own fault, also where NumPy raises a ValueError.
        return failure(header, error, False), ()
    return {"type": "done", "id": header["id"], "computeMs": compute_ms}, outputs


def failure(header, error, is_for_caller):
    return {"type": "error", "id": header["id"], "isForCaller": is_for_caller, **explain(error)}


def outlive_nobody(parent):
    """Ends the process when the worker does, however that ends, and whatever the program is doing."""
    die_with_parent()

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def leave_nothing_behind():
    """Ends what the program has started when this process ends, however that ends. The worker, which does so otherwise,
    may be killed at the same time."""
    group = os.getpid()
    if os.getpgrp() != group or os.fork() > 0:
        return
    os.setsid()
    # Whoever reads from this process waits until nobody can write any more.
    os.closerange(0, 65_536)
    while os.getppid() == group:
        time.sleep(0.5)
    try:
        os.killpg(group, signal.SIGKILL)
    finally:
        os._exit(0)


def die_with_parent():
    """Ends this process when the thread that made it ends."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def leave_forks_alone(worker):
    """Makes copies of this process, such as those of multiprocessing, ordinary ones: they end with it and at
    signals, and do not speak to the worker."""
    signals = (signal.SIGTERM, signal.SIGINT)
    forking = threading.local()

    def before():
        forking.is_main = threading.current_thread() is threading.main_thread()
        # A signal that comes to the copy while it has the handlers of this process waits until it has others. Else it
        # would be lost, and whoever waits for the end of the copy would wait for ever.
        forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals)

    def go_on():
        signal.pthread_sigmask(signal.SIG_SETMASK, forking.mask)

    def in_child():
        worker.stream.close()
        for number in signals:
            signal.signal(number, signal.SIG_DFL)
        # Another thread may end long before the process does.
        if forking.is_main:
            die_with_parent()
        # One that has waited ends the copy now: nobody sees an exception that is raised in here.
        go_on()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    os.register_at_fork(before=before, after_in_parent=go_on, after_in_child=in_child)


def load(options):
    """Imports the program, calls its `load` if it has one, and returns its `predict`."""
    global np
    sys.path[:0] = dict.fromkeys([os.path.dirname(options["file"]), options["folder"]])
    os.chdir(options["folder"])
    os.environ[FOLDER] = options["folder"]
    try:
        import numpy as np
    except ImportError as error:
        remedy = "Add it to its requirements. If it is there, delete the folder .venv, which is made again"
        raise ImportError(f"expected numpy in the environment of the model; {error}. {remedy}") from error
    compile_anew(options["folder"])
    spec = importlib.util.spec_from_file_location("predict", loader=Uncached("predict", options["file"]))
    program = importlib.util.module_from_spec(spec)
    sys.modules["predict"] = program
    spec.loader.exec_module(program)
    if not callable(getattr(program, "predict", None)):
        raise AttributeError("expected a function predict(batch) in the program; there is none.")
    if callable(getattr(program, "load", None)):
        program.load()
    return program.predict


class Uncached(importlib.machinery.SourceFileLoader):
    """Compiles a module each time. Python tells by the size and the second of a file whether it has changed since it was
    compiled, so the bytecode of another version could answer."""

    def path_stats(self, path):
        raise OSError("the bytecode of a model's code is neither read nor written")


def compile_anew(folder):
    """Compiles the modules of a folder each time, but not those of packages, whose folders are hidden."""
    machinery = importlib.machinery
    find_in = machinery.FileFinder.path_hook(
        (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
        (Uncached, machinery.SOURCE_SUFFIXES),
        (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
    )

    def hook(place):
        inner = os.path.relpath(place or os.curdir, folder)
        if inner.startswith(os.pardir):  # A program may know the folder by another path, which links lead to.
            inner = os.path.relpath(os.path.realpath(place), os.path.realpath(folder))
        if inner != os.curdir and any(part.startswith(".") for part in inner.split(os.sep)):
            raise ImportError(f"{place} is not a folder of the model's code", path=place)
        return find_in(place)

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()


class Worker:
    """The stream to and from the worker."""

    def __init__(self, stream):
        self.stream = stream
        self.stream.setblocking(True)
        self.pid = os.getpid()

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
        if os.getpid() != self.pid:
            # A copy of the process that the program has made, and that went on as if it were the first.
            os._exit(0)
        header["tensors"] = [{**tensor, "data": None, "bytes": len(tensor["data"])} for tensor in tensors]
        text = json.dumps(header).encode()
        size = sum(len(tensor["data"]) for tensor in tensors)
        self.stream.sendall(HEAD.pack(len(text), size) + text)
        for tensor in tensors:
            if len(tensor["data"]) > 0:
                self.stream.sendall(tensor["data"])


def make_batch(options, tensors):
    """What `predict` gets: a list of texts, of values of JSON or of the bytes of files, an array of pictures, or arrays
    by the names of the inputs."""
    arrays = {}
    for value in options["inputs"]:
        arrays[value["name"]] = to_array(tensors[value["name"]], options["kind"])
    if options["kind"] in ("text", "image", "json", "file"):
        (only,) = arrays.values()
        return only
    return arrays


def to_array(tensor, kind):
    if tensor["datatype"] != "BYTES":
        # The frame's memory belongs to this batch alone, so the program may write to the array.
        array = np.frombuffer(tensor["data"], dtype=TYPES[tensor["datatype"]])
        return array.reshape(tensor["shape"])
    texts = split_texts(tensor["data"])
    if kind == "file":
        return texts
    if kind == "text":
        return [decode(text) for text in texts]
    if kind == "json":
        return [read_json(text) for text in texts]
    array = np.empty(len(texts), dtype=object)
    # Categories are texts. The bytes of tensors may be anything.
    array[:] = [decode(text) for text in texts] if kind == "table" else texts
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


def read_json(text):
    try:
        return json.loads(decode(text), parse_float=read_float, parse_constant=refuse_constant)
    except RecursionError:
        raise ValueError("expected JSON that is nested less deeply") from None


def read_float(digits):
    """Python reads 1e400 as infinity, which compares and adds up like a number that the caller has meant."""
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"expected numbers of JSON that a float can hold; got {digits[:40]}")
    return value


def refuse_constant(name):
    """Python takes NaN and Infinity, which JSON does not have. A tensor of the Open Inference Protocol may hold them."""
    raise ValueError(f"expected JSON, which has null in place of {name}")


def read_result(options, result, names):
    """Returns the tensors of these outputs, out of what `predict` returned."""
    values = options["outputs"]
    if not isinstance(result, dict) or (len(values) == 1 and options["json"] and values[0]["name"] not in result):
        if len(values) != 1:
            listed = ", ".join(value["name"] for value in values)
            raise Unfit(f"expected predict to return a dict with {listed}; got {type(result).__name__}")
        result = {values[0]["name"]: result}
    by_name = {value["name"]: value for value in values}
    for name in names:
        if name not in result:
            raise Unfit(f"expected the output {name} in what predict returns; got {', '.join(map(str, result))}")
    tensors = [
        to_json(by_name[name], result[name]) if name in options["json"] else to_tensor(by_name[name], result[name])
        for name in names
    ]
    size = sum(len(tensor["data"]) for tensor in tensors)
    if size > BATCH_BYTES_MAX:
        raise Unfit(f"expected outputs of at most {BATCH_BYTES_MAX} bytes for a batch; got {size}")
    return tensors


def to_json(value, output):
    """The tensor of an output of JSON: a list with a value for each input."""
    if hasattr(output, "tolist") or hasattr(output, "numpy"):
        try:
            output = to_plain(output)
        except TypeError as error:
            raise formless(value, error) from error
    if not isinstance(output, (list, tuple)):
        got = type(output).__name__
        raise Unfit(f"expected a list in the output {value['name']}, with a value of JSON for each input; got {got}")
    texts = [write_json(value, each) for each in output]
    return {**value, "shape": [len(texts)], "data": join_texts(value, texts)}


def write_json(value, answer):
    try:
        text = json.dumps(answer, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=to_plain)
        if KEY_OF_OTHER_TYPE.search(text):
            json.loads(text, object_pairs_hook=refuse_equal_keys)
        # UTF-8 has no half of a surrogate pair. JSON does, and its escape is the one that Python writes.
        return text.encode(errors="backslashreplace")
    except (TypeError, ValueError, RecursionError) as error:
        raise formless(value, error) from error


def formless(value, error):
    return Unfit(f"expected values that have a form in JSON in the output {value['name']}, and None for NaN; {error}")


def refuse_equal_keys(pairs):
    """Different keys of Python, such as 1 and "1", can be one of JSON. Each reader would take another of the values."""
    keys = set()
    for key, _ in pairs:
        if key in keys:
            raise ValueError(f"several keys of an object are {json.dumps(key)[:80]} in JSON")
        keys.add(key)


def to_plain(value):
    """The lists and numbers that an array or a tensor holds."""
    if hasattr(value, "detach"):  # a tensor of PyTorch
        value = value.detach().cpu()
    if hasattr(value, "numpy") and not hasattr(value, "tolist"):  # one of TensorFlow
        value = value.numpy()
    dtype = getattr(value, "dtype", None)
    # NumPy makes whole numbers of dates with nanoseconds, and dates of others. It leaves out the names of fields.
    is_date = getattr(dtype, "kind", None) in ("M", "m")
    has_fields = getattr(dtype, "names", None) is not None
    order = order_of(value)
    has_index = order is not None and order != list(range(len(order)))
    # A memoryview would become a list of its bytes, and NumPy leaves a long double as it is.
    is_other = isinstance(value, memoryview) or not hasattr(value, "tolist")
    plain = value if is_date or has_fields or has_index or is_other else value.tolist()
    if type(plain) is type(value):
        what = " of dates or times" * is_date + " with fields" * has_fields + " with an index of its own" * has_index
        raise TypeError(f"{type(value).__name__}{what} has no form in JSON")
    return plain


def order_of(value):
    """The index of a Series of pandas, or of a DataFrame: 0, 1, 2 and so on, unless the program has changed it."""
    index = getattr(value, "index", None)
    return index.tolist() if hasattr(index, "tolist") else None


def to_tensor(value, output):
    if hasattr(output, "detach"):  # a tensor of PyTorch
        output = output.detach().cpu()
    if np.ma.is_masked(output):
        raise Unfit(f"expected a value for each element of the output {value['name']}; some are masked")
    order = order_of(output)
    if order is not None and order != list(range(len(order))) and set(order) == set(range(len(order))):
        got = f"{type(output).__name__} whose index is in another order, such as {order[:10]}"
        raise Unfit(f"expected rows in the order of the inputs in the output {value['name']}; got a {got}")
    if value["datatype"] == "BYTES":
        array = np.asarray(output, dtype=object)
        data = join_texts(value, array.ravel())
    else:
        array = to_numbers(value, np.asarray(output), type(output).__name__)
        data = memoryview(np.ascontiguousarray(array)).cast("B") if array.size > 0 else b""
    array = fit_shape(value, array)
    return {"name": value["name"], "datatype": value["datatype"], "shape": array.shape, "data": data}


def to_numbers(value, array, returned):
    """Converts numbers to the datatype of the output. No number may change but by rounding."""
    dtype = np.dtype(TYPES[value["datatype"]])
    if array.dtype == dtype:
        return array
    # NumPy guesses the type of a list: an empty one is of floats, and whole numbers are signed.
    is_whole = array.dtype.kind in "iu" and dtype.kind in "iub"
    if not (is_whole or array.size == 0 or np.can_cast(array.dtype, dtype, casting="same_kind")):
        got = f"{array.dtype}, made of {returned}"
        raise Unfit(f"expected numbers of {dtype} in the output {value['name']}; got {got}")
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    is_kept = np.isfinite(cast) == np.isfinite(array) if dtype.kind == "f" else cast == array
    if not np.all(is_kept):
        raise Unfit(f"expected numbers that {dtype} can hold in the output {value['name']}; got larger ones")
    return cast


def join_texts(value, texts):
    parts = []
    for text in texts:
        if isinstance(text, str):
            text = encode(value, text)
        if not isinstance(text, bytes):
            raise Unfit(f"expected texts or bytes in the output {value['name']}; got {type(text).__name__}")
        parts += [LENGTH.pack(len(text)), text]
    return b"".join(parts)


def encode(value, text):
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Unfit(f"expected texts that have a form in UTF-8 in the output {value['name']}; {error}") from error


def fit_shape(value, array):
    """Returns the array in the shape of the output. A column is taken for a number for each row."""
    sizes = value["shape"]
    if len(sizes) == 1 and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    fits = len(sizes) == array.ndim and all(
        not isinstance(size, int) or size < 1 or size == got for size, got in zip(sizes, array.shape)
    )
    if not fits:
        shown = ", ".join("any" if not isinstance(size, int) or size < 1 else str(size) for size in sizes)
        raise Unfit(f"expected the shape ({shown}) in the output {value['name']}; got {array.shape}")
    return array


def explain(error):
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    try:
        text = str(error)
    except Exception:
        text = "an exception whose text cannot be read"
    reason = text if isinstance(error, (Unfit, ValueError)) else f"{type(error).__name__}: {text}"
    return {"reason": reason[:2000], "trace": "".join(lines)[-8000:]}


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":
    # A process that multiprocessing has spawned imports this file again.
    compile_anew(os.environ[FOLDER])
