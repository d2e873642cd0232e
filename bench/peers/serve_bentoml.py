"""BentoML: serve_bentoml.py SCENARIO WORKERS PORT

Adaptive batching in the service, one process for each worker, and the raw bytes of a picture as a file.
"""

import os
import sys
from pathlib import Path
from typing import Any

import bentoml

from model import BATCH_MAX, Model

SCENARIO = os.environ.get("PEER_SCENARIO", "text")
WORKERS = int(os.environ.get("PEER_WORKERS", "1"))
Input = str if SCENARIO == "text" else Path


@bentoml.service(workers=WORKERS, traffic={"timeout": 60}, metrics={"enabled": False})
class Scorer:
    def __init__(self):
        self.model = Model(SCENARIO, WORKERS)

    @bentoml.api(batchable=True, max_batch_size=BATCH_MAX, max_latency_ms=60_000)
    def score(self, inputs: list[Input]) -> list[Any]:
        return self.model.score([each if SCENARIO == "text" else each.read_bytes() for each in inputs])


if __name__ == "__main__":
    os.environ["PEER_SCENARIO"], os.environ["PEER_WORKERS"], port = sys.argv[1:4]
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    os.chdir(Path(__file__).parent)
    command = ["serve", "serve_bentoml:Scorer", "--host", "127.0.0.1", "--port", port]
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", *command])
