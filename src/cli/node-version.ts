/** The first major version of Node that has what the server uses, as `engines` in package.json says. */
const NEEDED = 24;

/** Says which Node is needed when `version` (as in `process.versions.node`) is too old; undefined when it is not. */
export function oldNode(version: string): string | undefined {
  if (Number.parseInt(version, 10) >= NEEDED) return undefined;
  return `needs Node ${NEEDED} or newer, and this is Node ${version} (on Linux npm start and npx rollup-accounts bring their own)`;
}
