// Writes the files that are generated: docs/errors.md, docs/configuration.md, docs/manifest.md, docs/metrics.md,
// docs/telemetry.md, .env.example, client/answers.ts, the kernels of pictures, k8s/generated and monitoring/generated from
// code, and docs/licences.md from package-lock.json. With `--check` it writes nothing, and fails if one of them is out of date.

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { statusNameOf } from '../api/grpc/status.js';
import { makeManifests, writeManifests } from '../k8s/manifests.js';
import { readPlan } from '../k8s/read-plan.js';
import { makeMonitoringFiles } from '../monitoring/files.js';
import { parseRules } from '../monitoring/rules.js';
import { queryNames } from '../monitoring/workbook.js';
import { describeConfiguration, type Role } from '../shared/configuration/configuration.js';
import { type ErrorCode, errorTable } from '../shared/errors.js';
import { readTextIfAny } from '../shared/files/text-file.js';
import { listModels, readManifest } from '../shared/manifest/file.js';
import { aclRules } from '../shared/redis/commands.js';
import { packageDirectory } from '../shared/version.js';
import { parseArguments } from './arguments.js';
import { runCommand } from './command.js';
import { answerTypes } from './generating/answer-types.js';
import { kernelModule } from './generating/assembly.js';
import { licencesPage, readRuntimePackages } from './generating/licences.js';
import { manifestPage } from './generating/manifest-page.js';
import { metricsPage } from './generating/metrics-page.js';
import { telemetryPage } from './generating/telemetry-page.js';

const header = '<!-- `npm run fix` generates this page from the code. Change the code instead. -->';
const fromLockFile = '<!-- `npm run fix` generates this page from `package-lock.json`. -->';
const manifestsFolder = 'k8s/generated';
const monitoringFolder = 'monitoring/generated';
/** What KEDA's scaler runs for a single Redis and for Sentinels, beside what API and workers run. */
const rightsOfKeda = ['+ping', '+type'];
const kernelFolders = ['api/kinds/pictures/plain-jpeg', 'api/kinds/pictures/resample'];

const usage = `Usage: npm run fix
       node dist/cli/generate.js [--check]

Writes the files that are generated. With --check, says which of them are out of date.`;

await runCommand(usage, async () => {
  const { values } = parseArguments({ options: { check: { type: 'boolean', default: false } } });
  const kernels = await compileKernels();
  const outdated = [...kernels, ...generate()].filter(([name, text]) => read(name) !== text);
  if (!values.check) {
    for (const [name, text] of outdated) write(name, text);
  } else if (outdated.length > 0) {
    const names = outdated.map(([name]) => name).join(', ');
    process.stderr.write(`Out of date: ${names}. Run: npm run fix\n`);
    process.exitCode = 1;
  }
});

/** Returns the files of the kernels that are compiled from AssemblyScript, with their texts. */
function compileKernels(): Promise<[name: string, text: string][]> {
  return Promise.all(
    kernelFolders.map(async (folder) => [
      `${folder}/kernel-bytes.ts`,
      await kernelModule(absolute('.'), `${folder}/assembly/kernel.ts`),
    ]),
  );
}

/** Yields each file with its text; undefined if there must be no such file. */
function* generate(): Generator<[name: string, text: string | undefined]> {
  yield ['docs/errors.md', errorsPage()];
  yield ['docs/configuration.md', configurationPage()];
  yield ['docs/manifest.md', manifestPage(header)];
  yield ['docs/metrics.md', metricsPage(header)];
  yield ['docs/telemetry.md', telemetryPage(header, read('docs/trace.txt') ?? '')];
  yield ['.env.example', environmentExample()];
  yield ['client/answers.ts', answerTypes()];
  const packages = readRuntimePackages(readFileSync(absolute('package-lock.json'), 'utf8'));
  yield ['docs/licences.md', licencesPage(packages, fromLockFile)];
  const plan = readPlan({
    file: absolute('k8s/values.yaml'),
    modelsDirectory: absolute('models'),
  });
  const manifests = writeManifests(makeManifests(plan));
  yield* folderOf(manifestsFolder, manifests);
  yield* folderOf(monitoringFolder, monitoringFiles());
}

/** Yields the files of a folder that has nothing else. */
function* folderOf(
  folder: string,
  files: Readonly<Record<string, string>>,
): Generator<[name: string, text: string | undefined]> {
  for (const [name, text] of Object.entries(files)) yield [`${folder}/${name}`, text];
  for (const name of readdirSync(absolute(folder))) {
    if (!(name in files)) yield [`${folder}/${name}`, undefined];
  }
}

function monitoringFiles(): Readonly<Record<string, string>> {
  const models = absolute('models');
  return makeMonitoringFiles({
    models: listModels(models).map((name) => readManifest(path.join(models, name))),
    alerts: parseRules(readFileSync(absolute('monitoring/alerts.yaml'), 'utf8')),
    queries: queryNames.map((name) => ({
      name,
      text: readFileSync(absolute(`monitoring/queries/${name}.kql`), 'utf8'),
    })),
  });
}

function errorsPage(): string {
  const rows = Object.entries(errorTable).map(
    ([code, { status, retry, title }]) =>
      `| <a id="${code}"></a>\`${code}\` | ${status} | ${statusNameOf(code as ErrorCode)} | ${retry ? 'yes' : 'no'} | ${title} |`,
  );
  return `# Errors

${header}

Every error is a problem document (RFC 9457) with \`type\` (\`urn:scoreline:error:CODE\`), \`title\`,
\`status\`, \`code\` and \`detail\`. The detail says what was expected, what came, and what to do.
Programs should test \`code\`, which does not change; people who open an address in a browser get a page. The column *retry* says whether the same request
may succeed later. Below \`/v2\`, and at \`:predict\`, an error is \`{"error": detail, "code": …, "status": …}\`, as clients of the
[Open Inference Protocol](inference-protocol.md) expect it. Errors with 429 or 503 carry a \`Retry-After\` in seconds. By gRPC,
the detail is the message of the status, and the trailers hold \`error-code\` and \`retry-after\`. Startup errors
(configuration, manifests, model files, devices) are printed, not sent. [The description of the
API](openapi.md) says which address may answer with which code.

| code | status | gRPC | retry | meaning |
|---|---|---|---|---|
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
  const rights = ['>PASSWORD', ...aclRules('scoreline'), ...rightsOfKeda];
  return `# Configuration

${header}

The API and the workers read their configuration from the environment once, when they start. They
report all mistakes together, and warn of names that are almost those of settings. The first line of the log is the
configuration in force, without passwords. Each model has its own settings in its [manifest](manifest.md).

\`npm start\` takes the same keys and two of its own: \`WORKERS\`, the number of worker processes (1),
and \`DATA_DIR\`, the folder for the data of its Redis (\`data\`). Unless they are set, it starts a Redis of its own, logs
from \`warn\` on, and without a \`HOST\` has its metrics on a free port, for \`npm run top\`.

${section('Both', 'api', true)}
${section('API', 'api', false)}
${section('Worker', 'worker', false)}
## A user of Redis with few rights

A Redis of several services should have a user for this one. It needs these rights, and \`+select\` as well if
\`REDIS_URL\` names a database. In a cluster the keys are \`~{scoreline}:*\`. API and worker look at the rights when
they start, and say which are missing. \`+ping\` and \`+type\` are for KEDA, which uses the same user on Kubernetes; for a
cluster it needs \`+cluster|slots\` and \`+command\`, too.

\`\`\`sh
${wrap(['redis-cli ACL SETUSER scoreline on', ...rights.map(quoted)], 100)}
\`\`\`

Redis forgets users when it restarts, unless \`redis-cli CONFIG REWRITE\` has written them to its configuration file, or
\`redis-cli ACL SAVE\` to its file of users.
`;
}

/** As a shell reads it. */
function quoted(word: string): string {
  return /^[\w+]+$/.test(word) ? word : `'${word}'`;
}

/** Joins words with blanks into lines that a shell reads as one. */
function wrap(words: readonly string[], width: number): string {
  const lines = [''];
  for (const word of words) {
    const line = `${lines.at(-1)} ${word}`.trim();
    if (line.length <= width) lines[lines.length - 1] = line;
    else lines.push(word);
  }
  return lines.join(' \\\n  ');
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
  return `# Every setting with its default. Generated by npm run fix.\n\n${lines.join('\n')}`;
}

function code(value: unknown): string {
  return value === undefined || `${value}` === '' ? 'unset' : `\`${value}\``;
}

function write(name: string, text: string | undefined): void {
  if (text === undefined) rmSync(absolute(name));
  else writeFileSync(absolute(name), text);
}

function read(name: string): string | undefined {
  return readTextIfAny(absolute(name));
}

function absolute(name: string): string {
  return path.join(packageDirectory(), name);
}
