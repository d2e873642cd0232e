// How clients reach the API: by the Gateway API, or by an Ingress on clusters that have a controller for
// it. Both end TLS.

import type { IGateway } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/Gateway';
import type { IHTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute';
import type { IIngress } from 'kubernetes-models/networking.k8s.io/v1/Ingress';
import type { INetworkPolicyPeer } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicyPeer';
import type { INamespace } from 'kubernetes-models/v1/Namespace';
import type { IServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import { apiName, apiServicePort } from './api.js';
import { apiAnswerMs } from './environment.js';
import { gatewayNamespace, selectorOf } from './names.js';
import { namespaceNameLabel } from './namespace.js';
import type { KubernetesObject } from './objects.js';
import type { Plan } from './plan.js';
import type { Values } from './values.js';

type GatewayEntrance = Extract<Values['entrance'], { kind: 'gateway' }>;
type IngressEntrance = Extract<Values['entrance'], { kind: 'ingress' }>;
type ParentReference = NonNullable<IHTTPRoute['spec']['parentRefs']>[number];

const gatewayName = 'scoreline';
/** The account by which AKS reads the certificate. */
export const gatewayAccount = gatewayName;
const labels = selectorOf('api');

export function makeEntrance(plan: Plan): KubernetesObject[] {
  const { entrance } = plan.values;
  if (entrance.kind === 'gateway') return makeGatewayObjects(plan, entrance);
  if (entrance.kind === 'ingress') return [makeIngress(plan.values, entrance)];
  return [];
}

/** Who may connect to the API: the pods of the gateway or of the ingress controller, or any in the cluster. */
export function entrancePeer({ entrance, namespace }: Values): INetworkPolicyPeer {
  if (entrance.kind === 'none') return { namespaceSelector: {} };
  const from =
    entrance.kind === 'ingress'
      ? entrance.controllerNamespace
      : (entrance.proxyNamespace ?? gatewayNamespace(namespace));
  return { namespaceSelector: { matchLabels: { [namespaceNameLabel]: from } } };
}

/**
 * The Gateway has a namespace of its own. Its proxies run in it, and those of Istio do not meet the
 * standard of the service's namespace (they set no seccomp profile).
 */
function makeGatewayObjects(plan: Plan, entrance: GatewayEntrance): KubernetesObject[] {
  const { values } = plan;
  const namespace = gatewayNamespace(values.namespace);
  const gatewayLabels = { 'app.kubernetes.io/name': 'scoreline' };
  const home: INamespace = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name: namespace,
      labels: { ...gatewayLabels, 'pod-security.kubernetes.io/enforce': 'baseline' },
    },
  };
  const parent = (sectionName: string) => ({ name: gatewayName, namespace, sectionName });
  return [
    home,
    ...makeCertificateReader(values, entrance, namespace),
    makeGateway(values, entrance, namespace),
    makeRoute(plan, parent('https')),
    makeRedirect(values, parent('http')),
  ];
}

function makeGateway(values: Values, entrance: GatewayEntrance, namespace: string): IGateway {
  const routes = {
    namespaces: {
      from: 'Selector' as const,
      selector: { matchLabels: { [namespaceNameLabel]: values.namespace } },
    },
  };
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: {
      name: gatewayName,
      namespace,
      labels: { 'app.kubernetes.io/name': 'scoreline' },
    },
    spec: {
      gatewayClassName: entrance.class,
      listeners: [
        {
          name: 'http',
          protocol: 'HTTP',
          port: 80,
          hostname: values.host,
          allowedRoutes: routes,
        },
        {
          name: 'https',
          protocol: 'HTTPS',
          port: 443,
          hostname: values.host,
          tls: { mode: 'Terminate', ...certificate(entrance) },
          allowedRoutes: routes,
        },
      ],
    },
  };
}

/** AKS gets a certificate of the Key Vault by itself; it then sets `certificateRefs`. */
function certificate({ certificate: source }: GatewayEntrance) {
  if ('secret' in source) return { certificateRefs: [{ kind: 'Secret', name: source.secret }] };
  return {
    options: {
      'kubernetes.azure.com/tls-cert-keyvault-uri': source.keyVaultUri,
      'kubernetes.azure.com/tls-cert-service-account': gatewayAccount,
    },
  };
}

/** The identity that may read the certificate. */
function makeCertificateReader(
  { azure }: Values,
  { certificate: source }: GatewayEntrance,
  namespace: string,
): IServiceAccount[] {
  if (!azure || 'secret' in source) return [];
  return [
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: {
        name: gatewayAccount,
        namespace,
        annotations: { 'azure.workload.identity/client-id': azure.clientId },
      },
      automountServiceAccountToken: false,
    },
  ];
}

function makeRoute(plan: Plan, parent: ParentReference): IHTTPRoute {
  const { host, namespace } = plan.values;
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: apiName, namespace, labels },
    spec: {
      parentRefs: [parent],
      hostnames: [host],
      rules: [
        {
          backendRefs: [{ name: apiName, port: apiServicePort }],
          // The API answers by itself at the deadline of a request. The gateway must wait for longer.
          timeouts: { request: `${Math.ceil(apiAnswerMs(plan) / 1000)}s` },
        },
      ],
    },
  };
}

function makeRedirect({ host, namespace }: Values, parent: ParentReference): IHTTPRoute {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: `${apiName}-to-https`, namespace, labels },
    spec: {
      parentRefs: [parent],
      hostnames: [host],
      rules: [
        {
          filters: [
            {
              type: 'RequestRedirect',
              requestRedirect: { scheme: 'https', statusCode: 301 },
            },
          ],
        },
      ],
    },
  };
}

/** Whether HTTP is redirected is up to the controller; `annotations` is where it is told. */
function makeIngress({ host, namespace }: Values, entrance: IngressEntrance): IIngress {
  const service = { name: apiName, port: { name: 'http' } };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name: apiName, namespace, labels, annotations: entrance.annotations },
    spec: {
      ingressClassName: entrance.class,
      tls: [{ hosts: [host], secretName: entrance.certificate.secret }],
      rules: [{ host, http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service } }] } }],
    },
  };
}
