// Ports, as network policies name them.

/** Returns the port of an address, also if the address does not name it. gRPC then takes 443 without TLS, too. */
export function portOf(url: string, { isGrpc = false } = {}): number {
  const { port, protocol } = new URL(url);
  return port === '' ? (protocol === 'https:' || isGrpc ? 443 : 80) : Number(port);
}

export function tcp(port: number) {
  return { protocol: 'TCP' as const, port };
}
