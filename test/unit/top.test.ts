import { describe, expect, test } from 'vitest';
import { parseMetrics } from '../../top/exposition.js';
import { History } from '../../top/history.js';
import type { Reading } from '../../top/service.js';
import { drawLines, findEvents } from '../../top/view.js';

const all = () => true;

/** What an API instance exports, whose start tells it from others. */
function metricsOf(start: number, requests: number, slow = 0): string {
  const latency = 'scoreline_request_duration_seconds';
  const own = 'model="a",version="1"';
  return [
    `process_start_time_seconds ${start}`,
    'scoreline_build_info{role="api",version="1"} 1',
    '# TYPE scoreline_requests_total counter',
    `scoreline_requests_total{route="native",${own},code="ok"} ${requests}`,
    `scoreline_requests_total{route="health",model="",version="",code="ok"} 77`,
    `# TYPE ${latency} histogram`,
    `${latency}_bucket{le="0.1",${own}} ${requests - slow}`,
    `${latency}_bucket{le="0.2",${own}} ${requests}`,
    `${latency}_bucket{le="+Inf",${own}} ${requests}`,
    `${latency}_sum{${own}} ${requests * 0.05}`,
    `${latency}_count{${own}} ${requests}`,
  ].join('\n');
}

function reading(atMs: number, text: string, workers = 2): Reading {
  const model = { name: 'a', version: '1', workers, unanswered: 0, deadlineMs: 1000 };
  return {
    atMs,
    models: [model],
    processes: [{ address: undefined, metrics: parseMetrics(text) }],
  };
}

function historyOf(...readings: Reading[]): History {
  const history = new History();
  for (const each of readings) history.add(each);
  return history;
}

const latency = 'scoreline_request_duration_seconds';

describe('rates and percentiles', () => {
  test('need two readings', () => {
    const history = historyOf(reading(0, metricsOf(1, 10)));
    expect(history.rate('scoreline_requests_total', all)).toBeUndefined();
    expect(history.percentile(latency, 0.5, all)).toBeUndefined();
  });

  test('are those between them', () => {
    const history = historyOf(
      reading(0, metricsOf(1, 1000)),
      reading(2000, metricsOf(1, 1100, 20)),
    );
    const ofModel = ({ model }: { model?: string }) => model === 'a';
    expect(history.rate('scoreline_requests_total', ofModel)).toBe(50);
    // 80 of 100 within 0.1 s, 20 more within 0.2 s.
    expect(history.percentile(latency, 0.4, ofModel)).toBeCloseTo(0.05);
    expect(history.percentile(latency, 0.9, ofModel)).toBeCloseTo(0.15);
    expect(history.mean(latency, ofModel)).toBeCloseTo(0.05);
  });

  test('of instances behind a load balancer are added up, whoever answers', () => {
    const history = historyOf(
      reading(0, metricsOf(1, 1000)),
      reading(1000, metricsOf(2, 50)),
      reading(2000, metricsOf(1, 1020)),
      reading(3000, metricsOf(2, 90)),
    );
    expect(history.apis).toHaveLength(2);
    expect(history.rate('scoreline_requests_total', all)).toBe(30);
  });

  test('forget an instance that has not answered for a while', () => {
    const history = historyOf(reading(0, metricsOf(1, 1000)), reading(11_000, metricsOf(2, 5)));
    expect(history.apis).toHaveLength(1);
  });

  test('look at the last seconds only', () => {
    const readings = Array.from({ length: 30 }, (_, second) =>
      reading(second * 1000, metricsOf(1, second < 15 ? second * 100 : 1500)),
    );
    expect(historyOf(...readings).rate('scoreline_requests_total', all)).toBe(0);
  });
});

describe('the view', () => {
  const plain = (text: string) => text;

  test('shows a model in a line', () => {
    const last = reading(2000, metricsOf(1, 1100));
    const history = historyOf(reading(0, metricsOf(1, 1000)), last);
    const lines = drawLines({ reading: last, history, url: 'http://x', events: [] }, plain);
    expect(lines.join('\n')).toMatch(/^a@1 +2 +0 +- +- +50 +0 +0 +50 ms +95 ms +99 ms/m);
  });

  test('lets nothing that comes from elsewhere steer the terminal', () => {
    const name = 'a\u001b[2J\u0007\u009b';
    const plainNow = reading(0, '');
    const models = plainNow.models.map((model) => ({ ...model, name }));
    const now = { ...plainNow, models };
    const lines = drawLines(
      { reading: now, history: new History(), url: `http://${name}`, events: [name] },
      plain,
    );
    expect(lines.join('')).not.toMatch(/\p{Cc}/u);
  });

  test('says what has changed', () => {
    const events = (...workers: [number, number]) =>
      findEvents(reading(0, '', workers[0]), reading(1, '', workers[1]));
    expect(events(2, 2)).toEqual([]);
    expect(events(2, 1)).toEqual([expect.stringMatching(/ {2}a@1: 2 workers, now 1$/)]);
    const none = { ...reading(1, ''), models: [] };
    expect(findEvents(reading(0, ''), none)).toEqual([
      expect.stringMatching(/not served any more/),
    ]);
    expect(findEvents(none, reading(0, ''))).toEqual([expect.stringMatching(/is served now/)]);
  });
});
