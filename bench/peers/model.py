"""What every peer runs: Scoreline's networks in ONNX Runtime, with the same steps before and after.

A text is normalised as in training. A picture is decoded with Pillow, cropped and resized. A batch is
one run. The answer to each input is the best three classes, as [label, score].
"""

import io
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

MODELS = Path(__file__).resolve().parents[2] / "models"
sys.path.append(str(MODELS / "faq-matcher"))

from normalise import normalise_text  # noqa: E402

CORES = len(os.sched_getaffinity(0))
BATCH_MAX = 16
TOP = 3


class Model:
    def __init__(self, scenario, workers):
        """Text takes one thread a run; pictures take all cores in one process, one thread each in several."""
        name = "faq-matcher" if scenario == "text" else "efficientnet-lite0"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1 if scenario == "text" or workers > 1 else CORES
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(MODELS / name / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.scenario = scenario
        self.labels = read_questions() if scenario == "text" else read_classes()
        # Pillow leaves the interpreter's lock while it decodes, so the pictures of a batch share the cores.
        self.pool = ThreadPoolExecutor(1 if workers > 1 else CORES)
        self.score([self.sample()])

    def score(self, inputs):
        """Scores texts, or the bytes of pictures."""
        probabilities = self.probabilities(inputs)
        best = np.argsort(-probabilities, axis=1)[:, :TOP]
        return [
            [[self.labels[index], float(row[index])] for index in order] for row, order in zip(probabilities, best)
        ]

    def probabilities(self, inputs):
        if self.scenario == "text":
            feeds = {"text": np.array([normalise_text(text) for text in inputs], dtype=object)}
        else:
            feeds = {"image": np.stack(list(self.pool.map(decode, inputs)))}
        return self.session.run(["probabilities"], feeds)[0]

    def sample(self):
        if self.scenario == "text":
            return "How do I copy an array?"
        picture = io.BytesIO()
        Image.new("RGB", (320, 240)).save(picture, "jpeg")
        return picture.getvalue()


def decode(picture):
    """Returns the centred square of 224 / (224 + 32) of the shorter side, in 224 x 224 pixels."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    width, height = image.size
    side = 7 * min(width, height) // 8
    left, top = (width - side + 1) // 2, (height - side + 1) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC, box))


def read_questions():
    return [str(question["id"]) for question in json.loads((MODELS / "faq-matcher/questions.json").read_text())]


def read_classes():
    lines = (MODELS / "imagenet-1k.txt").read_text().splitlines()
    return [line.split(" ", 1)[1] for line in lines]
