/** Names that lead into a network and not to the internet, and those that lead nowhere (RFC 6761, RFC 8375). */
const PRIVATE_SUFFIXES = [
  'local',
  'localhost',
  'localdomain',
  'internal',
  'intranet',
  'lan',
  'corp',
  'home.arpa',
  'onion',
  'test',
  'invalid',
  'example',
];
const METADATA_NAMES = ['metadata', 'instance-data', 'metadata.azure.com'];

/** Of a name in its canonical form. */
export function isPrivateName(host: string): boolean {
  return (
    METADATA_NAMES.includes(host) ||
    PRIVATE_SUFFIXES.some((suffix) => host === suffix || host.endsWith(`.${suffix}`))
  );
}
