// Addresses on the network, sorted by who may be connected to on a caller's behalf.
//
// An address is public if it is in none of the special ranges (ipaddr.js). Any other one counts as inside, and is
// reached only where the operator names its network. Some are reached never: they belong to the machine or the
// cloud below the service, whose credentials a caller could ask for.

import ipaddr from 'ipaddr.js';

type Address = ReturnType<typeof ipaddr.parse>;
type Network = readonly [Address, number];

const neverReached: readonly Network[] = [
  // Link-local, where clouds have their metadata.
  ...['169.254.0.0/16', 'fe80::/10'],
  // Metadata and agents elsewhere: AWS and Google by IPv6, Alibaba, Oracle, Azure.
  ...['fd00:ec2::/32', 'fd20:ce::/32', '100.100.100.200/32', '192.0.0.192/32', '168.63.129.16/32'],
  // Unspecified, multicast, broadcast.
  ...['0.0.0.0/8', '::/128', '224.0.0.0/4', 'ff00::/8', '255.255.255.255/32'],
  // IPv4 written as IPv6, and the ways from IPv6 into IPv4.
  ...[
    '::ffff:0:0/96',
    '::ffff:0:0:0/96',
    '64:ff9b::/96',
    '64:ff9b:1::/48',
    '2002::/16',
    '2001::/32',
  ],
].map((text) => ipaddr.parseCIDR(text));

/** The shortest prefixes of a network that can be named: those of the largest private networks. */
const prefixMin = { ipv4: 8, ipv6: 7 } as const;

/** Returns what is wrong with the text of a network; undefined if receivers may be in it. */
export function findNetworkFault(text: string): string | undefined {
  if (!ipaddr.isValidCIDR(text)) return 'expected a network such as 10.0.0.0/8';
  const [address, prefix] = ipaddr.parseCIDR(text);
  if (prefix < prefixMin[address.kind()]) {
    return `expected a network of at least /${prefixMin[address.kind()]}`;
  }
  const isNever = neverReached.some(
    (network) => prefix >= network[1] && isInside(address, network),
  );
  return isNever ? 'expected a network other than link-local, multicast, metadata' : undefined;
}

/**
 * Whether an address may be connected to: a public one, or one in these networks.
 * @param networks were found without fault
 */
export function isReachable(text: string, networks: readonly string[]): boolean {
  if (!ipaddr.isValid(text)) return false;
  const address = ipaddr.parse(text);
  if (neverReached.some((network) => isInside(address, network))) return false;
  if (isPublic(address)) return true;
  return networks.some((network) => isInside(address, ipaddr.parseCIDR(network)));
}

/** Of IPv6, only 2000::/3 is in use for public addresses. */
function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast') return false;
  return address.kind() === 'ipv4' || isInside(address, [ipaddr.parse('2000::'), 3]);
}

function isInside(address: Address, [base, prefix]: Network): boolean {
  return address.kind() === base.kind() && address.match([base, prefix] as never);
}
