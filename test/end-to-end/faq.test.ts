// Tests `npm run faq` as a command, and the FAQ that it makes as a service, with a small model of embeddings in
// place of models/minilm.

import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readFaq } from '../../faq/read.js';
import { type Ran, runCommand } from '../command.js';
import { addEmbeddingModel } from '../embedding-model.js';
import { openRedisForAll, post, type Service, startService } from '../harness.js';
import { writeFolder } from '../unit/sample-model.js';

const csv = `question,answer,paraphrases
red?,Roses are.,"red red
red red red"
blue?,"Violets, they say.",blue blue
`;
const folder = writeFolder({
  'shop.csv': `\ufeff${csv}`,
  'latin1.csv': Buffer.from('question,answer\nWie groß?,So.\nWarum?,Darum.\n', 'latin1'),
  'list.json': [
    { question: 'red?', answer: 'Roses.', paraphrases: ['red red'] },
    { question: 'blue?', answer: 'Violets.' },
  ],
  'wrong.json': [{ question: 'red?' }, { question: 7, answer: 'a' }],
  'page.md':
    '# Colours\n\n## red?\n\nRoses.\n\n```sh\n# no heading\n```\n\nAlso asked:\n\n- red red\n\n## blue?\n\nViolets.\n',
  'no-answer.csv': 'question,reply\na,b\nc,d\n',
  'faults.csv': 'question,answer\nred?,Roses.\n,Nobody.\nblue?,\nRed?,Again.\n',
  'one.csv': 'question,answer\nred?,Roses.\n',
  'quotes.csv': 'question,answer\n"red?,Roses.\nblue?,Violets.\n',
  'page.txt': 'red?',
});
const models = path.join(folder, 'models');

const faq = (...parameters: string[]) =>
  runCommand('faq', parameters, { cwd: folder, env: { MODELS_DIR: models } });

const redis = await openRedisForAll();
let service: Service;
let made: Ran;

beforeAll(async () => {
  addEmbeddingModel(models, 'minilm', { output: { pooling: 'none' }, batch: { max: 1 } });
  addEmbeddingModel(models, 'colours');
  made = await faq('shop.csv', '--name', 'shop', '--train', '--evaluate');
  service = await startService({
    redisUrl: redis.url,
    models: 'shop,colours',
    environment: { MODELS_DIR: models, SHUTDOWN_MS: '2000' },
  });
});

afterAll(async () => {
  await service?.close();
  rmSync(folder, { recursive: true, force: true });
});

const score = (model: string, body: unknown) =>
  post(`${service.url}/v1/models/${model}/score`, body);

describe('npm run faq', () => {
  test('makes a model that is checked, and says how good it is', () => {
    expect(made.err).not.toMatch(/expected/i);
    expect(made.code).toBe(0);
    expect(made.out).toContain('shop.csv: 2 questions, 3 paraphrases');
    expect(made.out).toMatch(/semantic +1\.000/);
    expect(made.out).toMatch(/with training +1\.000/);
    expect(made.out).toContain('/v1/models/shop/score');
  });

  test('makes an FAQ that answers, also beside longer questions in one request', async () => {
    const { status, body } = await score('shop', { input: 'blue blue' });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      known: true,
      predictions: [
        { label: '2', question: 'blue?', answer: 'Violets, they say.', questionId: 2, answerId: 2 },
        { label: '1', question: 'red?' },
      ],
    });
    const answers = await score('shop', { inputs: ['red red red', 'blue'] });
    const best = answers.body.results.map((answer: typeof body) => answer.predictions[0].question);
    expect(best).toEqual(['red?', 'blue?']);
  });

  test('makes an FAQ that says of other questions that it has none of them', async () => {
    const { body } = await score('shop', { input: 'slow green' });
    expect(body.known).toBe(false);
    expect(body.predictions[0].score).toBeLessThan(0.35);
  });

  test.each(['list.json', 'page.md'])('reads %s, too', async (file) => {
    const name = path.extname(file).slice(1);
    const { code, out, err } = await faq(file, '--name', name);
    expect(err).not.toMatch(/expected/i);
    expect(out).toContain(`${file}: 2 questions, 1 paraphrases`);
    expect(code).toBe(0);
  });

  test.each([
    ['no-answer.csv', 'line 1: expected a column "answer"; got "question", "reply"'],
    ['latin1.csv', 'line 2: expected UTF-8; got another encoding'],
    ['faults.csv', 'line 3: expected a question; got an empty one'],
    ['faults.csv', 'line 4: expected an answer to "blue?"; got an empty one'],
    ['faults.csv', 'line 5: expected each question and paraphrase once; got "Red?" again'],
    ['one.csv', 'expected two questions or more; got 1'],
    ['quotes.csv', 'expected CSV; Quote Not Closed'],
    ['wrong.json', 'entry 1, answer: expected'],
    ['wrong.json', 'entry 2, question: expected'],
    ['page.txt', 'expected a file that ends in .csv, .tsv, .json, .md, .markdown'],
    ['nowhere.csv', 'expected a file; there is none'],
  ])('refuses %s: %s', (file, reason) => {
    expect(() => readFaq(path.join(folder, file), () => {})).toThrow(`${file}: ${reason}`);
  });

  test('writes over an FAQ only if it is told to, and never over another model', async () => {
    const again = await faq('list.json', '--name', 'shop');
    expect(again.err).toContain('With --replace, it is written anew.');
    // A ranking that somebody has trained has the same files.
    const trained = path.join(models, 'trained');
    cpSync(path.join(models, 'shop'), trained, { recursive: true });
    const manifest = readFileSync(path.join(trained, 'model.yaml'), 'utf8').replace(/^#.*\n/, '');
    writeFileSync(path.join(trained, 'model.yaml'), manifest);
    for (const name of ['minilm', 'trained']) {
      const other = await faq('list.json', '--name', name, '--replace');
      expect(other.err).toContain('Choose another.');
    }
  });

  test('leaves what somebody else has put into the folder of an FAQ', async () => {
    const kept = path.join(models, 'json', 'list.json');
    cpSync(path.join(folder, 'list.json'), kept);
    const { code } = await faq(kept, '--name', 'json', '--replace');
    expect(code).toBe(0);
    expect(readFileSync(kept, 'utf8')).toContain('Violets.');
  });
});

describe('a model of embeddings', () => {
  test('answers with numbers, by each of the routes', async () => {
    const { status, body } = await score('colours', { input: 'green' });
    expect(status).toBe(200);
    expect(body.predictions).toEqual([{ embedding: [-1, 0] }]);
    const several = await score('colours', { inputs: ['red', 'blue blue blue'] });
    expect(
      several.body.results.map((answer: typeof body) => answer.predictions[0].embedding),
    ).toEqual([
      [1, 0],
      [0, 1],
    ]);
    const infer = await post(`${service.url}/v2/models/colours/infer`, {
      inputs: [{ name: 'text', datatype: 'BYTES', shape: [2], data: ['red', 'slow slow'] }],
    });
    expect(infer.body.outputs).toEqual([
      { name: 'embedding', datatype: 'FP32', shape: [2, 2], data: [1, 0, 0, -1] },
    ]);
  });

  test('has no best classes', async () => {
    const { status, body } = await score('colours', { input: 'red', top: 1 });
    expect(status).toBe(400);
    expect(body.detail).toBe('Expected no "top", since colours answers with an embedding; got 1.');
  });
});
