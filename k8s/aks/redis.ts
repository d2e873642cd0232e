/** Returns name and region of an Azure Managed Redis; undefined if the host is none. */
export function managedRedisPlace(host: string): { name: string; region: string } | undefined {
  const [, name, region] =
    /^([a-z0-9][a-z0-9-]{0,58}[a-z0-9])\.([a-z]+\d?)\.redis\.azure\.net$/.exec(host) ?? [];
  return name === undefined || region === undefined ? undefined : { name, region };
}
