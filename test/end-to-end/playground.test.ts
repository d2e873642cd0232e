// The page at `/` in a real browser, against a local run with API keys.

import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { findFaults, openBrowser, whyNoBrowser } from '../browser.js';
import { ask, root, waitUntil } from '../harness.js';
import { hasPython } from '../python.js';
import { makeFolder } from '../unit/sample-model.js';
import { openPlaygroundScene, type PlaygroundScene } from './playground-scene.js';

const desk = { width: 1280, height: 900 };
const phone = { width: 390, height: 844 };
const programs: Readonly<Record<string, string>> = {
  ...{ curl: 'sh', Python: 'python3', JavaScript: process.execPath },
};
const photographs = path.join(root, 'test/photographs');

describe.skipIf(whyNoBrowser !== undefined)(
  `the page${whyNoBrowser ? ` (${whyNoBrowser})` : ''}`,
  () => {
    let scene: PlaygroundScene;
    let browser: Browser;
    let contexts: BrowserContext[] = [];
    /** What the pages complained of in the console. */
    let complaints: string[] = [];

    beforeAll(async () => {
      [scene, browser] = await Promise.all([openPlaygroundScene(), openBrowser()]);
    });
    afterAll(async () => {
      await browser?.close();
      await scene?.close();
    });
    afterEach(async () => {
      await Promise.all(contexts.map((context) => context.close()));
      contexts = [];
      complaints = [];
    });

    /** Opens the page as somebody who has been there before, with a key. */
    async function open(
      fragment = '',
      {
        url = scene.url,
        hasKey = true,
        isNew = false,
        ...options
      }: {
        url?: string;
        hasKey?: boolean;
        isNew?: boolean;
        viewport?: typeof desk;
        colorScheme?: 'light' | 'dark';
      } = {},
    ): Promise<Page> {
      const context = await browser.newContext({
        viewport: desk,
        reducedMotion: 'reduce',
        ...options,
      });
      contexts.push(context);
      context.setDefaultTimeout(90_000);
      await context.addInitScript(`
      if (sessionStorage.getItem('scoreline.key') === null && ${hasKey}) {
        sessionStorage.setItem('scoreline.key', '${scene.key}');
      }
      if (${!isNew}) localStorage.setItem('scoreline.help', 'closed');
    `);
      const page = await context.newPage();
      page.on('console', (message) => {
        if (message.type() === 'error') complaints.push(message.text());
      });
      page.on('pageerror', ({ message }) => complaints.push(message));
      await page.goto(`${url}${fragment}`);
      return page;
    }

    test('is one answer of under 60 kB, and then asks for the models only', async () => {
      const asked: string[] = [];
      const context = await browser.newContext({ viewport: desk });
      contexts.push(context);
      const page = await context.newPage();
      page.on('request', (request) => asked.push(new URL(request.url()).pathname));
      const response = await page.goto(scene.url);
      await page.getByLabel('Key or access token').waitFor();
      expect(asked).toEqual(['/', '/v1/models']);
      const sizes = await response?.request().sizes();
      expect(sizes?.responseBodySize).toBeLessThan(60_000);
      expect(sizes?.responseHeadersSize).toBeLessThan(4000);
      expect(response?.headers()['content-security-policy']).not.toContain('unsafe');
    });

    test('asks for the key, says what is wrong with one, and keeps it until the tab is closed', async () => {
      const page = await open('', { hasKey: false });
      const field = page.getByLabel('Key or access token');
      await field.fill('with blanks inside');
      await page.getByRole('button', { name: 'Use this key' }).click();
      await page.getByText('Expected an API key or an access token').waitFor();
      await field.fill('scl_wrong');
      await page.getByRole('button', { name: 'Use this key' }).click();
      await page.getByText('one that is cut off or mistyped').first().waitFor();
      await field.fill(scene.key);
      await page.getByRole('button', { name: 'Use this key' }).click();
      await page.getByRole('heading', { name: 'faq-matcher' }).waitFor();
      await page.reload();
      await page.getByRole('heading', { name: 'faq-matcher' }).waitFor();
      expect(await page.evaluate('JSON.stringify(localStorage)')).not.toContain('scl_');
      await page.getByRole('button', { name: 'Key', exact: true }).click();
      await page.getByRole('button', { name: 'Forget the key' }).click();
      await field.waitFor();
    });

    test('answers a question with one click, with its time and the call as code', async () => {
      const page = await open();
      await page.getByRole('button', { name: /^How can I make a full copy/ }).click();
      await page
        .getByText('How do I make a real deep copy of an object?', { exact: true })
        .waitFor();
      expect(await page.locator('.ranked .score').first().textContent()).toMatch(/^99\.\d %$/);
      expect(await page.locator('.prose code').first().textContent()).toBe('structuredClone(obj)');
      expect(await page.locator('.timing-bar span').count()).toBe(4);
      expect(await page.locator('.timing h2').textContent()).toMatch(
        /^Answered in .*, alone in its batch$/,
      );
      expect(await page.locator('.ids code').first().textContent()).toMatch(/^[0-9a-f]{32}$/);
      expect(complaints).toEqual([]);
    });

    test('shows the answer to what was typed last, whichever request is answered last', async () => {
      const page = await open();
      let release = () => {};
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      let answered = 0;
      await page.route('**/score', async (route) => {
        const isFirst = route.request().postData()?.includes('first');
        const response = await route.fetch().catch(() => undefined);
        if (isFirst) await held;
        if (response) await route.fulfill({ response }).catch(() => {});
        answered += 1;
      });
      const field = page.getByLabel('Your question');
      await field.pressSequentially('the first element of an array');
      await page.locator('.answer [aria-busy]').waitFor({ state: 'attached' });
      await field.fill('0.1 + 0.2 is not 0.3');
      const best = page.locator('.ranked .question').first();
      await best.filter({ hasText: '0.1 + 0.2' }).waitFor();
      const shown = await best.textContent();
      release();
      await waitUntil('both are answered', () => answered >= 2);
      expect(await best.textContent()).toBe(shown);
    });

    test('shows the markup of an answer as text and code, and runs nothing of it', async () => {
      const page = await open();
      const answer =
        '<p>Use <code>a &lt; b</code></p><pre><code>x();</code></pre><script>ran = true</script><img src="x" onerror="ran = true"><a href="javascript:ran = true">here</a> <a href="https://example.com/">there</a>';
      const prediction = { label: '<b>bold</b>', score: 0.5, answer };
      const traceId = 'ab'.repeat(16);
      const timing = { queueMs: 1, batchMs: 1, computeMs: 1, batchSize: 2 };
      await page.route('**/score', (route) =>
        route.fulfill({
          headers: { traceresponse: `00-${traceId}-${'cd'.repeat(8)}-01` },
          json: { model: 'm', version: '1', id: 'i', predictions: [prediction], timing },
        }),
      );
      await page.getByRole('button', { name: 'Cannot read properties of undefined' }).click();
      await page.getByText('<b>bold</b>', { exact: true }).waitFor();
      const prose = await page.locator('.prose').innerHTML();
      expect(prose).toBe(
        '<p>Use <code>a &lt; b</code></p><pre><code>x();</code></pre>&lt;script&gt;ran = true&lt;/script&gt;&lt;img src="x" onerror="ran = true"&gt;<span>here</span> <a href="https://example.com/" rel="noreferrer noopener" target="_blank">there</a>',
      );
      await page.getByText('in a batch of 2').waitFor();
      const trace = page.getByRole('link', { name: traceId });
      expect(await trace.getAttribute('href')).toBe(`https://traces.example.com/${traceId}`);
      expect(await page.evaluate('typeof ran')).toBe('undefined');
    });

    test('shows further answers, and says when there is none', async () => {
      const page = await open('#/try/breast-cancer');
      const timing = { queueMs: 1, batchMs: 1, computeMs: 1, batchSize: 1 };
      const mask = { name: 'mask', datatype: 'FP32', shape: [1, 2], data: [0.25, 0.5] };
      const outputs = { age: [{ value: 41.5 }], mask: [mask] };
      await page.route('**/score', (route) =>
        route.fulfill({
          json: { model: 'm', version: '1', id: 'i', predictions: [], outputs, timing },
        }),
      );
      await page.getByRole('button', { name: 'Score the example' }).click();
      await page.getByText('No class has a score that is high enough.').first().waitFor();
      await page.locator('.figure', { hasText: '41.5' }).waitFor();
      await page.getByLabel('Elements of mask').getByText('0.25, 0.5').waitFor();
    });

    test('says when no question fits', async () => {
      const page = await open();
      await page.getByRole('button', { name: 'Как скопировать массив?' }).click();
      await page.getByRole('heading', { name: 'None of these fits' }).waitFor();
      expect(await page.locator('details[open]').count()).toBe(0);
    });

    test('shows several pictures at once with what the network sees, and explains a wrong file', async () => {
      const page = await open('#/try/efficientnet-lite0');
      await page.getByRole('button', { name: 'A cup of espresso' }).click();
      await cardOf(page, 'coffee.jpg').getByText('espresso').first().waitFor();
      const files = ['siamese-cat.jpg', 'egyptian-cat.jpg'].map((name) =>
        path.join(photographs, name),
      );
      await page.locator('input[type=file]').setInputFiles(files);
      await cardOf(page, 'siamese-cat.jpg').getByText('Siamese cat').first().waitFor();
      await cardOf(page, 'egyptian-cat.jpg').getByText('Egyptian cat').first().waitFor();
      const crop = cardOf(page, 'siamese-cat.jpg').getByRole('img', { name: /224 × 224 pixels/ });
      expect(await crop.getAttribute('width')).toBe('224');
      await page.locator('input[type=file]').setInputFiles({
        ...{ name: 'broken.png', mimeType: 'image/png', buffer: Buffer.from('not a picture') },
      });
      const broken = cardOf(page, 'broken.png').getByRole('alert');
      await broken.getByText('Expected').waitFor();
      expect(await broken.textContent()).toContain('image_unreadable');
    });

    test('takes pictures that are dropped and pasted', async () => {
      const page = await open('#/try/efficientnet-lite0');
      await page.locator('.drop').waitFor();
      const base64 = readFileSync(path.join(photographs, 'coffee.png'), 'base64');
      for (const type of ['drop', 'paste']) {
        await page.evaluate(`
        const bytes = Uint8Array.from(atob('${base64}'), (unit) => unit.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], '${type}.png', { type: 'image/png' }));
        const event =
          '${type}' === 'drop'
            ? new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })
            : new ClipboardEvent('paste', { clipboardData: data, bubbles: true });
        document.querySelector('.drop').dispatchEvent(event);
      `);
        await cardOf(page, `${type}.png`).getByText('espresso').first().waitFor();
      }
    });

    test('says when what is dropped has no file', async () => {
      const page = await open('#/try/efficientnet-lite0');
      await page.locator('.drop').waitFor();
      await page.evaluate(`
        const data = new DataTransfer();
        data.setData('text/plain', 'https://example.com/cat.jpg');
        const drop = new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true });
        document.querySelector('.drop').dispatchEvent(drop);
      `);
      await page.getByRole('alert').getByText('Expected the file of a picture').waitFor();
    });

    test('says what the service says of itself, if it refuses to list its models', async () => {
      const page = await open();
      await page.getByRole('heading', { name: 'faq-matcher' }).waitFor();
      const problem = { status: 429, code: 'rate_limited', title: 'x', detail: 'Ask less often.' };
      await page.route('**/v1/models', (route) => route.fulfill({ status: 429, json: problem }));
      await page.getByText('Ask less often. This page asks again').waitFor();
      await page.route('**/v1/models', (route) => route.abort());
      await page.getByText('The service does not answer at the moment.').waitFor();
    });

    test('takes a photograph with the camera', async () => {
      const page = await open('#/try/efficientnet-lite0');
      await page.getByRole('button', { name: 'Take a photograph' }).click();
      await page.getByRole('button', { name: 'Take it' }).click();
      await cardOf(page, 'photograph.jpg').locator('.classes').waitFor();
      await page.getByRole('button', { name: 'Take a photograph' }).click();
      await page.keyboard.press('Escape');
      await waitUntil('it is closed', async () => (await page.locator('dialog').count()) === 0);
    });

    test('checks a row while one types, and scores it as soon as it is right', async () => {
      const page = await open('#/try/breast-cancer');
      const field = page.getByLabel('mean radius');
      await field.fill('1,5');
      await page.getByText('Expected a number, such as 3.5; got "1,5"').waitFor();
      expect(await field.getAttribute('aria-invalid')).toBe('true');
      await field.fill('14.05');
      await page.locator('.classes').getByText('benign').waitFor();
    });

    test('checks tensors while one types, and sends them', async () => {
      const page = await open('#/try/adder');
      const elements = page.getByLabel('Elements, in JSON').first();
      await elements.fill('[1, 2]');
      await page.getByText('Expected 3 elements, as the shape [1, 3] says; got 2').waitFor();
      await elements.fill('[[1, 2, 4]]');
      await page.getByRole('button', { name: 'Send', exact: true }).click();
      await page.getByLabel('Elements of sum').getByText('11, 22, 34').waitFor();
      expect(await page.locator('.timing-bar span').count()).toBe(4);
    });

    test.skipIf(!hasPython)(
      'checks JSON while one types, and shows what a program answers',
      async () => {
        const page = await open('#/try/echo');
        const field = page.getByLabel('JSON', { exact: true });
        await field.fill('{"a": 1');
        await page.getByText('Expected JSON; ').waitFor();
        expect(await field.getAttribute('aria-invalid')).toBe('true');
        await field.fill('{"b": ["é", null], "c": [1.0, 9007199254740993.0]}');
        await page.getByRole('button', { name: 'Send', exact: true }).click();
        const shown = page.getByLabel('The answer as JSON');
        await shown.waitFor();
        // What was typed came as it was typed.
        expect(JSON.parse((await shown.textContent()) ?? '')).toMatchObject({
          got: { b: ['é', null] },
          seen: "{'b': ['é', None], 'c': [1.0, 9007199254740992.0]}",
        });
      },
    );

    test.skipIf(!hasPython)('sends a file that is chosen', async () => {
      const page = await open('#/try/length');
      await page.getByLabel('Choose a file').setInputFiles(path.join(photographs, 'coffee.png'));
      const shown = page.getByLabel('The answer as JSON');
      await shown.waitFor();
      const { length } = readFileSync(path.join(photographs, 'coffee.png'));
      expect(JSON.parse((await shown.textContent()) ?? '')).toEqual({ got: length });
    });

    test('shows numbers as the service wrote them', async () => {
      const page = await open('#/try/adder');
      const elements = page.getByLabel('Elements, in JSON');
      await elements.first().fill('[[16777213, 0.1, 0]]');
      await elements.last().fill('[[0, 0, 0]]');
      await page.getByRole('button', { name: 'Send', exact: true }).click();
      const shown = page.getByLabel('Elements of negated');
      await shown.waitFor();
      expect(await shown.textContent()).toBe('-16777213, -0.10000000149011612, -0');
    });

    test('shows whole numbers beyond 2 ** 53 as the service wrote them, now and as a job', async () => {
      const page = await open('#/try/parcels');
      await page.getByLabel('weight').fill('9007199254740991');
      const product = page.getByLabel('Elements of product').getByText('9016206453995731991');
      await product.waitFor();
      await page.getByText('Answer later, as a job').click();
      await page.getByRole('button', { name: 'Score', exact: true }).click();
      await page.getByText('The job is succeeded.').waitFor();
      await product.waitFor();
    });

    test('sends a row as it was typed and chosen', async () => {
      const page = await open('#/try/parcels');
      const rowOf = async (act: () => Promise<unknown>) => {
        const asked = page.waitForRequest((request) => request.url().endsWith('/score'));
        await act();
        return (await asked).postDataJSON().input;
      };
      const [kind, note] = [
        page.getByLabel('kind', { exact: true }),
        page.getByLabel('note', { exact: true }),
      ];
      const score = () => page.getByRole('button', { name: 'Score', exact: true }).click();
      await page.getByLabel('street').fill(' Main\nStreet ');
      await page.getByLabel('weight').fill(' 7 ');
      expect(await rowOf(score)).toEqual({
        ...{ kind: null, note: null, street: ' Main\nStreet ', weight: 7 },
      });
      await kind.selectOption({ label: '" a"' });
      await note.fill('  x ');
      expect(await rowOf(score)).toMatchObject({ kind: ' a', note: '  x ' });
      await page.getByLabel('Elements of note_out').getByText('"  x "').waitFor();
      await kind.selectOption({ label: '""' });
      await note.fill('');
      expect(await rowOf(score)).toMatchObject({ kind: '', note: '' });
      await page.getByRole('checkbox', { name: 'note is missing' }).check();
      expect(await rowOf(score)).toMatchObject({ note: null });
      await note.fill('y');
      expect(await rowOf(score)).toMatchObject({ note: 'y' });
    });

    test('takes a text that is too long whole, and says so in place of sending it', async () => {
      const page = await open();
      const field = page.getByLabel('Your question');
      await page.getByRole('button', { name: /^How can I make a full copy/ }).click();
      await page.locator('.ranked').first().waitFor();
      let asked = 0;
      page.on('request', (request) => {
        if (request.url().endsWith('/score')) asked += 1;
      });
      await field.fill('');
      await field.focus();
      await page.keyboard.insertText('ab '.repeat(7000));
      expect(await field.inputValue()).toHaveLength(21_000);
      await page.getByText('21,000 characters, of which the model takes 20,000.').waitFor();
      expect(await field.getAttribute('aria-invalid')).toBe('true');
      await page.getByText('before it was changed').waitFor();
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: 'Ask' }).click();
      await field.fill('push an array into another');
      await page.locator('.ranked .question').filter({ hasText: 'array' }).first().waitFor();
      await waitUntil('the mark is gone', async () => !(await isFormer(page)));
      expect(asked).toBe(1);
    });

    test('marks an answer as soon as the form has something else that is not asked', async () => {
      const page = await open();
      const field = page.getByLabel('Your question');
      await field.fill('push an array into another');
      await page.locator('.ranked').first().waitFor();
      expect(await isFormer(page)).toBe(false);
      await field.fill('');
      await waitUntil('an emptied question is no question', () => isFormer(page));
      await page.goto(`${scene.url}#/try/parcels`);
      await page.getByLabel('weight').fill('1');
      await page.getByLabel('Elements of product').waitFor();
      await page.getByLabel('weight').fill('1,5');
      await waitUntil('a faulty row is not asked', () => isFormer(page));
      await page.getByLabel('weight').fill('2');
      await page.getByLabel('Elements of product').getByText('2002').waitFor();
      expect(await isFormer(page)).toBe(false);
      await page.getByText('Answer later, as a job').click();
      await page.getByLabel('weight').fill('3');
      await waitUntil('a job is not made as one types', () => isFormer(page));
      await page.getByLabel('weight').fill('4');
      await page.getByLabel('weight').press('Enter');
      await page.getByLabel('Elements of product').getByText('4004').waitFor();
      // Longer than a pause in typing.
      await page.waitForTimeout(500);
      expect(await isFormer(page)).toBe(false);
      await page.goto(`${scene.url}#/try/adder`);
      await page.getByRole('button', { name: 'Send', exact: true }).click();
      await page.getByLabel('Elements of sum').waitFor();
      await page.getByLabel('Shape').first().fill('1, 2');
      await waitUntil('tensors are sent by the button only', () => isFormer(page));
    });

    test('shows a job at full strength when it takes the place of a request', async () => {
      const page = await open();
      await page.route('**/score', () => {}, { times: 1 });
      await page.getByLabel('Your question').fill('push an array into another');
      await page.locator('.answer [aria-busy]').waitFor({ state: 'attached' });
      await page.getByText('Answer later, as a job').click();
      await page.getByRole('button', { name: 'Ask' }).click();
      await page.getByText('The job is succeeded.').waitFor();
      expect(await page.locator('.answer [aria-busy]').count()).toBe(0);
    });

    test('says when a sample cannot be fetched, and goes on', async () => {
      const page = await open('#/try/efficientnet-lite0');
      const sample = page.getByRole('button', { name: 'A cup of espresso' });
      await page.route('**/playground/coffee.jpg', (route) => route.abort());
      await sample.click();
      await page.getByRole('alert').getByText('The service cannot be reached').waitFor();
      await page.unroute('**/playground/coffee.jpg');
      await sample.click();
      await cardOf(page, 'coffee.jpg').getByText('espresso').first().waitFor();
      expect(await page.getByRole('alert').count()).toBe(0);
    });

    test('shows scores that are no shares as numbers, and each in full on demand', async () => {
      const page = await open('#/try/breast-cancer');
      const timing = { queueMs: 1, batchMs: 1, computeMs: 1, batchSize: 1 };
      const answerWith = async (scores: readonly number[]) => {
        const predictions = scores.map((score, at) => ({ label: `class ${at}`, score }));
        await page.unroute('**/score');
        await page.route('**/score', (route) =>
          route.fulfill({ json: { model: 'm', version: '1', id: 'i', predictions, timing } }),
        );
        await page.getByRole('button', { name: 'Score the example' }).click();
        await page.locator(`.score[title="${scores[0]}"]`).waitFor();
        return page.locator('.classes .score').allTextContents();
      };
      expect(await answerWith([0.99996, 0.00004])).toEqual(['> 99.9 %', '< 0.1 %']);
      expect(await answerWith([7.25, 0.5, -3])).toEqual(['7.25', '0.5', '-3']);
      expect(await page.locator('.bar').count()).toBe(0);
    });

    test('shows nothing of another model in the live view', async () => {
      const page = await open('#/live');
      const image = page.getByRole('img', { name: /^Workers\. Now live: / });
      await page.getByRole('img', { name: /^Workers\. Now live: \d/ }).waitFor();
      await page.route('**/v1/live?*', async (route) => {
        const response = await route.fetch();
        const live = await response.json();
        const models = live.models.filter(({ model }: { model: string }) => model !== 'adder');
        await route.fulfill({ response, json: { ...live, models } });
      });
      await page.getByLabel('Model', { exact: true }).selectOption({ label: 'adder, version 1' });
      await waitUntil('the former figures are gone', async () =>
        /live: –/.test(String(await image.getAttribute('aria-label'))),
      );
    });

    test('shows code that works as it is pasted', async () => {
      const page = await open();
      await page.getByLabel('Your question').fill(`what's "this" in \\ a $function? \`x\` 😀`);
      await page.getByRole('button', { name: 'Ask' }).click();
      await runSnippets(page.locator('.call'), (answer) => expect(answer.known).toBe(true));
      await page.goto(`${scene.url}#/try/efficientnet-lite0`);
      await page.getByRole('button', { name: 'A cup of espresso' }).click();
      await page.locator('.more summary').click();
      await runSnippets(page.locator('.picture'), ({ predictions }) =>
        expect(predictions[0].label).toBe('espresso'),
      );
    });

    test('shows code that works with a file of any name', async () => {
      const page = await open('#/try/efficientnet-lite0');
      const name = `it's "my" $HOME \\ 😀 café.png`;
      const folder = makeFolder({});
      cpSync(path.join(photographs, 'coffee.png'), path.join(folder, name));
      await page.locator('input[type=file]').setInputFiles(path.join(folder, name));
      await page.locator('.more summary').click();
      const check = ({ predictions }: { predictions: { label: string }[] }) =>
        expect(predictions[0]?.label).toBe('espresso');
      await runSnippets(page.locator('.picture'), check, folder);
    });

    test('shows code that sends and prints whole numbers beyond 2 ** 53', async () => {
      const page = await open('#/try/parcels');
      await page.getByLabel('weight').fill('9007199254740991');
      await page.getByLabel('Elements of product').waitFor();
      const place = page.locator('.call');
      for (const language of ['curl', 'Python', 'JavaScript']) {
        expect(await runSnippet(place, language)).toContain('9016206453995731991');
      }
    });

    async function runSnippets(
      place: Locator,
      // biome-ignore lint/suspicious/noExplicitAny: an answer of any form.
      check: (answer: any) => void,
      folder = root,
    ): Promise<void> {
      for (const language of Object.keys(programs)) {
        const printed = await runSnippet(place, language, folder);
        check(language === 'Python' ? readPython(printed) : JSON.parse(printed));
      }
    }

    /** Runs the code of a language in a folder, and returns what it prints. */
    async function runSnippet(place: Locator, language: string, folder = root): Promise<string> {
      const program = programs[language] ?? '';
      await place.getByRole('tab', { name: language }).click();
      const code = await place.locator('.code:not([hidden]) code').textContent();
      const flag = program === process.execPath ? '-e' : '-c';
      const env = { ...process.env, KEY: scene.key };
      return execFileSync(program, [flag, String(code)], { env, cwd: folder }).toString();
    }

    test('follows a job to its result, and cancels one that waits', async () => {
      const page = await open();
      await page.getByText('Answer later, as a job').click();
      await page.getByRole('button', { name: /^How can I make a full copy/ }).click();
      await page
        .getByText('How do I make a real deep copy of an object?', { exact: true })
        .waitFor();
      expect(await page.getByRole('region', { name: 'Job' }).textContent()).toContain(
        'The job is succeeded.',
      );
      const workers = await workersOf(scene);
      for (const pid of workers) process.kill(pid, 'SIGSTOP');
      try {
        await page.getByRole('button', { name: 'Ask' }).click();
        await page.getByRole('button', { name: 'Cancel' }).click();
        await page.getByText('The job is cancelled.').waitFor();
      } finally {
        for (const pid of workers) process.kill(pid, 'SIGCONT');
      }
    });

    test('shows that a burst loses nothing when a worker is killed in the middle of it', async () => {
      const page = await open('#/live');
      await page
        .getByLabel('Model', { exact: true })
        .selectOption({ label: 'faq-matcher, version 1' });
      await page.getByLabel('How many').selectOption('1000');
      await page.getByRole('button', { name: 'Send the burst' }).click();
      const kill = page.getByRole('button', { name: /^Kill worker/ });
      await kill.first().click();
      const outcome = page.locator('.burst-outcome:not(:empty)');
      await outcome.waitFor();
      expect(await outcome.textContent()).toMatch(/: 1,000 answered\. None was lost\.$/);
      await page.getByText(/^The worker \d+ was killed\./).waitFor();
      const throughput = page.getByRole('img', { name: /^Throughput\./ });
      await waitUntil('the charts have moved', async () => {
        const said = (await throughput.getAttribute('aria-label')) ?? '';
        return Number(/At most ([\d.,]+)\.$/.exec(said)?.[1]?.replaceAll(',', '') ?? 0) > 1;
      });
      await waitUntil('there is another worker', async () => (await kill.count()) === 2);
    });

    test('shows refusals of those who do not wait', async () => {
      const page = await open('#/live');
      await page
        .getByLabel('Model', { exact: true })
        .selectOption({ label: 'faq-matcher, version 1' });
      await page.getByLabel('How many').selectOption('5000');
      await page.getByLabel('They').selectOption('impatient');
      await page.getByRole('button', { name: 'Send the burst' }).click();
      const outcome = page.getByText(
        /^5,000 requests to faq-matcher, version 1, in .*None was lost\.$/,
      );
      await outcome.waitFor();
      expect(await outcome.textContent()).toMatch(/\d answered, [\d,]+ refused at once/);
    });

    test('shows which requests each version gets, and why one gets none', async () => {
      const page = await open('#/models');
      const rowOf = (version: string) =>
        page.getByRole('row', { name: new RegExp(`^shared version ${version} `) });
      const traffic = (version: string) => rowOf(version).locator('[data-column=Requests]');
      await traffic('1').getByText('latest, 90.0 %').waitFor();
      expect(await traffic('1').textContent()).toContain('shared by x-user-id');
      expect(await traffic('2').textContent()).toMatch(/^10\.0 %/);
      expect(await traffic('3').textContent()).toMatch(
        /^shadow of 1, 2: copies of 50 %\d+ same, \d+ different, \d+ failed$/,
      );
      expect(await traffic('4').textContent()).toBe('none');
      await rowOf('4').getByText('cannot be loaded').waitFor();
      await rowOf('4').getByText('A model file is wrong, or another one than').waitFor();
      await rowOf('4').getByRole('link', { name: 'model_file_wrong' }).click();
      await page.waitForURL(`${scene.url}docs/errors#model_file_wrong`);
      await page.goto(`${scene.url}#/try/shared/2`);
      await page.locator('.model-head').getByText('requests: 10.0 %').waitFor();
    });

    test('explains a service that cannot be reached', async () => {
      const page = await open();
      await page.getByRole('heading', { name: 'faq-matcher' }).waitFor();
      await page.route('**/score', (route) => route.abort());
      await page.getByRole('button', { name: 'Cannot read properties of undefined' }).click();
      const alert = page.getByRole('alert');
      await alert.getByText('The service cannot be reached').waitFor();
      expect(await alert.textContent()).toContain('Does the service run?');
    });

    test('can be used with the keyboard only', async () => {
      const page = await open();
      await page.getByRole('heading', { name: 'faq-matcher' }).waitFor();
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      const reach = async (wanted: Locator) => {
        for (let presses = 0; presses < 20; presses += 1) {
          if ((await wanted.and(page.locator(':focus')).count()) === 1) return;
          await page.keyboard.press('Tab');
        }
        throw new Error('It is not reached.');
      };
      await reach(page.getByLabel('Your question'));
      await page.keyboard.type('push an array into another');
      await page.keyboard.press('Enter');
      await page.locator('.ranked .question').nth(1).waitFor();
      const second = page.locator('summary').nth(1);
      await reach(second);
      await page.keyboard.press('Enter');
      expect(await page.locator('details').nth(1).getAttribute('open')).not.toBeNull();
      await reach(page.getByRole('tab', { name: 'curl' }));
      await page.keyboard.press('ArrowRight');
      expect(await page.getByRole('tab', { name: 'Python' }).getAttribute('aria-selected')).toBe(
        'true',
      );
    });

    test('shows the first steps once, and again on demand', async () => {
      const page = await open('', { isNew: true });
      const help = page.getByRole('heading', { name: 'What you are looking at' });
      await help.waitFor();
      await page.getByRole('link', { name: 'Show it a picture' }).click();
      await page.getByRole('heading', { name: 'efficientnet-lite0' }).waitFor();
      await page.getByRole('button', { name: 'Close' }).click();
      await page.getByRole('button', { name: 'Help' }).click();
      await help.waitFor();
    });

    test('fits a small phone: its links in one row, and Close beside its heading', async () => {
      const page = await open('', { isNew: true, viewport: { width: 320, height: 700 } });
      const close = page.getByRole('button', { name: 'Close' });
      const heading = page.getByRole('heading', { name: 'What you are looking at' });
      await close.waitFor();
      const [links, button, title] = await Promise.all([
        page.locator('.views a').evaluateAll((all) => all.map((each) => each.clientHeight)),
        close.boundingBox(),
        heading.boundingBox(),
      ]);
      expect(Math.max(...links)).toBeLessThan(45);
      expect(button?.y).toBeLessThan((title?.y ?? 0) + (title?.height ?? 0));
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(320);
    });

    test('works behind a prefix', async () => {
      const page = await open('', { url: scene.prefixed });
      await page.getByRole('button', { name: 'Cannot read properties of undefined' }).click();
      await page.locator('.ranked').first().waitFor();
      expect(await page.locator('.code').first().textContent()).toContain(scene.prefixed);
      const docs = await page.getByRole('link', { name: 'Docs', exact: true }).getAttribute('href');
      expect(new URL(String(docs), page.url()).href).toBe(`${scene.prefixed}docs`);
      await page.goto(`${scene.prefixed}#/try/efficientnet-lite0`);
      await page.getByRole('button', { name: 'A cup of espresso' }).click();
      await page.getByText('espresso').first().waitFor();
      await page.goto(`${scene.prefixed}#/live`);
      await page.getByRole('img', { name: /^Workers\. Now live: \d/ }).waitFor();
      expect(complaints).toEqual([]);
    });

    test.each([
      ['light', desk],
      ['dark', desk],
      ['light', phone],
    ] as const)(
      'has no fault of accessibility in %s at %o, and fits',
      async (colorScheme, viewport) => {
        const page = await open('', { isNew: true, colorScheme, viewport });
        const check = async (view: string) => {
          // What a narrow page may break, it breaks in these.
          if (viewport === desk || ['question', 'models', 'live'].includes(view)) {
            const colours = colorScheme === 'dark';
            expect([view, await findFaults(page, { colours })]).toEqual([view, []]);
          }
          const isWide = await page.evaluate('document.documentElement.scrollWidth > innerWidth');
          expect([view, isWide]).toEqual([view, false]);
        };
        await page.getByRole('button', { name: 'Как скопировать массив?' }).click();
        await page.getByRole('heading', { name: 'None of these fits' }).waitFor();
        await check('none fits');
        await page.getByRole('button', { name: 'Cannot read properties of undefined' }).click();
        await page.locator('details[open]').waitFor();
        await check('question');
        await page.goto(`${scene.url}#/try/efficientnet-lite0`);
        await page.getByRole('button', { name: 'A cup of espresso' }).click();
        await page.locator('.more summary').click();
        await check('picture');
        await page.goto(`${scene.url}#/try/breast-cancer`);
        await page.getByLabel('mean radius').fill('x');
        await page.getByText('Expected a number').waitFor();
        await check('row');
        await page.goto(`${scene.url}#/try/adder`);
        await page.getByRole('button', { name: 'Send the example' }).click();
        await page.getByLabel('Elements of sum').waitFor();
        await check('tensors');
        await page.goto(`${scene.url}#/models`);
        await page.getByRole('table').waitFor();
        await check('models');
        await page.goto(`${scene.url}#/live`);
        await page.getByRole('img', { name: /^Workers\. Now live: \d/ }).waitFor();
        await check('live');
        await page.getByRole('button', { name: 'Key', exact: true }).click();
        await page.getByLabel('Key or access token').waitFor();
        await check('key');
        const background = await page.evaluate(
          'getComputedStyle(document.documentElement).backgroundColor',
        );
        expect(background).toBe(colorScheme === 'dark' ? 'rgb(16, 19, 18)' : 'rgb(246, 247, 245)');
      },
    );
  },
);

function cardOf(page: Page, name: string): Locator {
  return page.getByRole('article', { name });
}

/** Whether the answer is marked as that of another input. */
function isFormer(page: Page): Promise<boolean> {
  return page.getByText('before it was changed').isVisible();
}

/** Python prints a dictionary. */
function readPython(printed: string): unknown {
  const program = 'import ast, json, sys; print(json.dumps(ast.literal_eval(sys.stdin.read())))';
  return JSON.parse(execFileSync('python3', ['-c', program], { input: printed }).toString());
}

async function workersOf({ url, key }: PlaygroundScene): Promise<number[]> {
  const { body } = await ask(`${url}v1/live`, { headers: { Authorization: `Bearer ${key}` } });
  return body.localWorkers.map(({ pid }: { pid: number }) => pid);
}
