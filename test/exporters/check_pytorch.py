"""Says of small networks of PyTorch whether they are exported with the names of their outputs, or refused.

    python test/exporters/check_pytorch.py FOLDER
"""

import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "exporters"))
import from_pytorch  # noqa: E402
from outcome import check, outcome  # noqa: E402

DIFFERS = "expected the ONNX file to answer as the original does"
BATCH = {0: torch.export.Dim("batch")}


class Buckets(nn.Module):
    def forward(self, number):
        return (number // 4).float()


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(12, 3)

    def forward(self, tokens):
        return self.words(tokens).mean(1)


class WordAndNumber(Words):
    def forward(self, row):
        return self.words(row[:, 0]) + (row[:, 1:] // 4).float()


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(12, 4)
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)

    def forward(self, tokens):
        return self.layer(self.words(tokens), src_key_padding_mask=tokens == 0).mean(1)


class Nested(nn.Module):
    def forward(self, row):
        return {"z": (row * 2, row + 1), "a": [row - 1], "row": row}


class Plain(nn.Module):
    def forward(self, row):
        doubled = row * 2
        return doubled, doubled, row


class Products(nn.Module):
    def forward(self, row):
        return row.cumprod(1)


class Names(nn.Module):
    def forward(self, row):
        return {"sum": row.sum(1)}


class Pooled(nn.Module):
    def forward(self, picture):
        return nn.functional.adaptive_avg_pool2d(picture, 3).mean(1)


def scripts():
    yield "buckets", Buckets(), "int64[1]", DIFFERS
    yield "words", Words(), "int64[5]", ["output"]
    yield "word and number", WordAndNumber(), "int64[2]", DIFFERS
    yield "names in a script", Names(), "4", "Exporting the operator 'prim::DictConstruct'"
    yield "pooled in a script", Pooled(), "3,7,8", "not factor of input size. Save the network with torch.export.save instead"
    yield "of another shape", Pooled(), "7", "expected a network that takes float32[2, 7]; "


def programs():
    numbers, tokens = torch.rand(2, 4), torch.ones(2, 5, dtype=torch.int64)
    yield "exported words", Words(), tokens, ["mean"]
    yield "attention to words, not to padding", Attention().eval(), tokens, ["mean"]
    yield "nested", Nested(), numbers, ["z_0", "z_1", "a_0", "row"]
    yield "pooled", Pooled(), torch.rand(2, 3, 7, 8), ["mean"]
    yield "plain", Plain(), numbers, ["mul", "mul_alias_1", "row"]
    yield "of bfloat16", nn.Linear(4, 3).bfloat16(), numbers.bfloat16(), "the network has bfloat16. Call float() on it"
    yield "products", Products(), numbers, "expected a network that PyTorch can write as ONNX; DispatchError: No ONNX function found"


def check_checkpoints(folder):
    """Checkpoints as Ultralytics writes them are known with its code and without."""
    module = ModuleType("ultralytics.nn")
    package = {"ultralytics": ModuleType("ultralytics"), "ultralytics.nn": module}
    module.DetectionModel = type("DetectionModel", (nn.Module,), {"__module__": "ultralytics.nn"})
    by_itself = "exports it by itself: YOLO('best.pt').export(format='onnx', dynamic=True, nms=True). Then add best.onnx"
    file = folder / "best.pt"
    with patch.dict(sys.modules, package):
        torch.save({"epoch": 1, "model": module.DetectionModel(), "ema": None}, file)
        check("a checkpoint", outcome(from_pytorch, file), by_itself)
    check("a checkpoint without its code", outcome(from_pytorch, file), by_itself)


def main():
    folder = Path(sys.argv[1])
    check_checkpoints(folder)
    for name, network, shape, expected in scripts():
        file = folder / f"{name}.pt"
        torch.jit.save(torch.jit.script(network), file)
        check(name, outcome(from_pytorch, file, "--shape", shape), expected)
    for name, network, example, expected in programs():
        file = folder / f"{name}.pt2"
        torch.export.save(torch.export.export(network, (example,), dynamic_shapes=(BATCH,)), file)
        check(name, outcome(from_pytorch, file), expected)


if __name__ == "__main__":
    main()
