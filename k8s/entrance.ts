// How clients reach the API: by the Gateway API, or by an Ingress on clusters that have a controller for
// it. Both end TLS.
//
// Neither limits how long a request may take. The API ends what takes too long by itself, with a reason, and some
// answers last: events of a job ten minutes, a stream of lines as long as its client sends.
//
// The objects of the Gateway API say what the API server would fill into their lists. Otherwise tools that compare
// manifests with the cluster, such as Argo CD, find a difference for ever.

import type { IGateway } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/Gateway';
import type { IHTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute';
import type { IIngress } from 'kubernetes-models/networking.k8s.io/v1/Ingress';
import type { INetworkPolicyPeer } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicyPeer';
import type { INamespace } from 'kubernetes-models/v1/Namespace';
import type { IServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import { apiName, apiServicePort } from './api.js';
import { gatewayNamespace, selectorOf } from './names.js';
import { namespaceNameLabel } from './namespace.js';
import type { KubernetesObject } from './objects.js';
import type { Values } from './values.js';

type GatewayEntrance = Extract<Values['entrance'], { kind: 'gateway' }>;
type IngressEntrance = Extract<Values['entrance'], { kind: 'ingress' }>;
type ParentReference = NonNullable<IHTTPRoute['spec']['parentRefs']>[number];
type Rule = NonNullable<IHTTPRoute['spec']['rules']>[number];

const gatewayGroup = 'gateway.networking.k8s.io';
const gatewayName = 'scoreline';
/** The account by which AKS reads the certificate. */
export const gatewayAccount = gatewayName;
const gatewayLabels = { 'app.kubernetes.io/name': 'scoreline' };
const labels = selectorOf('api');

export function makeEntrance(values: Values): KubernetesObject[] {
  const { entrance } = values;
  if (entrance.kind === 'gateway') return makeGatewayObjects(values, entrance);
  if (entrance.kind === 'ingress') return [makeIngress(values, entrance)];
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
function makeGatewayObjects(values: Values, entrance: GatewayEntrance): KubernetesObject[] {
  const namespace = gatewayNamespace(values.namespace);
  const home: INamespace = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name: namespace,
      labels: { ...gatewayLabels, 'pod-security.kubernetes.io/enforce': 'baseline' },
    },
  };
  const parent = (sectionName: string) => ({
    ...{ group: gatewayGroup, kind: 'Gateway', name: gatewayName, namespace, sectionName },
  });
  return [
    home,
    ...makeCertificateReader(values, entrance, namespace),
    makeGateway(values, entrance, namespace),
    makeRoute(values, apiName, {
      parent: parent('https'),
      rule: {
        backendRefs: [
          { group: '', kind: 'Service', name: apiName, port: apiServicePort, weight: 1 },
        ],
        // None. Gateways have a limit of their own if nothing is said.
        timeouts: { request: '0s' },
      },
    }),
    makeRoute(values, `${apiName}-to-https`, {
      parent: parent('http'),
      rule: {
        filters: [
          { type: 'RequestRedirect', requestRedirect: { scheme: 'https', statusCode: 301 } },
        ],
      },
    }),
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
      labels: gatewayLabels,
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
  if ('secret' in source)
    return { certificateRefs: [{ group: '', kind: 'Secret', name: source.secret }] };
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

function makeRoute(
  { host, namespace }: Values,
  name: string,
  { parent, rule }: { parent: ParentReference; rule: Rule },
): IHTTPRoute {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name, namespace, labels },
    spec: {
      parentRefs: [parent],
      hostnames: [host],
      rules: [{ matches: [{ path: { type: 'PathPrefix', value: '/' } }], ...rule }],
    },
  };
}

/**
 * By default, nginx ends an answer that pauses for a minute, refuses bodies of more than 1 MB, and passes a body on
 * when it is complete, so a stream of lines would get no answer before its end. The API has limits of its own for all
 * of these. Other controllers ignore the annotations.
 */
const nginxAnnotations = Object.fromEntries(
  Object.entries({
    'proxy-body-size': '0',
    'proxy-read-timeout': '3600',
    'proxy-request-buffering': 'off',
    'proxy-send-timeout': '3600',
  }).map(([name, value]) => [`nginx.ingress.kubernetes.io/${name}`, value]),
);

/** Whether HTTP is redirected is up to the controller; `annotations` is where it is told. */
function makeIngress({ host, namespace }: Values, entrance: IngressEntrance): IIngress {
  const service = { name: apiName, port: { name: 'http' } };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: {
      name: apiName,
      namespace,
      labels,
      annotations: { ...nginxAnnotations, ...entrance.annotations },
    },
    spec: {
      ingressClassName: entrance.class,
      tls: [{ hosts: [host], secretName: entrance.certificate.secret }],
      rules: [{ host, http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service } }] } }],
    },
  };
}
