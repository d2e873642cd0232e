// The packages that run in production, with their licences, as package-lock.json has them. The list is
// the same on every platform: the lock file also names the packages for other ones.

export interface RuntimePackage {
  readonly name: string;
  readonly version: string;
  /** An SPDX expression; undefined if the package states none. */
  readonly licence: string | undefined;
}

/** Licences that ask no more than to be named. */
const allowed: ReadonlySet<string> = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'ISC',
  'MIT',
  'PSF-2.0',
]);

/** Is allowed for shared libraries, which whoever runs the service may replace. */
const libraryLicence = 'LGPL-3.0-or-later';
const libraries = /^@img\/sharp-/;

/** Returns the packages that run in production, sorted. */
export function readRuntimePackages(lockFile: string): RuntimePackage[] {
  const { packages } = JSON.parse(lockFile) as {
    packages: Record<string, { version: string; license?: string; dev?: boolean }>;
  };
  const rows = Object.entries(packages)
    .filter(([place, { dev }]) => place !== '' && !dev)
    .map(([place, { version, license }]) => ({
      name: place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version,
      licence: license,
    }));
  // The same version can be in several places.
  const unique = new Map(rows.map((row) => [`${row.name} ${row.version}`, row]));
  return [...unique].toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([, row]) => row);
}

/** Whether we may ship a package. */
export function isAllowed({ name, licence = '' }: RuntimePackage): boolean {
  const isFine = (text: string) =>
    allowed.has(text) || (text === libraryLicence && libraries.test(name));
  const choices = licence.replace(/^\((.*)\)$/, '$1').split(' OR ');
  // Brackets within are in no name of a licence, so such an expression is refused.
  return choices.some((choice) => choice.split(' AND ').every(isFine));
}

export function licencesPage(packages: readonly RuntimePackage[], header: string): string {
  const rows = packages.map(
    ({ name, version, licence }) => `| ${name} | ${version} | ${licence ?? 'none stated'} |`,
  );
  return `# Licences of the packages

${header}

These ${packages.length} npm packages run in production, or would on another platform. The licences are those that the
packages state. A test fails if one is not among these: ${[...allowed].join(', ')}. ${libraryLicence}
is allowed for libvips, the library of sharp: it is a shared library in a package of its own, so you may replace it.

[NOTICE](../NOTICE) names models, photographs and texts of others. The parts of the base images of containers are
not listed.

| package | version | licence |
|---|---|---|
${rows.join('\n')}
`;
}
