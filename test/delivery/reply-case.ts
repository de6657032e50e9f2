import { expect } from 'vitest';
import { classifyReply, type ReplyScope } from '../../src/delivery/classify-reply.ts';
import type { Stage } from '../../src/smtp/types.ts';
import { replyOf } from './reply-of.ts';

type Verdict = 'temporary' | 'permanent' | 'hard';

/** What a server said, at which stage, and who it is about. */
export type Case = [server: string, stage: Stage, reply: string | readonly string[], ReplyScope, Verdict];

export function expectClass([, stage, text, scope, verdict]: Case): void {
  expect(classifyReply(stage, replyOf(...[text].flat()))).toEqual({
    scope,
    temporary: verdict === 'temporary',
    hard: verdict === 'hard',
  });
}
