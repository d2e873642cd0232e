// Variables of the environment whose names are almost those of settings. They are ignored like any other name, so a
// limit with a wrong letter in its name would silently not hold.

import leven from 'leven';

/** Shorter names are too near to those of others. */
const lengthMin = 6;
/** From this length on, two letters may be wrong. */
const longFrom = 10;

export interface Misspelt {
  readonly given: string;
  readonly meant: string;
}

/** Returns the names of an environment that mean a setting and are none. */
export function findMisspelt(
  settings: ReadonlySet<string>,
  environment: NodeJS.ProcessEnv,
): Misspelt[] {
  const long = [...settings].filter((name) => name.length >= lengthMin);
  return Object.keys(environment)
    .filter((given) => environment[given] && !settings.has(given))
    .flatMap((given) => {
      const meant = long.find((name) => isNear(given.toUpperCase(), name));
      return meant === undefined ? [] : [{ given, meant }];
    });
}

function isNear(given: string, name: string): boolean {
  const wrongMax = name.length >= longFrom ? 2 : 1;
  return leven(given, name, { maxDistance: wrongMax + 1 }) <= wrongMax;
}
