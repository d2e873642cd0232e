import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeSloGroups } from '../../monitoring/slo.js';
import { readManifest } from '../../shared/manifest/file.js';
import { errorOf, makeFolder, sampleManifest } from './sample-model.js';

const folderWith = (slo: unknown) =>
  path.join(makeFolder({ 'sample/model.yaml': { ...sampleManifest, slo } }), 'sample');

describe('the goals in a manifest', () => {
  test('can be of one kind or both', () => {
    const goalsOf = (slo: unknown) => readManifest(folderWith(slo)).slo;
    expect(goalsOf({ availability: 0.999 })).toMatchObject({ availability: 0.999 });
    expect(goalsOf({ latencyMs: 250 })).toEqual({ latencyMs: 250, latencyPercentile: 99 });
    expect(goalsOf(undefined)).toBeUndefined();
  });

  test.each([
    [{}, 'expected availability, latencyMs, or both'],
    [{ availability: 1 }, 'slo.availability'],
    [{ availability: 99.9 }, 'slo.availability'],
    [{ availability: 0.9 }, 'slo.availability'],
    [{ latencyMs: 300 }, 'expected one of 0.5, 1, 2.5, 5, 10, 25'],
    [{ latencyMs: 60_000 }, 'expected at most deadlineMs'],
    [{ latencyMs: 250, latencyPercentile: 0.99 }, 'slo.latencyPercentile'],
    [{ latencyMs: 250, latencyPercentile: 100 }, 'slo.latencyPercentile'],
    [{ availability: 0.999, p99: 250 }, 'p99'],
  ])('are refused with a reason: %j', (slo, reason) => {
    const error = errorOf(() => readManifest(folderWith(slo)));
    expect(error.code).toBe('manifest_invalid');
    expect(error.message).toContain(reason);
  });
});

describe('the rules', () => {
  const rulesOf = (slo: Parameters<typeof makeSloGroups>[0][number]['slo']) =>
    makeSloGroups([{ name: 'a', slo }]).flatMap(({ rules }) => rules);
  const alerts = (slo: Parameters<typeof rulesOf>[0]) =>
    rulesOf(slo).flatMap((rule) => ('alert' in rule ? [rule] : []));

  test('are none for a model without goals', () => {
    expect(makeSloGroups([{ name: 'a' }])).toEqual([]);
  });

  test('are those of the goals that there are', () => {
    expect(alerts({ availability: 0.999, latencyPercentile: 99 })).toHaveLength(2);
    expect(alerts({ latencyMs: 250, latencyPercentile: 99 })).toHaveLength(2);
  });

  test('have the share of bad requests at which each burn rate is reached', () => {
    const [critical, warning] = alerts({ availability: 0.99, latencyPercentile: 99 });
    const boundsOf = (expr = '') =>
      [...expr.matchAll(/ > ([\d.e-]+)/g)].map(([, at]) => Number(at));
    expect(boundsOf(critical?.expr)).toEqual([0.144, 0.144, 0.06, 0.06]);
    expect(boundsOf(warning?.expr)).toEqual([0.01, 0.01]);
  });

  test('can be reached: at the lowest goal, the highest is below all requests', () => {
    const [critical] = alerts({ availability: 0.95, latencyPercentile: 99 });
    const bounds = [...(critical?.expr ?? '').matchAll(/ > ([\d.]+)/g)].map(([, at]) => Number(at));
    expect(Math.max(...bounds)).toBeLessThan(1);
  });

  test('fit into one rule group of Azure for each model', () => {
    expect(
      rulesOf({ availability: 0.999, latencyMs: 250, latencyPercentile: 99 }).length,
    ).toBeLessThanOrEqual(20);
  });
});
