import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { keepTraffic } from '../../cli/models/optimizing/keep-traffic.js';
import { makeFolder, sampleLabels, sampleManifest } from './sample-model.js';

/** Returns `traffic.yaml` of a model with the versions 1, 2 and 10, before one more is written. */
function kept(traffic?: string): string | undefined {
  const versions = ['1', '2', '10'].flatMap((version) => [
    [`a/${version}/model.yaml`, { ...sampleManifest, name: 'a', version }],
    [`a/${version}/labels.txt`, sampleLabels],
  ]);
  const directory = makeFolder({
    ...Object.fromEntries(versions),
    ...(traffic !== undefined && { 'a/traffic.yaml': traffic }),
  });
  keepTraffic(directory, 'a');
  const file = path.join(directory, 'a/traffic.yaml');
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

describe('the requests to a model that gets a new version', () => {
  test('stay with the version that answers them now, whichever was the origin of the new one', () => {
    expect(kept()).toMatch(/^#.*\nlatest: "10"\n$/);
    expect(kept('# no canary\n{} # yet\n')).toBe('# no canary\n{ latest: "10" } # yet\n');
  });

  test('stay with it if the file is about other things', () => {
    expect(kept('shadow: { version: "10" } # on trial\n')).toBe(
      'shadow: { version: "10" } # on trial\nlatest: "2"\n',
    );
    expect(kept('sticky: { header: X-User-Id }')).toBe(
      'sticky: { header: X-User-Id }\nlatest: "10"\n',
    );
  });

  test.each(['latest: "1"\n', 'weights: { "1": 9, "2": 1 }\n', 'latest: [\n'])(
    'are shared as the file says: %j',
    (traffic) => {
      expect(kept(traffic)).toBe(traffic);
    },
  );
});
