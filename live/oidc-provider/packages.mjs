// The npm packages, which `install.sh` has put outside of the repository: in the directory that the
// first argument names.

import { Console } from 'node:console';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const directory = process.argv[2];
if (!directory) {
  console.error('usage: node server.mjs DIRECTORY, which install.sh prints; the settings on standard input');
  process.exit(2);
}

// Standard output is for the report alone, and oidc-provider writes notices when it is loaded.
globalThis.console = new Console(process.stderr);

const require = createRequire(join(directory, 'package.json'));
const load = (name) => import(pathToFileURL(require.resolve(name)));

export const { Provider, errors } = await load('oidc-provider');
export const jose = await load('jose');
