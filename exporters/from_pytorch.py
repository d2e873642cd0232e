"""Exports a network of PyTorch to ONNX.

    python exporters/from_pytorch.py NETWORK MODEL.onnx [--shape 3,224,224 …]

NETWORK is one of these:

    a file of torch.export.save       it knows the shapes of its inputs, and whether the batch may vary
    TorchScript of torch.jit.save     it needs --shape
    a network that torch.save wrote   it needs --shape, and the Python modules that define it, on the path or beside the file

--shape is the shape of one item of an input, without the batch: 3,224,224. It stands once for each input. Other types than
float32 have their name before: int64[128].

Reading a network runs code that it holds, so export only files whose origin you trust.
"""

import os
import re
import sys
import warnings
import zipfile
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

import numpy as np
import onnx
import torch
from torch.utils import _pytree as pytree

from comparison import answers_to, compare_answers, samples_around
from onnx_file import OPSET, save
from program import OTHERWISE, fail, note, parse_arguments, reason, run_exporter
from value_names import distinct, name_values

SHAPE = r"(?:(\w+)\[([\d,]+)\]|([\d,]+))"
SAMPLES = 2
BATCH = "batch"


def main():
    shape = ("--shape", {"action": "append", "default": [], "help": "shape of an item, such as 3,224,224 or int64[128]"})
    arguments = parse_arguments(__doc__, shape)
    torch.manual_seed(1)
    # They advise those who write exporters.
    for text in ("`torch.jit", "You are using the legacy TorchScript", "no signature found for"):
        warnings.filterwarnings("ignore", text)
    names = names_in(arguments.file)
    if any(name.endswith("/archive_format") or name == "archive_format" for name in names):
        export_program(arguments)
    elif any("/code/" in f"/{name}" for name in names):
        network = read(arguments.file, lambda: torch.jit.load(arguments.file, map_location="cpu"))
        export_script(network.eval(), samples(arguments), arguments.onnx)
    else:
        network = read(arguments.file, lambda: torch.load(arguments.file, map_location="cpu", weights_only=False))
        export_module(checked(network, arguments.file), samples(arguments), arguments.onnx)


def names_in(file):
    return zipfile.ZipFile(file).namelist() if zipfile.is_zipfile(file) else []


def read(file, load):
    try:
        return load()
    except (AttributeError, ModuleNotFoundError) as error:
        if "'ultralytics" in str(error):
            fail_for_yolo(file)
        fail(
            f"expected the Python code of the network in {file} on the path; {error}. "
            "Save it with torch.export.save, which needs no code, or export it with the Python of its training: --python PATH"
        )
    except Exception as error:  # a pickle can raise anything
        fail(f"expected a network of PyTorch; {file} cannot be read: {reason(error)}")


def checked(network, file):
    if isinstance(network, torch.nn.Module):
        return network.eval()
    if isinstance(network, dict) and type(network.get("ema") or network.get("model")).__module__.startswith("ultralytics."):
        fail_for_yolo(file)
    what = "weights without their network (a state_dict)" if isinstance(network, dict) else type(network).__name__
    fail(
        f"expected a whole network; {file} has {what}. Build the network in Python, load the weights into it, and save it by "
        "torch.export.save(torch.export.export(network, example, dynamic_shapes=…), 'network.pt2')"
    )


def fail_for_yolo(file):
    name = Path(file)
    fail(
        f"expected a network alone; {file} is a checkpoint of Ultralytics, which exports it by itself: "
        f"YOLO({name.name!r}).export(format='onnx', dynamic=True, nms=True). Then add {name.with_suffix('.onnx').name}"
    )


def samples(arguments):
    if not arguments.shape:
        fail(f"expected --shape for each input of the network, since {arguments.file} does not tell; for example --shape 3,224,224")
    return tuple(sample(text) for text in arguments.shape)


def sample(text):
    found = re.fullmatch(SHAPE, text)
    kind = getattr(torch, (found and found[1]) or "float32", None)
    if not found or not isinstance(kind, torch.dtype):
        fail(f"--shape: expected numbers with commas, such as 3,224,224 or int64[128]; got {text}")
    sizes = [SAMPLES, *(int(size) for size in (found[2] or found[3]).split(",") if size)]
    return torch.rand(sizes, dtype=kind) if kind.is_floating_point else torch.ones(sizes, dtype=kind)


def export_program(arguments):
    program = read(arguments.file, lambda: torch.export.load(arguments.file))
    if not program.example_inputs:
        fail(f"expected the example inputs of torch.export in {arguments.file}; it has none")
    if is_training(program):
        fail(f"expected a network as it is after training; {arguments.file} has that of the training. Call eval() before torch.export.export")
    positional, named = program.example_inputs
    fixed = {value.shape[0] for value in inputs_of(program) if value.dim() and isinstance(value.shape[0], int)}
    if fixed - {1}:
        fail(
            f"expected a network for any number of items; {arguments.file} takes exactly {min(fixed - {1})}. Export it again with "
            "torch.export.export(network, example, dynamic_shapes=({0: torch.export.Dim('batch')},))"
        )
    if fixed:
        note("the batch is fixed at 1, so inputs are scored one by one; dynamic_shapes of torch.export.export makes it vary")
    try:
        result = torch.onnx.export(program, args=positional, kwargs=named, dynamo=True, opset_version=OPSET, verbose=False)
    except Exception as error:  # the exporter has several classes of errors
        fail(f"expected a network that PyTorch can write as ONNX; {reason(cause_of(error))}. {OTHERWISE}")
    module, count = program.module(), len(positional)
    finish(
        result.model_proto,
        arguments.onnx,
        [*positional, *named.values()],
        lambda *given: module(*given[:count], **dict(zip(named, given[count:]))),
    )


def is_training(program):
    """Whether a program leaves numbers out at random, or takes the means of the batch that it has."""
    calls = [(str(node.target), node.args) for node in program.graph.nodes]
    places = {"aten.dropout.default": 2, "aten.batch_norm.default": 5}  # of the argument that says so
    return any(len(args) > places[name] and args[places[name]] is True for name, args in calls if name in places)


def inputs_of(program):
    users = set(program.graph_signature.user_inputs)
    return [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in users]


def export_module(network, args, path):
    dynamic = tuple({0: torch.export.Dim(BATCH)} for _ in args)
    try:
        program = torch.export.export(network, args, dynamic_shapes=(dynamic,) if takes_any(network) else dynamic)
        result = torch.onnx.export(program, dynamo=True, opset_version=OPSET, verbose=False)
    except Exception as error:  # the exporter has several classes of errors
        fail(f"expected a network that torch.export takes, with {describe(args)}; {reason(cause_of(error))}. {OTHERWISE}")
    finish(result.model_proto, path, args, network)


def cause_of(error):
    """Returns the first error of a chain. PyTorch's others have pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def takes_any(network):
    """Whether forward() has *args, for which torch.export wants one list of shapes."""
    return network.forward.__code__.co_flags & 0x04 if hasattr(network.forward, "__code__") else False


def export_script(network, args, path):
    """TorchScript cannot go through torch.export, so this is PyTorch's older exporter."""
    names = [f"input_{at}" for at in range(len(args))] if len(args) > 1 else ["input"]
    written = path.with_name(f"{path.name}.script")
    try:
        with torch.inference_mode():
            expected = flat(network(*args))
    except Exception as error:  # TorchScript raises RuntimeError and its own errors
        fail(f"expected a network that takes {describe(args)}; {reason(error)}. {OTHERWISE}")
    try:
        outputs = [f"output_{at}" for at in range(len(expected))] if len(expected) > 1 else ["output"]
        settings = {"input_names": names, "output_names": outputs, "opset_version": 17, "dynamo": False}
        axes = {name: {0: BATCH} for name in [*names, *outputs]}
        with silence():  # It prints the whole graph where it fails.
            torch.onnx.export(network, args, str(written), dynamic_axes=axes, **settings)
        model = onnx.load(written)
    except Exception as error:  # the exporter has several classes of errors
        fail(
            f"expected TorchScript that PyTorch can write as ONNX; {without_advice(reason(error))}. Save the network with "
            f"torch.export.save instead, which PyTorch writes in another way. {OTHERWISE}"
        )
    finally:
        written.unlink(missing_ok=True)
    finish(model, path, args, network)


@contextmanager
def silence():
    """Drops what is printed, also by libraries in C++."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def without_advice(text):
    """Cuts what PyTorch asks its users for, and the part of a graph."""
    return re.sub(r"[.,]?\s*(Please (feel free|try|report|open)|\[Caused by|More information|The original ).*", "", text)


def describe(args):
    return ", ".join(f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}" for value in args)


def flat(answer):
    """Returns the tensors of an answer, each with its name: the keys of dictionaries that lead to it, None without any."""
    found = [(path, value) for path, value in pytree.tree_flatten_with_path(answer)[0] if torch.is_tensor(value)]
    return [(name_of(path), value) for path, value in found]


def name_of(path):
    if all(isinstance(step, pytree.SequenceKey) for step in path):
        return None
    return "_".join(str(astuple(step)[0]) for step in path)


def finish(model, path, args, answer):
    """Compares a network with its original on samples, since a branch that only some inputs take is lost, and saves it."""
    refuse_bfloat16(model)
    given = [value.detach().numpy() for value in args]

    def answer_to(values):
        with torch.inference_mode():
            # Some networks change their inputs.
            return flat(answer(*(torch.from_numpy(np.array(value)) for value in values)))

    names = [name for name, _ in answer_to(given)]
    outputs = model.graph.output
    if len(names) != len(outputs):
        fail(f"expected an ONNX file with the {len(names)} outputs of the network; it has {len(outputs)}. {OTHERWISE}")
    inputs = [value.name for value in model.graph.input]
    name_values(model, [None] * len(args), distinct(names, inputs))
    known = [output.name for output in outputs]
    answers = answers_to(
        samples_around(given), lambda values: {name: value.numpy() for name, (_, value) in zip(known, answer_to(values), strict=True)}
    )
    compare_answers(model, answers, lambda values: dict(zip(inputs, values, strict=True)))
    save(model, path)


def refuse_bfloat16(model):
    """ONNX Runtime has few operators of it for CPUs, and NumPy has no such numbers."""
    kinds = {value.data_type for value in model.graph.initializer} | {value.type.tensor_type.elem_type for value in model.graph.input}
    if onnx.TensorProto.BFLOAT16 in kinds:
        fail(f"expected float32 or float16; the network has bfloat16. Call float() on it, and save it again. {OTHERWISE}")


if __name__ == "__main__":
    run_exporter(main)
