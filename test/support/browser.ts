/**
 * A headless Chromium, as a person with scripts switched off would use one: pages are looked at, and buttons pressed
 * with the mouse at the place where they are. It speaks the DevTools protocol over a WebSocket and needs no package.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Where a Chromium is; undefined where there is none. */
export function findChromium(): string | undefined {
  return PLACES.find((place) => existsSync(place));
}

// biome-ignore lint/suspicious/noExplicitAny: what the protocol answers is whatever the test asked for
type Result = any;

export interface Browser {
  open(url: string, options: { readonly width: number; readonly height: number }): Promise<void>;
  /** Presses what the selector finds, and waits for the page that follows if there is one to come. */
  press(selector: string, options?: { readonly leads: boolean }): Promise<void>;
  /** Roles and names as a screen reader gets them. */
  spoken(): Promise<{ readonly role: string; readonly name: string }[]>;
  /** Wider than the window means that one has to scroll to the side. */
  contentWidth(): Promise<number>;
  screenshot(): Promise<Buffer>;
  close(): Promise<void>;
}

export async function startBrowser(executable: string): Promise<Browser> {
  const profile = await mkdtemp(join(tmpdir(), 'edge-relay-browser-'));
  const child = spawn(
    executable,
    [
      '--headless=new',
      '--no-sandbox',
      '--no-first-run',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--disable-default-apps',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      'about:blank',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const endpoint = await new Promise<URL>((resolve, reject) => {
    child.once('exit', () => reject(new Error('the browser ended')));
    createInterface({ input: child.stderr }).on('line', (line) => {
      const found = /DevTools listening on (ws:\S+)/.exec(line)?.[1];
      if (found) resolve(new URL(found));
    });
  });
  const targets: Result = await (await fetch(`http://${endpoint.host}/json/list`)).json();
  const page = targets.find(({ type }: Result) => type === 'page');
  const socket = new WebSocket(page.webSocketDebuggerUrl);
  await once(socket, 'open');
  const waiting = new Map<number, { resolve: (result: Result) => void; reject: (error: Error) => void }>();
  const listeners = new Map<string, () => void>();
  socket.addEventListener('message', ({ data }) => {
    const { id, method, result, error } = JSON.parse(String(data));
    if (id === undefined) return listeners.get(method)?.();
    const call = waiting.get(id);
    waiting.delete(id);
    if (error) call?.reject(new Error(`${error.message}`));
    else call?.resolve(result);
  });
  let calls = 0;
  const send = (method: string, params: object = {}) =>
    new Promise<Result>((resolve, reject) => {
      waiting.set(++calls, { resolve, reject });
      socket.send(JSON.stringify({ id: calls, method, params }));
    });
  const loaded = () => new Promise<void>((resolve) => listeners.set('Page.loadEventFired', resolve));
  await send('Page.enable');
  await send('DOM.enable');
  await send('Emulation.setScriptExecutionDisabled', { value: true });

  return {
    async open(url, { width, height }) {
      await send('Emulation.setDeviceMetricsOverride', {
        width,
        height,
        deviceScaleFactor: 1,
        mobile: width < 500,
      });
      const done = loaded();
      await send('Page.navigate', { url });
      await done;
    },
    async press(selector, { leads } = { leads: true }) {
      const { root } = await send('DOM.getDocument');
      const { nodeId } = await send('DOM.querySelector', { nodeId: root.nodeId, selector });
      if (!nodeId) throw new Error(`there is no ${selector}`);
      await send('DOM.scrollIntoViewIfNeeded', { nodeId });
      const { model } = await send('DOM.getBoxModel', { nodeId });
      const [left, top, , , right, bottom] = model.content;
      const at = { x: (left + right) / 2, y: (top + bottom) / 2, button: 'left', clickCount: 1 };
      const done = loaded();
      await send('Input.dispatchMouseEvent', { type: 'mousePressed', ...at });
      await send('Input.dispatchMouseEvent', { type: 'mouseReleased', ...at });
      if (leads) await done;
    },
    async spoken() {
      const { nodes } = await send('Accessibility.getFullAXTree');
      return nodes
        .filter(({ ignored }: Result) => !ignored)
        .map(({ role, name }: Result) => ({ role: role?.value ?? '', name: name?.value ?? '' }));
    },
    async contentWidth() {
      return (await send('Page.getLayoutMetrics')).cssContentSize.width;
    },
    async screenshot() {
      return Buffer.from((await send('Page.captureScreenshot', { format: 'png' })).data, 'base64');
    },
    async close() {
      socket.close();
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
      await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}
