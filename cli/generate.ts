// Writes the files that are made from code: docs/errors.md, docs/configuration.md, .env.example.
// With `--check` it writes nothing and fails when one of them is not in step.

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { describeConfiguration, type Role } from '../shared/configuration.js';
import { errorTable } from '../shared/errors.js';
import { packageDirectory } from '../shared/version.js';

const header = 'This page is generated (`npm run fix`); change the code it comes from instead.';
const files: Record<string, string> = {
  'docs/errors.md': errorsPage(),
  'docs/configuration.md': configurationPage(),
  '.env.example': environmentExample(),
};

const outdated = Object.entries(files).filter(([name, text]) => read(name) !== text);
if (!process.argv.includes('--check')) {
  for (const [name, text] of outdated) writeFileSync(absolute(name), text);
} else if (outdated.length > 0) {
  const names = outdated.map(([name]) => name).join(', ');
  process.stderr.write(`Not in step with the code: ${names}. Run: npm run fix\n`);
  process.exitCode = 1;
}

function errorsPage(): string {
  const rows = Object.entries(errorTable).map(
    ([code, { status, retry, title }]) =>
      `| <a id="${code}"></a>\`${code}\` | ${status} | ${retry ? 'yes' : 'no'} | ${title} |`,
  );
  return `# Errors

${header}

Every error is a problem document (RFC 9457): \`type\` (\`urn:scoreline:error:CODE\`), \`title\`, \`status\`,
\`code\` and \`detail\`, which says what was expected, what came, and what to do. Programs look at \`code\`;
it does not change. *Again* says whether the same request may succeed later; 429 and 503 then carry a
\`Retry-After\` in seconds. Codes of the start (configuration, manifests, model files, devices) are
printed, not sent.

| code | status | again | meaning |
|---|---|---|---|
${rows.join('\n')}
`;
}

function configurationPage(): string {
  const section = (title: string, role: Role, common: boolean) => {
    const rows = describeConfiguration(role)
      .filter((key) => key.common === common)
      .map(
        ({ key, default: value, description }) =>
          `| \`${key}\` | ${code(value)} | ${description} |`,
      );
    return `## ${title}\n\n| key | default | what it does |\n|---|---|---|\n${rows.join('\n')}\n`;
  };
  return `# Configuration

${header}

API and workers read their configuration from the environment, once, at their start. All faults are
reported together, and the configuration in force is the first line of the log, passwords left out.
What belongs to a model is not here but in its manifest (docs/manifest.md). \`npm start\` takes the same
keys, and two of its own: \`WORKERS\`, the number of worker processes (1), and \`DATA_DIR\`, where its Redis
keeps its data (\`data\`).

${section('Both', 'api', true)}
${section('API', 'api', false)}
${section('Worker', 'worker', false)}`;
}

function environmentExample(): string {
  const lines = (['api', 'worker'] as const).flatMap((role) =>
    describeConfiguration(role)
      .filter((key) => role === 'api' || !key.common)
      .map(
        ({ key, default: value, description, common }) =>
          `# ${common ? 'both' : role}: ${description.replaceAll('`', '')}\n#${key}=${value ?? ''}\n`,
      ),
  );
  return `# The configuration with its defaults. Generated (npm run fix).\n\n${lines.join('\n')}`;
}

function code(value: unknown): string {
  return value === undefined ? 'none' : `\`${value}\``;
}

function read(name: string): string | undefined {
  try {
    return readFileSync(absolute(name), 'utf8');
  } catch {
    return undefined;
  }
}

function absolute(name: string): string {
  return path.join(packageDirectory(), name);
}
