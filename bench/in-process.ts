// The service people write without a queue: one Express process that scores by itself. Its engine
// runs in a thread, so the process stays responsive. Model, checks and predictions are Scoreline's.
// The argument "tuned" adds the prototypes of Scoreline's API (see api/http/connection/server.ts). The parent
// adds V8's arguments.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import process from 'node:process';
import express from 'express';
import { Ending } from '../api/call/ending.js';
import { makePrototypes } from '../api/http/connection/server.js';
import { text } from '../api/kinds/text.js';
import type { Label } from '../shared/manifest/labels.js';
import { makeLogger } from '../shared/process/log.js';
import { whenParentIsGone } from '../shared/process/parent.js';
import { type Model, readModels } from '../shared/registry/models.js';
import { mapScores } from '../shared/tensors/scores.js';
import { openScorer } from '../worker/batch/scorer.js';

const [directory, name, tuned] = process.argv.slice(2) as [string, string, 'tuned' | undefined];
const model = readModels({ directory, names: [name], filesNeeded: true })[0] as Model;
const scorer = await openScorer(model, makeLogger({ role: 'bench', level: 'error' }));

const unending = new Ending();

/** A prediction as people write it. */
function predict(index: number, score: number) {
  const { id, text, answer, answerId } = model.labels[index] as Label;
  return { label: String(id), score, question: text, answer, questionId: id, answerId };
}

const app = express();
app.disable('x-powered-by');
app.disable('etag');
app.post('/score', express.json(), async (request, response) => {
  const [input] = text.fromJson(request.body.input, model);
  const prepared = await text.prepare(input as NonNullable<typeof input>, model, unending);
  const { results, computeMs } = await scorer.score([{ inputs: prepared, top: 3 }]);
  const result = results[0];
  if (!result || 'error' in result) throw new Error(result?.error.detail);
  response.json({
    model: model.name,
    version: model.version,
    predictions: mapScores(result.outputs, predict),
    timing: { computeMs, batchSize: 1 },
  });
});
const server = createServer(tuned ? makePrototypes(app) : {}, app);
server.listen(0, '127.0.0.1', () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
whenParentIsGone(process, () => process.exit(0));
