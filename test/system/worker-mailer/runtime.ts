/** The small Worker, bundled and run in a workerd of its own. */
import { join } from 'node:path';
import { build } from 'esbuild';
import { convertV4MiniflareOptions, Miniflare } from 'miniflare';
import type { SendAnswer, SendRequest } from './send-worker.ts';

export interface SendRuntime {
  send(request: SendRequest): Promise<SendAnswer>;
  /** The text of another request to the same Worker. */
  alive(): Promise<string>;
  dispose(): Promise<void>;
}

export async function startSendRuntime(): Promise<SendRuntime> {
  const bundle = await build({
    entryPoints: [join(import.meta.dirname, 'send-worker.ts')],
    bundle: true,
    write: false,
    format: 'esm',
    external: ['cloudflare:*', 'node:*'],
  });
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: [{ type: 'ESModule', path: 'send-worker.mjs', contents: bundle.outputFiles[0]?.text ?? '' }],
      compatibilityDate: '2026-10-27',
      compatibilityFlags: ['nodejs_compat'],
      // The package logs every failure; the answers of the Worker say the same.
      handleStructuredLogs: () => {},
    }),
  );
  await miniflare.ready;
  return {
    async send(request) {
      const response = await miniflare.dispatchFetch('http://worker.test/send', {
        method: 'POST',
        body: JSON.stringify(request),
      });
      return (await response.json()) as SendAnswer;
    },
    async alive() {
      return await (await miniflare.dispatchFetch('http://worker.test/alive')).text();
    },
    dispose: () => miniflare.dispose(),
  };
}
