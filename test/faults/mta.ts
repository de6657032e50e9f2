/** A real mail server in front of a sink of ours: what it took comes out there, and its log says the same. */

import type { ScriptedServer } from '../support/scripted-smtp-server.ts';
import type { TestCa } from '../support/test-ca.ts';
import type { Way } from './mta-cells.ts';

export interface Mta {
  readonly name: string;
  readonly ways: readonly Way[];
  portOf(service: string): number;
  /** The ids under which it took messages, and of those the ones it has passed on. */
  readQueue(): Promise<{ taken: readonly string[]; passedOn: readonly string[] }>;
  /** Its id of a message that it passed on, from the `Received` header it put on top. */
  idIn(data: Buffer): string | undefined;
  stop(): Promise<void>;
}

export interface MtaInput {
  readonly ca: TestCa;
  readonly otherCa: TestCa;
  readonly sink: ScriptedServer;
}

export const LOGIN = { username: 'user', secret: 'right' } as const;

/** As it came to the mail server: without the one header that it put on top. */
export function withoutReceived(data: Buffer): Buffer {
  const text = data.toString('latin1');
  const [header = ''] = /^Received: .*\r\n(?:[ \t].*\r\n)*/.exec(text) ?? [];
  return data.subarray(header.length);
}
