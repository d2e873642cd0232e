"""What the training programs of the tests share: each writes a folder for a model, with what the original answers."""

import base64
import json
import struct
import zlib

import numpy as np

# ImageNet's, which `models add` writes into the manifest of a network of pictures
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


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


def rows_of(names, table):
    """Returns an object for each row. JSON has no NaN, so a gap is null."""
    return [{name: None if value != value else value for name, value in zip(names, row)} for row in np.asarray(table).tolist()]
