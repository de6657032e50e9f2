/** The files of the page at /docs that come out of a package, copied to where they are served from. */
import { copyFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './wrangler.ts';

const PACKAGE = join(ROOT, 'node_modules', 'swagger-ui-dist');
const FOLDER = join(ROOT, 'public', 'docs');
const FILES = ['swagger-ui-bundle.js', 'swagger-ui-bundle.js.LICENSE.txt', 'swagger-ui.css'];

/** Before the Worker is run or uploaded; does nothing where they are there and no older than the package's. */
export function copyDocsPage(): void {
  for (const file of FILES) {
    const from = join(PACKAGE, file);
    const to = join(FOLDER, file);
    const wanted = statSync(from);
    const found = statSync(to, { throwIfNoEntry: false });
    if (found?.size === wanted.size && found.mtimeMs >= wanted.mtimeMs) continue;
    copyFileSync(from, to);
  }
}
