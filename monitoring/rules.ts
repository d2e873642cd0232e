// Rules of Prometheus: alerts, and series that are computed ahead.

import { load } from 'js-yaml';

export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface RuleGroup {
  readonly name: string;
  readonly rules: readonly (AlertRule | RecordingRule)[];
}

/** Parses a file of rules that is ours. */
export function parseRules(text: string): readonly RuleGroup[] {
  return (load(text) as { groups: readonly RuleGroup[] }).groups;
}
