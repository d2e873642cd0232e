"""LitServe: serve_litserve.py SCENARIO WORKERS PORT

Batching in the API, one model process for each worker.
"""

import sys

import litserve
from model import BATCH_MAX, Model

scenario, workers, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


class Scorer(litserve.LitAPI):
    def setup(self, device):
        self.model = Model(scenario, workers)

    def decode_request(self, request):
        return request["input"] if scenario == "text" else request["input"].file.read()

    def batch(self, inputs):
        return inputs

    def predict(self, inputs):
        return self.model.score(inputs)

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return {"output": output}


if __name__ == "__main__":
    api = Scorer(max_batch_size=BATCH_MAX, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=workers, timeout=60)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning", access_log=False)
