"""What the training programs of the tests share: each writes a folder for a model, with what the original answers."""

import base64
import json
import struct
import zlib

import numpy as np

# ImageNet's, which `models add` writes into the manifest of a network of pictures with the channels first
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
# Of the logits of a class over several pictures
LOGIT_DEVIATION = 2


def write(folder, file, what, data, inputs, scores, ask="json", labels=None, flags=()):
    """Writes held-out.json beside a model.

    file    the name of the model, in the folder
    ask     how the inputs are sent: as json, as the bytes of a png in base64, or as the numbers of tensors
    scores  a row for each input, in the order of the labels; or a number for each input of a regression
    labels  undefined for a regression, and for those that are named by their numbers
    """
    cases = [{"input": value, "scores": np.atleast_1d(row).tolist()} for value, row in zip(inputs, scores)]
    content = {
        "file": file,
        "what": what,
        "data": f"{data}, {len(cases)}",
        "ask": ask,
        "labels": None if labels is None else [str(label) for label in labels],
        "flags": list(flags),
        "cases": cases,
    }
    (folder / "held-out.json").write_text(json.dumps(content, allow_nan=False), encoding="utf-8")


def png(pixels):
    """Returns uint8 [height, width, 3] as a PNG in base64."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks]
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode()


def pictures_of(digits):
    """Makes pictures of scikit-learn's digits, 0 to 16: uint8 [N, 8, 8, 3]."""
    grey = np.rint(digits.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3)


def floats_of(pictures):
    """Prepares pictures as Scoreline does: float32 [N, height, width, 3]."""
    return ((pictures / 255 - MEAN) / STD).astype(np.float32)


def head_of(features, kernel):
    """Scales the weights of a last layer, [features, classes], and returns them with their biases.

    Generated weights give every picture nearly the same logits, and one class all of the probability. With these, the logits
    of a class have the mean 0 over the pictures, and differ enough between them that each picture has classes of its own.
    """
    logits = features @ kernel
    scale = LOGIT_DEVIATION / logits.std(0).mean()
    return (kernel * scale).astype(np.float32), (-logits.mean(0) * scale).astype(np.float32)


def check_open(scores):
    """Fails if scores of several inputs could hide a difference, since all are near 0 or 1 or name the same class."""
    if scores.max() > 0.99 or np.median(scores) < 1e-6 or len(set(scores.argmax(1))) < 3:
        raise SystemExit(f"expected scores that differ; got the best {scores.max(1)} of the classes {scores.argmax(1)}")


def rows_of(names, table):
    """Returns an object for each row. JSON has no NaN, so a gap is null."""
    return [{name: None if value != value else value for name, value in zip(names, row)} for row in np.asarray(table).tolist()]
