import type { SeededBug } from './bug.ts';

const SESSION = 'test/smtp/session.test.ts';
const FAULTS = 'test/smtp/session-faults.test.ts';
const REPLY = 'test/smtp/reply.test.ts';
const STUFFING = 'test/smtp/dot-stuffing.test.ts';
const SEAL = 'test/crypto/seal.test.ts';

const inPure = (bug: Omit<SeededBug, 'project'>): SeededBug => ({ project: 'pure', ...bug });

export const LEAF_BUGS: readonly SeededBug[] = [
  {
    name: 'reply-before-its-command',
    file: 'src/smtp/channel.ts',
    find: 'else this.#queued.push({ bytes, pending, shown: options.shown, onSent: options.onSent });',
    replace:
      'else {\n      this.#awaited.push(pending);\n      this.#queued.push({ bytes, pending: undefined, shown: options.shown, onSent: options.onSent });\n    }',
    breaks: 'A stray 250 is taken for the answer to a dot that has not left.',
    caughtBy: [SESSION],
  },
  {
    name: 'stray-reply-ignored',
    file: 'src/smtp/channel.ts',
    find: 'if (pending === undefined && reply.code !== 421) {',
    replace: 'if (pending === undefined && reply.code < 200) {',
    breaks: 'One reply too many goes unnoticed, and the next ones may be off by one.',
    caughtBy: [FAULTS],
  },
  {
    name: 'dripping-reply-gets-more-time',
    file: 'src/smtp/channel.ts',
    find: '    if (head === this.#timed) return;\n',
    replace: '',
    breaks: 'A server that sends a byte now and then holds a session for ever.',
    caughtBy: [FAULTS],
  },
  {
    name: 'injected-before-tls',
    file: 'src/smtp/channel.ts',
    find: 'const injected = this.#upgrading && this.#parser.midReply;',
    replace: 'const injected = false;',
    breaks: 'Bytes from before the handshake are believed inside TLS.',
    caughtBy: ['test/smtp/handshake.test.ts'],
  },
  {
    name: 'body-for-nobody',
    file: 'src/smtp/transaction.ts',
    find: 'ready: data?.code === 354 && !isPointless([mailReply, ...recipients]),',
    replace: 'ready: data?.code === 354,',
    breaks: 'A body goes to a server that accepted no recipient.',
    caughtBy: [SESSION],
  },
  {
    name: 'dot-never-sent',
    file: 'src/smtp/transaction.ts',
    find: 'this.#dotSent = true;',
    replace: '',
    breaks: 'Every doubt looks like a loss before the dot: second copies in silence.',
    caughtBy: [FAULTS],
  },
  {
    name: 'refused-without-reset',
    file: 'src/smtp/transaction.ts',
    find: "if (options.reset) lines.unshift(['rset', RSET]);",
    replace: "if (options.reset) lines.unshift(['rset', DATA]);",
    breaks: 'Recipients of a refused transaction may get the next message.',
    caughtBy: [SESSION],
  },
  {
    name: 'code-changes-in-mid-reply',
    file: 'src/smtp/reply.ts',
    find: "    if (code !== (this.#code ?? code)) return this.#stop('The code changes inside a multi-line reply.');\n",
    replace: '',
    breaks: 'Two replies that ran together are taken for one.',
    caughtBy: [REPLY],
  },
  {
    name: 'enhanced-code-of-another-class',
    file: 'src/smtp/reply.ts',
    find: 'if (match !== null && Number(match[1]) === Math.floor(code / 100)) {',
    replace: 'if (match !== null) {',
    breaks: 'An enhanced code that contradicts the basic code decides.',
    caughtBy: [REPLY],
  },
  {
    name: 'dot-at-the-start-of-a-piece',
    file: 'src/smtp/dot-stuffing.ts',
    find: 'if (this.#atLineStart && piece[from] === DOT) dots.push(from);',
    replace: 'if (this.#atLineStart && piece[from] === DOT && from > 0) dots.push(from);',
    breaks: 'A line with a dot at the start of a piece ends the message early.',
    caughtBy: [STUFFING],
  },
  {
    name: 'bare-lf-passes',
    file: 'src/smtp/dot-stuffing.ts',
    find: 'if (cr === -1 || lf !== cr + 1) throw new LineEndError();',
    replace: 'if (cr !== -1 && lf !== cr + 1) throw new LineEndError();',
    breaks: 'A bare LF goes out, and with it a smuggled message.',
    caughtBy: [STUFFING],
  },
  {
    name: 'end-in-mid-line',
    file: 'src/smtp/dot-stuffing.ts',
    find: "this.#atLineStart ? '.\\r\\n' : '\\r\\n.\\r\\n'",
    replace: "'.\\r\\n'",
    breaks: 'A message without a last line end never ends.',
    caughtBy: [STUFFING],
  },
  {
    name: 'sealed-for-any-account',
    file: 'src/crypto/seal.ts',
    find: 'const parts = [place.accountId, place.table,',
    replace: 'const parts = [place.table,',
    breaks: 'A value moved to another account opens there.',
    caughtBy: [SEAL],
  },
  {
    name: 'tag-not-checked',
    file: 'src/crypto/seal.ts',
    find: '    decipher.final();\n',
    replace: '',
    breaks: 'Altered values open.',
    caughtBy: [SEAL],
  },
  {
    name: 'same-iv',
    file: 'src/crypto/seal.ts',
    find: 'const iv = crypto.getRandomValues(sealed.subarray(3, HEADER_LENGTH));',
    replace: 'const iv = sealed.subarray(3, HEADER_LENGTH);',
    breaks: 'Two values under one key give each other away.',
    caughtBy: [SEAL],
  },
  {
    name: 'checksum-not-checked',
    file: 'src/crypto/api-key.ts',
    find: 'return checksumOf(body) === text.slice(-CHECKSUM_LENGTH);',
    replace: 'return body.length > 0;',
    breaks: 'A mistyped key costs a query.',
    caughtBy: ['test/crypto/api-key.test.ts'],
  },
].map(inPure);
