/**
 * `npm run openapi` writes the API's description anew from the routes' schemas; `-- --check` only says
 * whether the file in the repository is up to date.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { ROOT } from './wrangler.ts';

const OPENAPI_FILE = join(ROOT, 'public', 'v1', 'openapi.json');

/** The routes come with what they call, and that with the platform, which is not here: nothing of it runs. */
const NO_PLATFORM = 'export const connect = undefined, env = {}, exports = {}; export class DurableObject {}';

/** Pretty, for a reviewer to see what changes; it is served compressed. */
async function openApiText(): Promise<string> {
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier.startsWith('cloudflare:')
        ? { url: `data:text/javascript,${encodeURIComponent(NO_PLATFORM)}`, shortCircuit: true }
        : next(specifier, context),
  });
  const { makeDocument } = await import('../src/http/docs/document.ts');
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  return `${JSON.stringify(makeDocument(version), null, 1)}\n`;
}

async function main(): Promise<number> {
  const text = await openApiText();
  if (!process.argv.includes('--check')) {
    writeFileSync(OPENAPI_FILE, text);
    return 0;
  }
  if (readFileSync(OPENAPI_FILE, 'utf8') === text) return 0;
  console.error('public/v1/openapi.json is not up to date: run `npm run openapi`.');
  return 1;
}

process.exitCode = await main();
