"""Trains networks of PyTorch on scikit-learn's digits, and writes them with what they answer to the held-out data.

    npm run python -- exporters/pytorch.txt test/exporters/train_pytorch.py FOLDER PHOTOGRAPHS

FOLDER has digits.npz. PHOTOGRAPHS is a folder of pictures of 224 × 224, for ResNet-152 with generated weights.
"""

import base64
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import nn

from held_out import check_open, floats_of, head_of, pictures_of, png, write

EPOCHS = 30


def main():
    out, photographs = Path(sys.argv[1]), Path(sys.argv[2])
    torch.manual_seed(1)
    digits = np.load(out / "digits.npz")
    pictures, classes = pictures_of(digits["inputs"]), torch.from_numpy(digits["classes"])
    network = train(tensor_of(pictures[::2]), classes[::2])
    held_out = pictures[1::2]
    with torch.inference_mode():
        logits = network(tensor_of(held_out))
    example = (tensor_of(held_out[:2]),)
    folder = make(out, "pytorch-export")
    program = torch.export.export(network, example, dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, folder / "model.pt2")
    sent = [png(picture) for picture in held_out]
    write(folder, "model.pt2", "pictures: torch.export", "digits", sent, logits.softmax(1), ask="png")
    folder = make(out, "pytorch-script")
    torch.jit.script(network).save(folder / "model.pt")
    flags = ["--shape", "3,8,8", "--kind", "tensors"]
    tensors = tensor_of(held_out).flatten(1).tolist()
    write(folder, "model.pt", "tensors: TorchScript", "digits", tensors, logits, ask="tensors", flags=flags)
    folder = make(out, "pytorch-whole")
    torch.save(network, folder / "model.pth")
    write(folder, "model.pth", "pictures: torch.save", "digits", sent, logits.softmax(1), ask="png", flags=["--shape", "3,8,8"])
    resnet(make(out, "pytorch-resnet152"), photographs)


def make(out, name):
    folder = out / name
    folder.mkdir(parents=True)
    return folder


def tensor_of(pictures):
    return torch.from_numpy(floats_of(pictures)).permute(0, 3, 1, 2).contiguous()


def train(inputs, classes):
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(256, 10))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(inputs), classes).backward()
        optimizer.step()
    return network.eval()


def resnet(folder, photographs):
    """ResNet-152 of torchvision. Its weights are generated, since they cannot be had without a download."""
    network = torchvision.models.resnet152().eval()
    files = sorted(photographs.glob("*.png"))
    inputs = tensor_of(np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files]))
    batch = {0: torch.export.Dim("batch")}
    with torch.no_grad():
        last, network.fc = network.fc, nn.Identity()
        kernel, bias = head_of(network(inputs).numpy(), last.weight.T.numpy())
        network.fc = last
        last.weight.copy_(torch.from_numpy(kernel.T))
        last.bias.copy_(torch.from_numpy(bias))
        scores = network(inputs).softmax(1).numpy()
        check_open(scores)
        torch.export.save(torch.export.export(network, (inputs[:2],), dynamic_shapes=(batch,)), folder / "model.pt2")
    sent = [base64.b64encode(file.read_bytes()).decode() for file in files]
    write(folder, "model.pt2", "pictures: torchvision's ResNet-152, generated weights", "photographs", sent, scores, ask="png")


if __name__ == "__main__":
    main()
