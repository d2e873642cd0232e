"""MLServer: serve_mlserver.py SCENARIO WORKERS PORT GRPC_PORT

Adaptive batching in the server process, one inference process for each worker, pictures as base64.
"""

import asyncio
import sys

from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import Base64Codec, StringCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceResponse, ResponseOutput

from model import BATCH_MAX, TOP, Model


class Scorer(MLModel):
    async def load(self):
        self.model = Model(**self.settings.parameters.extra)
        return True

    async def predict(self, payload):
        codec = StringCodec if self.model.scenario == "text" else Base64Codec
        answers = self.model.score(codec.decode_input(payload.inputs[0]))
        labels = [label for answer in answers for label, _ in answer]
        scores = [score for answer in answers for _, score in answer]
        shape = [len(answers), TOP]
        outputs = [
            ResponseOutput(name="labels", shape=shape, datatype="BYTES", data=labels),
            ResponseOutput(name="scores", shape=shape, datatype="FP32", data=scores),
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)


async def main():
    scenario, (workers, port, grpc_port) = sys.argv[1], map(int, sys.argv[2:5])
    settings = Settings(
        host="127.0.0.1",
        http_port=port,
        grpc_port=grpc_port,
        metrics_endpoint=None,
        parallel_workers=workers,
        debug=False,
    )
    model = ModelSettings(
        name="scorer",
        implementation="serve_mlserver.Scorer",
        max_batch_size=BATCH_MAX,
        max_batch_time=0.001,
        parameters=ModelParameters(extra={"scenario": scenario, "workers": workers}),
    )
    await MLServer(settings).start([model])


if __name__ == "__main__":
    asyncio.run(main())
