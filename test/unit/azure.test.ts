// What is meant for Azure: the Kusto queries by Microsoft's own parser, and the forms of the workbook and of the
// rule groups.

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { load } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { queryNames, questionOf } from '../../monitoring/workbook.js';
import { attributeTable } from '../../shared/telemetry/attributes.js';
import { root } from '../harness.js';

const folder = path.join(root, 'monitoring');
const queries = queryNames.map((name) => ({
  name,
  text: readFileSync(path.join(folder, 'queries', `${name}.kql`), 'utf8'),
}));

/** The tables of Azure Monitor, with the columns that the queries may use. */
const tables: Readonly<Record<string, string>> = {
  AppRequests:
    '(TimeGenerated: datetime, Id: string, OperationId: string, ParentId: string, Name: string, Url: string, Success: bool, ResultCode: string, DurationMs: real, ItemCount: int, Properties: dynamic, Measurements: dynamic, AppRoleName: string, AppRoleInstance: string)',
  AppDependencies:
    '(TimeGenerated: datetime, Id: string, OperationId: string, ParentId: string, Name: string, DependencyType: string, Target: string, Data: string, Success: bool, ResultCode: string, DurationMs: real, ItemCount: int, Properties: dynamic, Measurements: dynamic, AppRoleName: string, AppRoleInstance: string)',
  ContainerLogV2:
    '(TimeGenerated: datetime, Computer: string, ContainerId: string, ContainerName: string, PodName: string, PodNamespace: string, LogMessage: dynamic, LogSource: string, LogLevel: string)',
  KubePodInventory:
    '(TimeGenerated: datetime, ClusterName: string, Namespace: string, Name: string, PodStatus: string, PodCreationTimeStamp: datetime, PodStartTime: datetime, ControllerName: string, ContainerName: string, ContainerStatus: string)',
};

interface Diagnostic {
  readonly Message: string;
  readonly Severity: string;
}

/** Returns what the language service finds wrong with a query: its syntax, its tables, columns and types. */
const findFaults = openKusto();

function openKusto(): (text: string) => string[] {
  const require = createRequire(import.meta.url);
  // They are programs of .NET as JavaScript, and known by their global names.
  require('@kusto/language-service-next/bridge.min.js');
  require('@kusto/language-service-next/Kusto.Language.Bridge.min.js');
  // biome-ignore lint/suspicious/noExplicitAny: its types are those of .NET, 1.7 MB of them.
  const { Kusto, Bridge } = globalThis as any;
  const { GlobalState, KustoCode, Symbols } = Kusto.Language;
  const known = Object.entries(tables).map(([name, schema]) =>
    Symbols.TableSymbol.From(schema).WithName(name),
  );
  const database = new Symbols.DatabaseSymbol.ctor('workspace', known);
  const state = GlobalState.Default.WithDatabase(database);
  return (text) => {
    const diagnostics: Diagnostic[] = Bridge.toArray(
      KustoCode.ParseAndAnalyze(text, state).GetDiagnostics(),
    );
    return diagnostics.map(({ Message }) => Message);
  };
}

describe('the Kusto queries', () => {
  test.each(queries)('$name has no fault, and says which question it answers', (query) => {
    expect(findFaults(query.text)).toEqual([]);
    expect(questionOf(query)).toMatch(/\?$/);
  });

  test('use the attributes that spans have', () => {
    const used = queries.flatMap(({ text }) =>
      [...text.matchAll(/Properties\["([^"]+)"\]/g)].map(([, name]) => name),
    );
    expect(used.length).toBeGreaterThan(0);
    expect(used.filter((name) => !Object.keys(attributeTable).includes(String(name)))).toEqual([]);
  });

  test('are those of the folder', () => {
    const files = readdirSync(path.join(folder, 'queries'));
    expect(files.toSorted()).toEqual(queries.map(({ name }) => `${name}.kql`).toSorted());
  });

  test.each([
    ['AppRequests | wher DurationMs > 1', 'a misspelt operator'],
    ['AppRequests | where Duration > 1', 'a column that there is not'],
    ['AppRequest | take 1', 'a table that there is not'],
    ['AppRequests | summarize count( by Name', 'an open parenthesis'],
  ])('would have a fault: %s', (text) => {
    expect(findFaults(text)).not.toEqual([]);
  });
});

const parameterSchema = z.object({
  id: z.string(),
  name: z.string().regex(/^\w+$/),
  version: z.string(),
  type: z.union([z.literal(1), z.literal(4), z.literal(5)]),
});
const name = z.string().regex(/^[a-z-]+$/);
const workbookSchema = z.strictObject({
  version: z.literal('Notebook/1.0'),
  items: z.array(
    z.discriminatedUnion('type', [
      z.strictObject({ type: z.literal(1), content: z.strictObject({ json: z.string() }), name }),
      z.strictObject({
        type: z.literal(9),
        content: z.looseObject({
          version: z.literal('KqlParameterItem/1.0'),
          parameters: z.array(z.looseObject(parameterSchema.shape)),
        }),
        name,
      }),
      z.strictObject({
        type: z.literal(3),
        content: z.looseObject({
          version: z.literal('KqlItem/1.0'),
          query: z.string(),
          queryType: z.literal(0),
          timeContextFromParameter: z.string(),
        }),
        name,
      }),
    ]),
  ),
  fallbackResourceIds: z.array(z.string()),
  $schema: z.url(),
});

describe('the workbook', () => {
  const text = readFileSync(path.join(folder, 'generated/azure-workbook.json'), 'utf8');
  const { items } = workbookSchema.parse(JSON.parse(text));

  test('has a query for each question, and a parameter for each name in braces', () => {
    const asked = items.flatMap((item) => (item.type === 3 ? [item] : []));
    const given = items.flatMap((item) => (item.type === 9 ? item.content.parameters : []));
    expect(asked.map((item) => item.name)).toEqual([...queryNames]);
    const names = given.map((parameter) => parameter.name);
    for (const { content } of asked) {
      expect(names).toContain(content.timeContextFromParameter);
      for (const [, used] of content.query.matchAll(/"\{(\w+)\}"/g)) expect(names).toContain(used);
    }
  });
});

/** As the resource provider has it, in its version 2023-03-01. */
const duration = z.string().regex(/^PT\d+[SMH]$/);
const texts = z.record(z.string(), z.string());
const ruleSchema = z.union([
  z.strictObject({
    record: z.string().regex(/^[a-z_:0-9A-Z]+$/),
    expression: z.string().min(1),
    enabled: z.boolean(),
    labels: texts,
  }),
  z.strictObject({
    alert: z.string().min(1),
    expression: z.string().min(1),
    for: duration.optional(),
    severity: z.int().min(1).max(4),
    enabled: z.boolean(),
    labels: texts,
    annotations: texts,
    resolveConfiguration: z.strictObject({ autoResolved: z.boolean(), timeToResolve: duration }),
    actions: z.literal("[variables('actions')]"),
  }),
]);
const templateSchema = z.object({
  parameters: z.record(z.string(), z.looseObject({ type: z.literal('string') })),
  resources: z.array(
    z.strictObject({
      type: z.literal('Microsoft.AlertsManagement/prometheusRuleGroups'),
      apiVersion: z.literal('2023-03-01'),
      name: z.string().max(260),
      location: z.string(),
      properties: z.strictObject({
        enabled: z.boolean(),
        clusterName: z.string(),
        scopes: z.array(z.string()).min(1),
        interval: duration,
        rules: z.array(ruleSchema).min(1).max(20),
      }),
    }),
  ),
});

describe('the rule groups', () => {
  const text = readFileSync(path.join(folder, 'generated/azure-rules.json'), 'utf8');
  const { resources, parameters } = templateSchema.parse(JSON.parse(text));
  const rules = resources.flatMap(({ properties }) => properties.rules);

  test('have each rule of ours', () => {
    const own = ['alerts.yaml', 'generated/slo.yaml'].flatMap((file) => {
      const { groups } = load(readFileSync(path.join(folder, file), 'utf8')) as {
        groups: { rules: { alert?: string; record?: string; expr: string }[] }[];
      };
      return groups.flatMap((group) => group.rules);
    });
    const nameOf = (rule: { alert?: string; record?: string }) => rule.alert ?? rule.record;
    expect(rules.map(nameOf)).toEqual(own.map(nameOf));
    expect(rules.map(({ expression }) => expression)).toEqual(own.map(({ expr }) => expr.trim()));
  });

  test('name parameters that there are', () => {
    for (const [, used] of text.matchAll(/parameters\('(\w+)'\)/g)) {
      expect(Object.keys(parameters)).toContain(used);
    }
  });

  test('have no text that a template would take for an expression', () => {
    for (const { expression } of rules) expect(expression).not.toMatch(/^\[/);
  });
});
