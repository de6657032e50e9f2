/** Writes `docs/sdk.md`: what each method of the official SDK does here. `--check` only compares. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SDK_SUPPORT, type Support } from './sdk-support.ts';
import { sdkMethods, sdkVersion } from './sdk-surface.ts';

export const SDK_PAGE = join(import.meta.dirname, '../docs/sdk.md');

export function sdkTable(): string {
  const methods = sdkMethods();
  const count = (status: Support['status']) =>
    methods.filter((method) => SDK_SUPPORT[method]?.status === status).length;
  const rows = methods.map((method) => `| \`${method}\` | ${said(SDK_SUPPORT[method])} |`);
  return [
    '# The official SDK',
    '',
    `Every method of the \`resend\` package, version ${sdkVersion()}, called with \`RESEND_BASE_URL=https://<your host>/v1\`:`,
    `${count('works')} work, ${count('later')} come later, ${count('refused')} are refused. A call that is not served is`,
    'answered with 404; it is never taken and forgotten. This page is made by `npm run sdk-table`.',
    '',
    '| method | here |',
    '| --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

function said(support: Support | undefined): string {
  if (!support) return '**not decided**';
  if (support.status === 'refused') return `refused, because ${support.because}`;
  return support.note === undefined ? support.status : `${support.status}: ${support.note}`;
}

if (process.argv[1] === import.meta.filename) {
  if (process.argv.includes('--check')) {
    if (readFileSync(SDK_PAGE, 'utf8') !== sdkTable())
      throw new Error('docs/sdk.md is stale: npm run sdk-table');
  } else writeFileSync(SDK_PAGE, sdkTable());
}
