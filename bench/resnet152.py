"""Generates a network of the size and shape of the ONNX Model Zoo's resnet152-v1-7.

    python bench/resnet152.py --out FILE --seed 7 [--blocks 3,8,36,3] [--time 10]

Its weights are random. Use it to measure speed without the trained file: it does exactly as much
computation as the original, but its answers mean nothing.

The original is Gluon's ResNet-152 v1, exported from MXNet. The first 1x1 convolution of a block has
the stride. The 1x1 convolutions of a block have biases, although the batch normalisation after them
makes these redundant. The 3x3 convolution and the shortcut have none. Batch normalisation is not
folded. That makes 60,404,072 numbers, or 241,616,288 bytes. The original file has 241,816,206
bytes; the other 0.08 % are the names and nodes of its 877 tensors. Like the original, the file is
ONNX IR 3, opset 8, and lists its weights among the inputs of the graph.

    data                  float32 [N, 3, 224, 224]   normalised by ImageNet's mean and deviation
    resnetv19_dense0_fwd  float32 [N, 1000]          logits, no softmax
"""

import argparse
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PREFIX = "resnetv19"
CLASSES = 1000
SIZE = 224
# Scales down each branch before it joins the shortcut. Otherwise 50 sums would grow without bound.
BRANCH_GAMMA = 0.2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same file")
    parser.add_argument("--blocks", default="3,8,36,3", help="blocks per stage; fewer make a smaller network")
    parser.add_argument("--time", type=int, default=5, metavar="RUNS", help="timed runs per batch size; 0 for none")
    arguments = parser.parse_args()

    network = Network(arguments.seed)
    model = network.build([int(count) for count in arguments.blocks.split(",")])
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, arguments.out)
    print(f"parameters          {network.parameters:,}")
    print(f"file                {arguments.out.stat().st_size:,} bytes")
    print(f"multiply-adds       {network.multiply_adds / 1e9:.2f} billion an image ({2 * network.multiply_adds / 1e9:.1f} GFLOP)")
    if arguments.time:
        measure(arguments.out, arguments.seed, arguments.time)


class Network:
    """Adds layers in order, draws their weights, and counts parameters and multiply-adds."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes = []
        self.weights = []
        self.parameters = 0
        self.multiply_adds = 0

    def build(self, blocks):
        value = self.convolution("conv0", "data", 3, 64, kernel=7, stride=2, size=SIZE)
        value = self.relu("relu0", self.norm("batchnorm0", value, 64))
        value = self.add(
            "MaxPool", "pool0_fwd", [value], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]
        )
        channels, size = 64, SIZE // 4
        for stage, count in enumerate(blocks, start=1):
            width = 64 << stage + 1
            for index in range(count):
                stride = 2 if stage > 1 and index == 0 else 1
                name = f"stage{stage}_block{index}"
                value = self.bottleneck(name, value, channels, width, stride, size, shortcut=index == 0)
                channels, size = width, size // stride
        value = self.add("GlobalAveragePool", "pool1_fwd", [value])
        value = self.add("Flatten", "flatten0", [value])
        dense = [
            self.weight("dense0_weight", self.normal((CLASSES, channels), channels**-0.5)),
            self.weight("dense0_bias", self.normal((CLASSES,), 0.1)),
        ]
        self.multiply_adds += CLASSES * channels
        output = self.add("Gemm", "dense0_fwd", [value, *dense], transB=1)

        inputs = [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])]
        inputs += [helper.make_tensor_value_info(w.name, TensorProto.FLOAT, w.dims) for w in self.weights]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", CLASSES])]
        graph = helper.make_graph(self.nodes, "resnet152-v1-random", inputs, outputs, self.weights)
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 8)], ir_version=3, producer_name="scoreline"
        )

    def bottleneck(self, name, start, channels, width, stride, size, shortcut):
        narrow, small = width // 4, size // stride
        value = self.convolution(f"{name}_conv0", start, channels, narrow, stride=stride, size=size, bias=True)
        value = self.relu(f"{name}_relu0", self.norm(f"{name}_batchnorm0", value, narrow))
        value = self.convolution(f"{name}_conv1", value, narrow, narrow, kernel=3, size=small)
        value = self.relu(f"{name}_relu1", self.norm(f"{name}_batchnorm1", value, narrow))
        value = self.convolution(f"{name}_conv2", value, narrow, width, size=small, bias=True)
        value = self.norm(f"{name}_batchnorm2", value, width, gamma=BRANCH_GAMMA)
        if shortcut:
            start = self.convolution(f"{name}_conv3", start, channels, width, stride=stride, size=size)
            start = self.norm(f"{name}_batchnorm3", start, width)
        return self.relu(f"{name}_relu2", self.add("Add", f"{name}_plus", [start, value]))

    def convolution(self, name, value, channels, filters, size, kernel=1, stride=1, bias=False):
        """Draws the weights by He initialisation, so the output varies as much as the input."""
        fan_in = channels * kernel * kernel
        inputs = [value]
        inputs.append(self.weight(f"{name}_weight", self.normal((filters, channels, kernel, kernel), (2 / fan_in) ** 0.5)))
        if bias:
            inputs.append(self.weight(f"{name}_bias", self.normal((filters,), 0.1)))
        self.multiply_adds += filters * fan_in * (size // stride) ** 2
        return self.add(
            "Conv",
            f"{name}_fwd",
            inputs,
            dilations=[1, 1],
            group=1,
            kernel_shape=[kernel, kernel],
            pads=[kernel // 2] * 4,
            strides=[stride, stride],
        )

    def norm(self, name, value, channels, gamma=1.0):
        inputs = [
            value,
            self.weight(f"{name}_gamma", gamma * self.random.uniform(0.8, 1.2, channels)),
            self.weight(f"{name}_beta", self.normal((channels,), 0.1)),
            self.weight(f"{name}_running_mean", self.normal((channels,), 0.1)),
            self.weight(f"{name}_running_var", self.random.uniform(0.8, 1.2, channels)),
        ]
        return self.add("BatchNormalization", f"{name}_fwd", inputs, epsilon=1e-5, momentum=0.9)

    def relu(self, name, value):
        return self.add("Relu", f"{name}_fwd", [value])

    def add(self, kind, name, inputs, **attributes):
        name = f"{PREFIX}_{name}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def weight(self, name, array):
        name = f"{PREFIX}_{name}"
        self.weights.append(numpy_helper.from_array(array.astype(np.float32), name))
        self.parameters += array.size
        return name

    def normal(self, shape, deviation):
        return self.random.standard_normal(shape, np.float32) * np.float32(deviation)


def measure(path, seed, runs):
    """Checks for finite logits at batch sizes 1 and 4, and prints the median time per image."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch in (1, 4):
        images = np.random.default_rng(seed).standard_normal((batch, 3, SIZE, SIZE), np.float32)
        logits = session.run(None, {"data": images})[0]
        if logits.shape != (batch, CLASSES) or not np.isfinite(logits).all():
            raise SystemExit(f"batch {batch}: expected finite logits [{batch}, {CLASSES}]; got {logits}")
        seconds = []
        for _ in range(runs):
            start = time.perf_counter()
            session.run(None, {"data": images})
            seconds.append(time.perf_counter() - start)
        spread = f"logits deviate by {logits.std():.2f}, largest {np.abs(logits).max():.1f}"
        print(f"batch {batch}             {1000 * np.median(seconds) / batch:.0f} ms an image; {spread}")


if __name__ == "__main__":
    main()
