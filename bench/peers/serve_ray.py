"""Ray Serve: serve_ray.py SCENARIO WORKERS PORT

Its mode for throughput, dynamic batching in the replica, and one replica for each worker.
"""

import asyncio
import os
import signal
import sys

os.environ["RAY_SERVE_THROUGHPUT_OPTIMIZED"] = "1"
os.environ["RAY_SERVE_ENABLE_HA_PROXY"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_AUTH_MODE"] = "disabled"

import ray  # noqa: E402
from ray import serve  # noqa: E402

from model import BATCH_MAX, Model  # noqa: E402

scenario, workers, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


@serve.deployment(num_replicas=workers, max_ongoing_requests=256)
class Scorer:
    def __init__(self, scenario, workers):
        self.is_text = scenario == "text"
        self.model = Model(scenario, workers)

    @serve.batch(max_batch_size=BATCH_MAX, batch_wait_timeout_s=0)
    async def score(self, inputs):
        return await asyncio.to_thread(self.model.score, inputs)

    async def __call__(self, request):
        body = await request.body()
        return await self.score(body.decode() if self.is_text else body)


ray.init(num_cpus=8, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": port})
serve.run(Scorer.bind(scenario, workers), route_prefix="/score")
signal.pause()
