/** An SMTP server that keeps copies, behind a session that queues and flushes as the real one does. */
import type { Envelope, EnvelopeVerdict, Reply, SmtpSession, Transaction } from '../../src/smtp/types.ts';
import { SmtpFault } from '../../src/smtp/types.ts';
import type { Said } from './replies.ts';

/** What happens to one transaction. */
export interface Script {
  readonly mail: Said;
  readonly recipients: readonly Said[];
  readonly data: Said;
  readonly final: Said & { readonly isDoubt: boolean };
  /** Where the connection ends; at the dot it ends after the server has it. */
  readonly cut: 'nowhere' | 'envelope' | 'body' | 'dot unsent' | 'dot';
  /** Where the server may keep a copy without saying so. */
  readonly stores: boolean;
}

export interface Copy {
  /** By the address of the message's sender, which is its id here. */
  readonly id: string;
  readonly recipients: readonly number[];
  readonly body: string;
  readonly isAnswered: boolean;
}

const CAPABILITIES = {
  pipelining: true,
  eightBitMime: true,
  smtpUtf8: true,
  enhancedStatusCodes: true,
  size: undefined,
  authMethods: [],
  startTls: false,
  keywords: [],
};

export class SimulatedRelay {
  readonly copies: Copy[] = [];
  private readonly scripts: Script[];
  private readonly calm: Script;

  /** After the scripts everything goes as in `calm`. */
  constructor(scripts: readonly Script[], calm: Script) {
    this.scripts = [...scripts];
    this.calm = calm;
  }

  /** `onWire` is told of each envelope and each dot as it leaves. */
  session(onWire: (what: 'envelope' | 'dot', envelope: Envelope, body: string) => void): SmtpSession {
    let alive = true;
    let queue: { leave: () => void; fail: (fault: SmtpFault) => void }[] = [];
    const end = () => {
      alive = false;
      for (const { fail } of queue.splice(0)) fail(new SmtpFault('dot', 'closed', 'The connection ended.'));
    };
    const begin = (envelope: Envelope): Transaction => {
      const script = this.scripts.shift() ?? this.calm;
      const verdict = Promise.withResolvers<EnvelopeVerdict>();
      verdict.promise.catch(() => {});
      let body = '';
      let dotSent = false;
      const refuse = (fault: SmtpFault) => verdict.reject(fault);
      if (!alive) refuse(new SmtpFault('mail', 'closed', 'The connection ended.'));
      queue.push({
        fail: refuse,
        leave: () => {
          onWire('envelope', envelope, '');
          if (script.cut === 'envelope') {
            refuse(new SmtpFault('mail', 'closed', 'The connection ended.'));
            end();
            return;
          }
          const said = verdictOf(script, envelope);
          verdict.resolve(said);
          if ([said.mail, ...said.recipients, said.data].some((reply) => reply?.code === 421)) end();
        },
      });
      return {
        envelope: verdict.promise,
        get dotSent() {
          return dotSent;
        },
        write: async (piece) => {
          if (!alive || script.cut === 'body') {
            end();
            throw new SmtpFault('body', 'broken', 'The connection broke.');
          }
          body += new TextDecoder().decode(piece);
        },
        finish: () => {
          const final = Promise.withResolvers<Reply>();
          final.promise.catch(() => {});
          if (!alive) final.reject(new SmtpFault('dot', 'closed', 'The connection ended.'));
          queue.push({
            fail: final.reject,
            leave: () => {
              if (script.cut === 'dot unsent') {
                final.reject(new SmtpFault('dot', 'broken', 'The connection broke.'));
                end();
                return;
              }
              dotSent = true;
              onWire('dot', envelope, body);
              this.keep(script, envelope, body);
              if (script.cut === 'dot') final.reject(new SmtpFault('dot', 'closed', 'The connection ended.'));
              else final.resolve(script.final.reply);
              if (script.cut === 'dot' || script.final.reply.code === 421) end();
            },
          });
          return final.promise;
        },
      };
    };
    return {
      capabilities: CAPABILITIES,
      get alive() {
        return alive;
      },
      ended: Promise.resolve(undefined),
      begin,
      flush: () => {
        const leaving = queue;
        queue = [];
        for (const { leave, fail } of leaving) {
          if (alive) leave();
          else fail(new SmtpFault('dot', 'closed', 'The connection ended.'));
        }
      },
      quit: async () => end(),
      destroy: end,
    };
  }

  private keep(script: Script, envelope: Envelope, body: string): void {
    const { final, cut, stores } = script;
    const isAnswered = cut === 'nowhere' && final.means === 'yes';
    if (!isAnswered && !(stores && (cut === 'dot' || final.isDoubt))) return;
    const accepted = envelope.recipients.filter(
      (_, position) => script.recipients[position]?.means === 'yes',
    );
    this.copies.push({ id: envelope.from, recipients: accepted.map(Number), body, isAnswered });
  }
}

function verdictOf({ mail, recipients, data }: Script, envelope: Envelope): EnvelopeVerdict {
  const answers = recipients.slice(0, envelope.recipients.length);
  const ready = mail.means === 'yes' && data.means === 'yes' && answers.some(({ means }) => means === 'yes');
  return { mail: mail.reply, recipients: answers.map(({ reply }) => reply), data: data.reply, ready };
}
