"""Triton, from its Python wheel: serve_triton.py SCENARIO WORKERS PORT GRPC_PORT

Dynamic batching in Triton. The wheel has no backend for ONNX, so the model is a function of this process,
which Triton calls with each batch; each worker is one more instance of it.
"""

import os
import sys
import sysconfig

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from model import BATCH_MAX, TOP, Model

scenario, (workers, port, grpc_port) = sys.argv[1], map(int, sys.argv[2:5])


def make_infer():
    model = Model(scenario, workers)

    @batch
    def infer(input):
        values = input[:, 0].tolist()
        answers = model.score([value.decode() for value in values] if scenario == "text" else values)
        return {
            "labels": np.array([[label.encode() for label, _ in answer] for answer in answers], dtype=object),
            "scores": np.array([[score for _, score in answer] for answer in answers], dtype=np.float32),
        }

    return infer


# Triton has to find the library of this Python, as PyTriton's documentation says.
os.environ["LD_LIBRARY_PATH"] = sysconfig.get_config_var("LIBDIR")
config = TritonConfig(http_address="127.0.0.1", http_port=port, grpc_port=grpc_port, allow_metrics=False, log_verbose=0)
with Triton(config=config) as triton:
    triton.bind(
        model_name="scorer",
        infer_func=[make_infer() for _ in range(workers)],
        inputs=[Tensor(name="input", dtype=bytes, shape=(1,))],
        outputs=[Tensor(name="labels", dtype=bytes, shape=(TOP,)), Tensor(name="scores", dtype=np.float32, shape=(TOP,))],
        config=ModelConfig(max_batch_size=BATCH_MAX, batcher=DynamicBatcher(max_queue_delay_microseconds=0)),
    )
    triton.serve()
