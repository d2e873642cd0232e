// Finds variables of API and workers that another key of the values decides, or that Node could not use.

import { describeConfiguration } from '../shared/configuration/configuration.js';
import { ownSettings } from './environment.js';
import type { Refuse } from './refuse.js';
import type { Values } from './values.js';
import { proxiesOf } from './variables.js';

/** Variables that another key of the values sets. */
const keyInstead: Readonly<Record<string, string>> = {
  NODE_EXTRA_CA_CERTS: 'authoritiesConfigMap',
};

export function checkVariables(values: Values, refuse: Refuse): void {
  const settings = new Set(
    (['api', 'worker'] as const).flatMap((role) =>
      describeConfiguration(role).map(({ key }) => key),
    ),
  );
  for (const name of Object.keys(values.environment)) {
    const instead = keyInstead[name];
    if (instead !== undefined) {
      refuse(['environment', name], `expected none; ${instead} is the key for it`);
    } else if (ownSettings.has(name)) {
      refuse(['environment', name], 'expected a variable that the manifests do not set themselves');
    } else if (settings.has(name)) {
      refuse(
        ['environment', name],
        'expected a variable that is no setting of Scoreline; settings belong into api.settings and workers.settings, where they are checked',
      );
    }
  }
  for (const [name, url] of proxiesOf(values)) {
    const fault = findProxyFault(url);
    if (fault !== undefined) refuse(['environment', name], fault);
  }
}

/** A reference to a variable of a Secret, which Kubernetes replaces. */
const reference = /\$\([A-Za-z_]\w*\)/g;

function findProxyFault(url: string): string | undefined {
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    return 'expected the address of a proxy, such as http://proxy.example.com:3128';
  }
  const { password } = new URL(url.replaceAll(reference, ''));
  if (password === '') return undefined;
  return 'expected no password in it, because manifests are no secret; write $(PROXY_PASSWORD), and put PROXY_PASSWORD into the Secret that environmentSecret names';
}
