// Says whether the packages that run in production have known vulnerabilities. npm asks the audit service of its registry.

import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { packageDirectory } from '../shared/version.js';
import { judgeReport } from './audit-report.js';
import { helpIfAsked } from './command.js';
import { misused } from './faults.js';

const usage = `Usage: npm run audit [-- --required]

Fails if a package that runs in production has a severe vulnerability. Where the audit service cannot be
reached, nothing is known: the command says so and passes, so a machine without a network can still build.
With --required it fails there, too.`;

const complain = (line: string) => process.stderr.write(`${line}\n`);

helpIfAsked(usage);
const [option, ...others] = process.argv.slice(2);
if ((option ?? '--required') !== '--required' || others.length > 0) {
  complain(misused(process.argv.slice(2), usage).message);
  process.exitCode = 1;
} else {
  audit(option === '--required');
}

function audit(isRequired: boolean): void {
  const { stdout, stderr, error } = spawnSync(
    'npm',
    ['audit', '--omit=dev', '--json', '--fetch-retries=1', '--fetch-timeout=30000'],
    { cwd: packageDirectory(), encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  const verdict = judgeReport(stdout ?? '', error?.message ?? stderr);
  if (verdict.isDone) {
    for (const line of verdict.lines) process.stdout.write(`${line}\n`);
    if (!verdict.isGood) process.exitCode = 1;
    return;
  }
  complain('NOT AUDITED. Nobody knows whether the packages have known vulnerabilities.');
  complain(`    npm says: ${verdict.reason.replaceAll('\n', '\n    ')}`);
  complain('    Run npm run audit where npm reaches an audit service.');
  if (isRequired) process.exitCode = 1;
  else complain('    This passes, because --required was not given.');
}
