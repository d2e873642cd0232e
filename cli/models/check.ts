// Checks a model as far as that is possible without a service: its manifest, its files, the shapes of
// its network, and the answer to its example.

import { readEmbedding } from '../../api/kinds/embedding.js';
import { readJson } from '../../api/kinds/json.js';
import { readValue } from '../../api/kinds/regression.js';
import { ScorelineError } from '../../shared/errors.js';
import { areLike } from '../../shared/json-likeness.js';
import { type ScoresExample, scoresExampleOf } from '../../shared/manifest/example.js';
import { ownTensors } from '../../shared/manifest/heads.js';
import { scoresOf } from '../../shared/manifest/manifest.js';
import { scoresClasses } from '../../shared/manifest/output.js';
import { makeLogger } from '../../shared/process/log.js';
import { filesOf } from '../../shared/registry/files.js';
import type { Model } from '../../shared/registry/models.js';
import { shown } from '../../shared/shown.js';
import { showValue } from '../../shared/tensors/network.js';
import { mapScores } from '../../shared/tensors/scores.js';
import { declareNetwork } from '../../worker/batch/network/declared.js';
import { openScorer, type Scorer, type ScorerItem } from '../../worker/batch/scorer.js';
import { verifyFiles } from '../../worker/files/verification.js';
import { makeRehearse } from '../../worker/quarantine/rehearsal.js';
import { wrongFile } from '../faults.js';
import { checkBatchMates } from './batch-mates.js';
import { checkTensorsExample } from './check-tensors.js';
import { costOfOne } from './cost-of-one.js';
import { endIfHung } from './hung.js';
import { prepareExample } from './inputs.js';
import { checkLongestText } from './longest-text.js';

/**
 * Says a line for each step.
 * @throws ScorelineError of the first step that fails
 */
export async function checkModel(model: Model, say: (line: string) => void): Promise<void> {
  const { example, network, output } = model.manifest;
  const scores = scoresExampleOf(model.manifest);
  say(`${model.name}@${model.version}`);
  const classes = scoresClasses(output) ? `${model.labels.length} classes` : output.kind;
  const further = model.heads.map(({ name }) => name).join(', ');
  say(`  manifest   valid, ${classes}${further && `; outputs: ${further}`}`);

  await verifyFiles(model);
  for (const { file, bytes } of filesOf(model)) {
    say(`  file       ${file}: ${bytes} bytes, SHA-256 matches`);
  }

  const top = model.labels.length > 0 || model.heads.length > 0 ? 1 : undefined;
  const item = scores && { inputs: await prepareExample(model, scores), top };
  const log = makeLogger({ role: 'check', level: 'silent' });
  const scorer = await openScorer(model, log, {
    rehearse: makeRehearse(),
    onLost: endIfHung(model.name, model.manifest.engine),
    ...(item && { sample: item.inputs }),
  });
  try {
    say(
      scorer.isWarm
        ? '  shapes     inputs and outputs fit, at the smallest and the largest batch'
        : '  shapes     not tried, as the warning below says',
    );
    say(
      network
        ? '  network    as the manifest declares it'
        : `  network    not declared; for the Open Inference Protocol, add this line to the manifest:\n${declareNetwork(scorer.values)}`,
    );
    // What it does not survive in a process of its own would hang or end this one.
    if (scorer.isWarm) {
      await checkBatchMates(model, scorer);
      const longest = await checkLongestText(model, scorer, { top });
      if (longest !== undefined) say(`  tokens     ${longest}`);
      const cost = await costOfOne(model, scorer);
      if (cost !== undefined) say(`  batch      ${cost}`);
    }
    if (scorer.warning !== undefined) say(`  warning    ${scorer.warning}`);
    if (item) say(`  example    ${await checkExample(model, scorer, { item, ...scores })}`);
    else if (example) say(`  example    ${await checkTensorsExample(model, scorer)}`);
    else say('  example    none in the manifest, so no answer was compared');
  } finally {
    await scorer.close();
  }
}

/** Compares the answer to the example with the expected one, and describes it. */
async function checkExample(
  model: Model,
  scorer: Scorer,
  { item, expected }: { item: ScorerItem; expected: ScoresExample['expected'] },
): Promise<string> {
  const [result] = (await scorer.score([item])).results;
  if (!result) throw new Error('No result. This is a bug.');
  if ('error' in result) {
    throw new ScorelineError(result.error.code, `${model.name}: example: ${result.error.detail}`);
  }
  if (expected.value !== undefined) {
    return compareValue(model, readValue(result.outputs), { ...expected, value: expected.value });
  }
  if (expected.embedding !== undefined) {
    return compareNumbers(model, readEmbedding(result.outputs), {
      numbers: expected.embedding,
      tolerance: expected.tolerance,
    });
  }
  if (model.manifest.output.kind === 'json') {
    return compareJson(model, readJson(ownTensors(result.outputs)), expected);
  }
  if (!scoresClasses(model.manifest.output)) {
    return `answered with ${ownTensors(result.outputs).map(showValue).join(', ')}`;
  }
  const [best] = mapScores(result.outputs, (index, score) => ({ index, score }));
  const got = best
    ? `${JSON.stringify(model.labels[best.index]?.text)} at ${best.score}`
    : 'no label with the score of output.threshold';
  const { label, score, tolerance } = expected;
  const isRight = best !== undefined && model.labels[best.index]?.text === label;
  const isNear = Math.abs((best?.score ?? 0) - (score ?? best?.score ?? 0)) <= tolerance;
  if (isRight && isNear) return `${got}, as expected`;
  const at = expected.score === undefined ? '' : ` at ${score} ± ${tolerance}`;
  const isLabel = model.labels.some(({ text }) => text === label);
  const remark = isLabel
    ? ''
    : `, which is not in ${scoresOf(model.manifest).labels ?? 'the numbers of the classes'}`;
  throw wrongFile(
    `${model.name}: example: expected ${JSON.stringify(label)}${at}${remark}; got ${got}`,
  );
}

/** @param got JSON */
function compareJson(
  { name }: Model,
  got: string,
  { json, tolerance }: Pick<ScoresExample['expected'], 'json' | 'tolerance'>,
): string {
  if (json === undefined) return `answered with ${shown(JSON.parse(got))}`;
  const areNear = (one: number, other: number) => Math.abs(one - other) <= tolerance;
  if (areLike(json, JSON.parse(got), areNear)) return `${shown(json)}, as expected`;
  throw wrongFile(
    `${name}: example: expected ${JSON.stringify(json)}, numbers ± ${tolerance}; got ${got}`,
  );
}

function compareNumbers(
  { name }: Model,
  got: Float32Array,
  { numbers, tolerance }: { numbers: readonly number[]; tolerance: number },
): string {
  const numbersShown = `[${[...got.subarray(0, numbers.length)].map((number) => number.toPrecision(4)).join(', ')}, …]`;
  if (numbers.every((number, at) => Math.abs((got[at] as number) - number) <= tolerance)) {
    return `${numbersShown}, as expected`;
  }
  throw wrongFile(
    `${name}: example: expected [${numbers.join(', ')}, …] ± ${tolerance}; got ${numbersShown}`,
  );
}

function compareValue(
  { name }: Model,
  got: number,
  { value, tolerance }: { value: number; tolerance: number },
): string {
  if (Math.abs(got - value) <= tolerance) return `${got}, as expected`;
  throw wrongFile(`${name}: example: expected ${value} ± ${tolerance}; got ${got}`);
}
