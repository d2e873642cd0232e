// Reads what `npm audit --json` prints.

import { z } from 'zod';

const severities = ['info', 'low', 'moderate', 'high', 'critical'] as const;
/** From this one on, an audit fails. */
const failsFrom = severities.indexOf('high');

const advisorySchema = z.object({ title: z.string(), url: z.string() });

const reportSchema = z.object({
  vulnerabilities: z.record(
    z.string(),
    z.object({
      name: z.string(),
      severity: z.enum(severities),
      /** Advisories, or the names of packages that pass their own on. */
      via: z.array(z.union([z.string(), advisorySchema])),
      fixAvailable: z.union([z.boolean(), z.object({ name: z.string(), version: z.string() })]),
    }),
  ),
  metadata: z.object({ dependencies: z.object({ total: z.number() }) }),
});

type Vulnerability = z.infer<typeof reportSchema>['vulnerabilities'][string];

const failureSchema = z.object({ message: z.string() });

/** `isDone` says whether the audit service answered. Without its answer nothing is known. */
export type Verdict =
  | { readonly isDone: true; readonly isGood: boolean; readonly lines: readonly string[] }
  | { readonly isDone: false; readonly reason: string };

/** @param errors what npm wrote to standard error, in case it printed no report */
export function judgeReport(text: string, errors = ''): Verdict {
  const json = parseJson(text);
  const report = reportSchema.safeParse(json);
  if (!report.success) return { isDone: false, reason: reasonOf(json, errors) };
  const found = Object.values(report.data.vulnerabilities).toSorted(
    (one, other) => rankOf(other) - rankOf(one),
  );
  const { total } = report.data.metadata.dependencies;
  if (found.length === 0) {
    return { isDone: true, isGood: true, lines: [`${total} packages: no known vulnerability.`] };
  }
  return {
    isDone: true,
    isGood: found.every((each) => rankOf(each) < failsFrom),
    lines: found.flatMap(describe),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function reasonOf(json: unknown, errors: string): string {
  const failure = failureSchema.safeParse(json);
  return (failure.data?.message || errors).trim() || 'npm audit printed no report';
}

function rankOf({ severity }: Vulnerability): number {
  return severities.indexOf(severity);
}

function describe({ name, severity, via, fixAvailable }: Vulnerability): string[] {
  const causes = via.map((each) =>
    typeof each === 'string' ? `by ${each}` : `${each.title}: ${each.url}`,
  );
  return [`${severity}: ${name}`, ...causes.map((cause) => `    ${cause}`), remedy(fixAvailable)];
}

function remedy(fix: Vulnerability['fixAvailable']): string {
  if (fix === true) return '    Mend it with: npm audit fix --omit=dev';
  if (fix === false) return '    No version mends it yet. Read the advisory; replace the package.';
  return `    Mend it with: npm install --save-exact ${fix.name}@${fix.version}`;
}
