"""Exports a network of Keras, or a SavedModel of TensorFlow, to ONNX.

    python exporters/from_keras.py NETWORK.keras|NETWORK.h5|FOLDER MODEL.onnx

The weights become constants of the graph, and tf2onnx converts it. Inputs and outputs keep their shapes, so clients of TensorFlow
Serving can send what they sent. The ONNX file says whether the network scales pixels by itself.
"""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import logging

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from onnx import TensorProto
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tf2onnx.handler import tf_op

from comparison import TEXTS, answers_to, compare_answers, samples_around
from onnx_file import OPSET, save
from program import OTHERWISE, REASON_MAX, fail, note, parse_arguments, reason, run_exporter
from value_names import distinct, name_values

SAMPLES = 2
# The size of a sample where the network leaves it open
OPEN_SIZE = 8
# Of a vocabulary, the first texts are sampled.
TEXTS_MAX = 50
SIGNATURE = "serving_default"


def main():
    arguments = parse_arguments(__doc__)
    tf.get_logger().setLevel(logging.ERROR)
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    is_saved_model = arguments.file.is_dir()
    # The owner of the variables has to stay alive until they are constants.
    owner, function, input_names, names = signature_of(arguments.file) if is_saved_model else function_of(arguments.file)
    is_scaled = not is_saved_model and scales_pixels(owner)
    inputs = inputs_of(function)
    names = distinct(names, input_names)
    texts = [*TEXTS, *texts_in(function)]
    ranges = {} if is_saved_model else ranges_of(owner)
    values = [sample(tensor, *ranges.get(at, ())) for at, tensor in enumerate(inputs)]
    answers = answers_to(samples_around(values, texts), lambda values: named(call(function, values), names))
    frozen = freeze(function)
    del owner, function
    network = convert(frozen, inputs)
    name_values(network, input_names, names)
    compare_answers(network, answers, lambda values: feeds_of(network, values))
    save(network, arguments.onnx, manifest=describe(inputs, is_scaled))


def function_of(file):
    """Returns a network of Keras, its function, and the names of its inputs and outputs."""
    try:
        model = keras.saving.load_model(file, compile=False)
    except Exception as error:  # Keras raises what the layers raise
        fail(
            f"expected a network of Keras {keras.__version__}; {file} cannot be read: {reason(error)}. "
            "If it has layers of your own, export it with the Python of its training (--python PATH) to a SavedModel: model.export(FOLDER)"
        )
    # A Sequential has none of its own.
    structure = getattr(model, "input", model.inputs[0])
    given = [(name_of(path) or value.name, value) for path, value in keras.tree.flatten_with_path(structure)]
    inputs = [tf.TensorSpec([None, *value.shape[1:]], value.dtype, name=name) for name, value in given]

    def answer(*values):
        return model(keras.tree.pack_sequence_as(structure, list(values)), training=False)

    try:
        function = tf.function(answer).get_concrete_function(*inputs)
    except Exception as error:
        fail(f"expected a network that takes any number of items, and keeps no state between them; {reason(error)}. {OTHERWISE}")
    names = output_names(function)
    if isinstance(function.structured_outputs, (list, tuple)) and len(set(model.output_names)) == len(names) > 1:
        names = model.output_names
    return model, function, [name for name, _ in given], names


def signature_of(folder):
    """Returns a SavedModel, the function of its signature, and the names of its inputs and outputs."""
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:
        fail(f"expected a SavedModel; {folder} cannot be read: {reason(error)}")
    if SIGNATURE not in loaded.signatures:
        fail(f"expected the signature {SIGNATURE} in {folder}; it has {', '.join(loaded.signatures) or 'none'}. model.export(FOLDER) of Keras writes it")
    function = loaded.signatures[SIGNATURE]
    return loaded, function, sorted(function.structured_input_signature[1]), output_names(function)


def output_names(function):
    """Returns the names of outputs: keys of dictionaries, places in lists, or `output`."""
    names = [name_of(path) for path, _ in keras.tree.flatten_with_path(function.structured_outputs)]
    return [name or (f"output_{at}" if len(names) > 1 else "output") for at, name in enumerate(names)]


def name_of(path):
    """Returns the keys of dictionaries that lead to a value, None without any."""
    return "_".join(map(str, path)) if any(isinstance(key, str) for key in path) else None


def named(answer, names):
    return {name: value.numpy() for name, value in zip(names, keras.tree.flatten(answer), strict=True)}


def inputs_of(function):
    """Returns the tensors that a caller gives. The others are variables and tables."""
    return function.inputs[: len(function.inputs) - len(function.captured_inputs)]


def call(function, values):
    """Calls a function with the values of its inputs, in their order. A signature takes them by name."""
    tensors = [tf.constant(value) for value in values]
    names = sorted(function.structured_input_signature[1])
    return function(**dict(zip(names, tensors, strict=True))) if names else function(*tensors)


def texts_in(function):
    """Returns texts that a function compares with, or looks up."""
    graph = function.graph.as_graph_def()
    nodes = [node for each in [graph, *graph.library.function] for node in (each.node if each is graph else each.node_def)]
    constants = [node.attr["value"].tensor for node in nodes if node.op == "Const" and node.attr["dtype"].type == tf.string.as_datatype_enum]
    texts = {value for constant in constants for value in np.ravel(tf.make_ndarray(constant)).tolist()}
    return [text for value in sorted(texts) if (text := value.decode(errors="ignore")).encode() == value][:TEXTS_MAX]


def freeze(function):
    """Returns a function whose variables are constants."""
    try:
        return convert_variables_to_constants_v2(function, lower_control_flow=False, aggressive_inlining=True)
    except Exception as error:  # TensorFlow raises ValueError, and its own errors
        fail(
            "expected a network whose answers change none of its variables, as random layers do. If Keras has made this SavedModel, export the "
            f"file of model.save(FILE.keras) instead: Keras keeps layers such as RandomFlip at work in a SavedModel; {reason(error)}. {OTHERWISE}"
        )


def feeds_of(network, values):
    return {given.name: value for given, value in zip(network.graph.input, values, strict=True)}


def scales_pixels(model):
    """Whether something scales the inputs from 0 to 255 before any layer with weights sees them."""
    return next((found for step in steps_of(model) if (found := scales(step)) is not None), False)


def steps_of(model):
    """Yields layers and operations in their order, and those of the networks in a network."""
    for step in getattr(model, "operations", None) or model.layers:
        if hasattr(step, "layers"):
            yield from steps_of(step)
        else:
            yield step


def scales(step):
    """Whether a step scales the pixels: False for one with weights, None for one that does not tell."""
    if isinstance(step, (keras.layers.Rescaling, keras.layers.Normalization)):
        return True
    # `preprocess_input` and `x / 255` inside of a network are operations.
    if type(step).__name__ in ("TrueDivide", "Divide", "Multiply", "Subtract", "Add") and any(map(is_of_bytes, constants(step))):
        return True
    return False if getattr(step, "weights", None) and "Random" not in type(step).__name__ else None


def constants(step):
    """Returns the constants that a step calculates with."""
    arguments = step._inbound_nodes[0].arguments if step._inbound_nodes else None
    values = [*arguments.args, *arguments.kwargs.values()] if arguments else []
    return [value for value in values if not isinstance(value, keras.KerasTensor) and value is not None]


def is_of_bytes(constant):
    """Whether a constant fits pixels from 0 to 255, such as 127.5 and 1 / 255, and not 2 or 0.5, which fit those to 1."""
    try:
        sizes = np.abs(np.asarray(constant, np.float64))
    except (TypeError, ValueError):  # of a text, or of a list of tensors
        return False
    return bool(((sizes >= 16) | ((sizes > 0) & (sizes <= 1 / 16))).any())


def describe(inputs, is_scaled):
    """Returns the section `input` of the manifest of a network that takes one picture of a fixed size."""
    if len(inputs) != 1 or not is_picture(inputs[0]):
        return None
    height, width, channels = inputs[0].shape[1:]
    if not height or not width:
        return None
    if is_scaled:
        note("the network scales its pixels, so it gets them from 0 to 255")
    else:
        note("the file does not say how its training scaled the pixels, so they become 0 to 1, as is usual with Keras, unless --set input.scale says otherwise")
    picture = {"kind": "image", "width": width, "height": height, "tensor": "float32-nhwc", "scale": 1 if is_scaled else 1 / 255}
    return {"input": {**picture, "channels": "grey"} if channels == 1 else picture}


def is_picture(tensor):
    """Floats of pictures, with their channels last. Bytes stay as they are."""
    return tensor.shape.rank == 4 and tensor.shape[3] in (1, 3) and tensor.dtype == tf.float32


def convert(frozen, inputs):
    tables = [tensor.name for tensor in frozen.inputs if tensor.dtype == tf.resource]
    if tables:
        fail(f"expected a network without tables of its own, as lookups of texts and numbers have; got {', '.join(tables)[:REASON_MAX]}. {OTHERWISE}")
    names = [tensor.name for tensor in inputs]
    outputs = [tensor.name for tensor in frozen.outputs]
    try:
        network, _ = tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(),
            input_names=names,
            output_names=outputs,
            opset=OPSET,
        )
    except Exception as error:  # tf2onnx has several classes of errors
        fail(f"expected a network that tf2onnx can export; {reason(error)}. {OTHERWISE}")
    compare_texts(network)
    return network


@tf_op("Erfc")
class Complement:
    """Converts what Keras makes of gelu, which tf2onnx does not know."""

    @classmethod
    def version_9(cls, graph, node, **_):
        kind = tf2onnx.utils.map_onnx_to_numpy_type(graph.get_dtype(node.output[0]))
        one = graph.make_const(tf2onnx.utils.make_name("one"), np.array(1, kind)).output[0]
        erf = graph.make_node("Erf", node.input).output[0]
        shapes, dtypes = [graph.get_shape(node.output[0])], [graph.get_dtype(node.output[0])]
        graph.remove_node(node.name)
        graph.make_node("Sub", [one, erf], outputs=node.output, name=node.name, shapes=shapes, dtypes=dtypes)


def compare_texts(network):
    """Lets a network compare texts as they are, which ONNX does from version 19 on. tf2onnx makes numbers of them."""
    graph = network.graph
    texts = {value.name for value in graph.initializer if value.data_type == TensorProto.STRING}
    texts |= {value.name for value in graph.input if value.type.tensor_type.elem_type == TensorProto.STRING}
    casts = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast" and node.input[0] in texts}
    for node in graph.node:
        if node.op_type == "Equal" and all(name in casts for name in node.input):
            node.input[:] = [casts[name] for name in node.input]
            own = next(opset for opset in network.opset_import if opset.domain == "")
            own.version, network.ir_version = max(own.version, 19), max(network.ir_version, 9)
    used = {name for node in graph.node for name in node.input}
    for node in [node for node in graph.node if node.output[0] in casts and node.output[0] not in used]:
        graph.node.remove(node)


def ranges_of(model):
    """Returns the mean and the variance of the training for each input of a network that a `Normalization` takes, by its place."""
    ranges = {}
    for step in steps_of(model):
        if isinstance(step, keras.layers.Normalization) and not step.invert:
            taken = [id(tensor) for node in step._inbound_nodes for tensor in node.input_tensors]
            for at, given in enumerate(model.inputs):
                if id(given) in taken:
                    ranges[at] = np.asarray(step.mean), np.asarray(step.variance)
    return ranges


def sample(tensor, mean=None, variance=None):
    random = np.random.default_rng(1)
    sizes = [SAMPLES, *(size or OPEN_SIZE for size in tensor.shape[1:])]
    kind = tensor.dtype.as_numpy_dtype
    if tensor.dtype == tf.string:
        return np.full(sizes, TEXTS[0], object)
    if mean is not None:
        return (mean + np.sqrt(variance) * random.normal(size=sizes)).astype(kind)
    return random.random(sizes).astype(kind) if tensor.dtype.is_floating else np.ones(sizes, kind)


if __name__ == "__main__":
    run_exporter(main)
