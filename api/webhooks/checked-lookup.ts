// Finds the addresses of a host, and lets a connection use them only if every one of them may be used.
//
// The connection gets the addresses that were checked, so a name that leads elsewhere a moment later changes
// nothing. The names are asked for over the network (c-ares): `dns.lookup` would take a thread that decoding
// images needs, for as long as a name server hangs.

import { Resolver } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { isReachable } from '../../shared/addresses.js';

/** The host, or one of its addresses, must not be connected to. */
export class ForbiddenAddress extends Error {}

type Addresses = readonly { readonly address: string; readonly family: number }[];
/** Finds all addresses of a name. Tests replace it. */
export type Resolve = (name: string) => Promise<Addresses>;

/** @throws ForbiddenAddress if the host is written as an address that must not be used; such a host is not looked up */
export function checkLiteral(host: string, networks: readonly string[]): void {
  const literal = host.replace(/^\[|\]$/g, '');
  if (isIP(literal) !== 0) checkAll(host, [literal], networks);
}

/** Makes the lookup for the connections to a host. */
export function makeCheckedLookup(networks: readonly string[], resolve: Resolve): LookupFunction {
  return (name, options, callback) => {
    resolve(name).then(
      (found) => {
        try {
          const wanted = found.filter(({ family }) => !options.family || family === options.family);
          const addresses = found.map(({ address }) => address);
          checkAll(name, addresses, networks);
          const [first] = wanted;
          if (!first) throw new Error(`${name} has no address`);
          if (options.all) callback(null, [...wanted]);
          else callback(null, first.address, first.family);
        } catch (error) {
          callback(error as Error, '');
        }
      },
      (error) => callback(error, ''),
    );
  };
}

function checkAll(name: string, addresses: readonly string[], networks: readonly string[]): void {
  const wrong = addresses.find((address) => !isReachable(address, networks));
  if (wrong === undefined) return;
  const where = wrong === name ? name : `${name} leads to ${wrong}, which`;
  throw new ForbiddenAddress(
    `${where} is not a public address, nor in a network that WEBHOOK_HOSTS names for this host`,
  );
}

/** Asks the name servers of the machine. */
export function makeResolve(): Resolve {
  return async (name) => {
    // A resolver reads only once which name servers there are, and the network of the machine may change.
    const resolver = new Resolver({ timeout: 2000, tries: 2 });
    const [four, six] = await Promise.allSettled([
      resolver.resolve4(name),
      resolver.resolve6(name),
    ]);
    const found = [
      ...(four.status === 'fulfilled' ? four.value.map((address) => ({ address, family: 4 })) : []),
      ...(six.status === 'fulfilled' ? six.value.map((address) => ({ address, family: 6 })) : []),
    ];
    if (found.length === 0 && four.status === 'rejected') {
      const { code } = four.reason as NodeJS.ErrnoException;
      throw new Error(`the name servers know no address of ${name} (${code})`);
    }
    return found;
  };
}
