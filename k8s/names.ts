// Names and labels. Kubernetes allows less in a name than a manifest does, so names are derived here and
// nowhere else.

/** A part of the service; each has pods, and a ServiceAccount of its own. */
export type Component = 'api' | 'worker' | 'redis';

/** KEDA names the autoscaler of a ScaledObject like this, and uses the name as a label too. */
const longestPrefix = 'keda-hpa-';
const labelLengthMax = 63;
/** The longest name of an object whose derived names still fit into a label. */
export const nameLengthMax = labelLengthMax - longestPrefix.length;

/** The Gateway has a namespace of its own, named after that of the service. */
const gatewaySuffix = '-gateway';
export const namespaceLengthMax = labelLengthMax - gatewaySuffix.length;

/** Whether a namespace belongs to the cluster itself, or to KEDA. Ours lets no pods in that need rights or a network. */
export function isReservedNamespace(name: string): boolean {
  return name.startsWith('kube-') || name === 'default' || name === 'keda';
}

export function gatewayNamespace(namespace: string): string {
  return `${namespace}${gatewaySuffix}`;
}

/** The name of everything that belongs to the workers of a model: Deployment, ScaledObject and so on. */
export function workerName({ name, version }: { name: string; version: string }): string {
  return `worker-${toDnsLabel(name)}-${toDnsLabel(version)}`;
}

/** Whether Kubernetes accepts this as the name of a Service or a namespace. */
export function isDnsLabel(name: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name);
}

/** Whether Kubernetes accepts this as the name of a Secret, a volume claim, or a class of anything. */
export function isDnsSubdomain(name: string): boolean {
  return (
    name.length <= 253 &&
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(name)
  );
}

/** Whether Kubernetes accepts this as the key of a label, an annotation or a taint: `name`, or `example.com/name`. */
export function isLabelKey(key: string): boolean {
  const [name = '', prefix, ...more] = key.split('/').toReversed();
  return (
    more.length === 0 &&
    name !== '' &&
    isLabelValue(name) &&
    (prefix === undefined || isDnsSubdomain(prefix))
  );
}

/** Whether Kubernetes accepts this as the value of a label or a taint. */
export function isLabelValue(value: string): boolean {
  return value === '' || /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/.test(value);
}

/** Says which part of the service a pod is. */
export const componentLabel = 'app.kubernetes.io/component';

/** The labels by which Services, policies and budgets find pods. They never change. */
export function selectorOf(component: Component): Record<string, string> {
  return { 'app.kubernetes.io/name': 'scoreline', [componentLabel]: component };
}

/** The labels of the workers of one model and version. */
export function workerSelector(workers: string): Record<string, string> {
  return { ...selectorOf('worker'), 'scoreline/workers': workers };
}

/** The labels by which people find models: `kubectl get pods -l scoreline/model=faq-matcher`. */
export function modelLabels({ name, version }: { name: string; version: string }) {
  return { 'scoreline/model': toLabel(name), 'scoreline/version': toLabel(version) };
}

function toDnsLabel(text: string): string {
  return trimEnds(text.toLowerCase().replace(/[^a-z0-9-]/g, '-'));
}

function toLabel(text: string): string {
  return trimEnds(text.slice(0, labelLengthMax));
}

function trimEnds(text: string): string {
  return text.replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '');
}
