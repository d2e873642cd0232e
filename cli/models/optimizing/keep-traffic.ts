// Keeps requests at the version that answers them when a model gets a new version.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { collectModels } from '../../../shared/registry/models.js';
import { releasedIn, trafficName } from '../../../shared/registry/traffic.js';
import { editYaml } from '../yaml-edit.js';

/**
 * Lets `traffic.yaml` name the version that answers requests without one, unless it names some already. Otherwise a new
 * version would answer all of them at once, since it may be the highest.
 * @throws ScorelineError `manifest_invalid` if the file cannot be edited
 */
export function keepTraffic(directory: string, name: string): void {
  const found = collectModels({ directory, names: [name], filesNeeded: false });
  const latest = found.models[0]?.version;
  const traffic = found.traffic.get(name);
  // While the file cannot be read, a new version answers nothing.
  if (latest === undefined || traffic === undefined || releasedIn(traffic)) return;
  const file = path.join(directory, name, trafficName);
  const text = existsSync(file)
    ? editYaml(readFileSync(file, 'utf8'), [[['latest'], latest]], { file })
    : `# Which version answers requests that name none: docs/versions.md\nlatest: ${JSON.stringify(latest)}\n`;
  writeFileSync(file, text);
}
