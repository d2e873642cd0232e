"""Sentence embeddings as serving computes them: models/minilm, one text at a time, on one thread."""

from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

MINILM = Path(__file__).resolve().parent.parent / "minilm"
TOKENS_MAX = 256
DIMENSION = 384


class Embedder:
    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(MINILM / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.tokenizer = Tokenizer.from_file(str(MINILM / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(TOKENS_MAX)
        self._known = {}

    def __call__(self, texts):
        """[N, DIMENSION], each row of length 1."""
        return np.array([self._embed(text) for text in texts], dtype=np.float32).reshape(-1, DIMENSION)

    def _embed(self, text):
        if text not in self._known:
            ids = np.array([self.tokenizer.encode(text).ids])
            (embedding,) = self._session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
            self._known[text] = embedding[0]
        return self._known[text]
