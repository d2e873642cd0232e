// `npm run audit [-- --required]`: whether the packages that run in production have known
// vulnerabilities. npm asks the audit service of its registry.
//
// It fails if one is severe. Where the service cannot be reached, nothing is known: the command says so and
// passes, so that a machine without a network can still build. With `--required` it fails there too.

import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { packageDirectory } from '../shared/version.js';
import { judgeReport } from './audit-report.js';

const complain = (line: string) => process.stderr.write(`${line}\n`);

const [option, ...others] = process.argv.slice(2);
if ((option ?? '--required') !== '--required' || others.length > 0) {
  complain('Usage: npm run audit [-- --required]');
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
