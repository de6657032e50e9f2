/**
 * The shape of `src/`: who may import whom, and what may be written where. There is no list of exceptions;
 * a file that breaks a rule is named with its line, and is to be changed, or the rule for everybody.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseAst } from 'vitest/node';

/** `path` is relative to `src/`, with forward slashes. */
interface Source {
  readonly path: string;
  readonly text: string;
}

const LEAVES = ['smtp', 'mime', 'render', 'crypto', 'web'];
/** Files of `src/` itself that everything but a leaf may import. */
const SHARED = ['errors.ts', 'ids.ts', 'env.ts', 'log.ts'];

/**
 * What each folder, and each file of `src/` itself, may import besides itself and the shared files: a folder
 * or a file, and with `type ` before it only its types. What is not in here does not exist.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'worker.ts': ['app.ts', 'http', 'services', 'outbox', 'relay-gate'],
  'app.ts': ['http'],
  'env.ts': ['type outbox', 'type relay-gate'],
  'errors.ts': [],
  'ids.ts': [],
  'log.ts': [],
  http: ['services', 'outbox/client.ts', 'mime', 'render', 'crypto', 'type smtp'],
  services: ['store', 'outbox/client.ts', ...LEAVES],
  store: LEAVES.map((leaf) => `type ${leaf}`),
  outbox: ['delivery', 'store', 'relay-gate/client.ts', ...LEAVES],
  'relay-gate': ['delivery'],
  delivery: LEAVES.map((leaf) => `type ${leaf}`),
  ...Object.fromEntries(LEAVES.map((leaf) => [leaf, []])),
};

/** Packages that only some files may import. Everything else of npm and of the platform is free to all but `delivery`. */
const PACKAGES: readonly { readonly name: RegExp; readonly only: RegExp; readonly rule: string }[] = [
  {
    name: /^cloudflare:sockets$/,
    only: /^smtp\/connection\.ts$/,
    rule: 'only smtp/connection.ts opens sockets',
  },
  {
    name: /^cloudflare:/,
    only: /^(worker\.ts|smtp\/connection\.ts|(outbox|relay-gate|services|http)\/.*)$/,
    rule: 'the platform is out of reach of the store, the leaves and delivery',
  },
  {
    name: /^(node:)?(net|tls|dns|dgram|https?|http2|fs|child_process|worker_threads)(\/|$)/,
    only: /^$/,
    rule: 'nothing does I/O through node',
  },
  { name: /^drizzle-/, only: /^store\//, rule: 'only store/ knows drizzle' },
  {
    name: /^(hono|@hono\/[^/]+)(\/|$)/,
    only: /^(http\/.*|app\.ts)$/,
    rule: 'only http/ and app.ts know Hono',
  },
  { name: /^nodemailer(\/|$)/, only: /^mime\//, rule: 'nodemailer composes in mime/, and does nothing else' },
  { name: /^/, only: /^(?!delivery\/)/, rule: 'delivery is pure and imports no package' },
];

/** The places that may make an AccountScope. A maker that is not in here may be called nowhere. */
const SCOPE_MAKERS: Readonly<Record<string, RegExp>> = {
  scopeOfAuthenticatedKey: /^services\/authenticate[a-z-]*\.ts$/,
  scopeOfVerifiedToken: /^services\/[a-z-]*token[a-z-]*\.ts$/,
  scopeOfOperator: /^services\/service-context\.ts$/,
  scopeOfNewAccount: /^services\/service-context\.ts$/,
  scopeOfDeployment: /^services\/service-context\.ts$/,
  scopeOfOutbox: /^outbox\/[a-z-]+\.ts$/,
  scopeOfSupportGrant: /^services\/[a-z-]*grant[a-z-]*\.ts$/,
};
const SCOPE_MAKER = /^scope(Of|From|For)[A-Z]/;
const SCOPE_FILE = 'store/db.ts';

const MAX_LINES = 400;
const ENTRY_MAX_LINES = 60;
const LOGIC = /^(If|For|ForIn|ForOf|While|DoWhile|Switch|Try)Statement$|^(Conditional|Logical)Expression$/;
/** The only file that makes HTTP requests; what `worker.ts` calls is the app itself. */
const FETCHES = 'web/safe-fetch.ts';
/** A name that ends so holds what is compared in constant time; an encoding after it does not change that. */
const SECRET_WORDS = new Set([
  'signature',
  'sig',
  'mac',
  'hmac',
  'token',
  'hash',
  'digest',
  'secret',
  'password',
]);
const ENCODINGS = new Set(['hex', 'base', 'base64', '64', 'b64', 'bytes', 'buffer', 'text', 'string']);

interface Node {
  readonly type: string;
  readonly start: number;
  readonly [field: string]: unknown;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
}

function* nodesOf(node: Node): Generator<Node> {
  yield node;
  for (const child of Object.values(node).flat()) if (isNode(child)) yield* nodesOf(child);
}

interface Import {
  /** Absent where the name is computed. */
  readonly specifier: string | undefined;
  readonly typeOnly: boolean;
  readonly start: number;
}

function importOf(node: Node): Import | undefined {
  const source = node.type === 'TSImportEqualsDeclaration' ? expressionOf(node.moduleReference) : node.source;
  const required = node.type === 'CallExpression' && nameOf(node.callee) === 'require';
  const named = required ? (node.arguments as Node[])[0] : source;
  if (!isNode(named)) return undefined;
  const specifier = typeof named.value === 'string' ? named.value : undefined;
  return { specifier, typeOnly: isTypeOnly(node), start: node.start };
}

function isTypeOnly(node: Node): boolean {
  if (node.type === 'TSImportType' || node.importKind === 'type' || node.exportKind === 'type') return true;
  const specifiers = (node.specifiers ?? []) as Node[];
  return specifiers.length > 0 && specifiers.every((one) => (one.importKind ?? one.exportKind) === 'type');
}

function expressionOf(reference: unknown): unknown {
  return isNode(reference) ? reference.expression : undefined;
}

/** What an expression is called: the variable, the last property, or the function called. */
function nameOf(node: unknown): string {
  if (!isNode(node)) return '';
  if (node.type === 'Identifier') return String(node.name);
  if (node.type === 'Literal') return typeof node.value === 'string' ? node.value : '';
  if (node.type === 'MemberExpression') return nameOf(node.property);
  if (node.type === 'CallExpression') return nameOf(node.callee);
  return nameOf(node.expression ?? node.argument);
}

function holdsSecret(node: unknown): boolean {
  if (!isNode(node) || node.type === 'Literal' || node.type === 'UnaryExpression') return false;
  const words = nameOf(node).split(/_|(?<=[a-z0-9])(?=[A-Z])|(?<=[a-z])(?=\d)/);
  while (ENCODINGS.has(words.at(-1)?.toLowerCase() ?? '')) words.pop();
  return SECRET_WORDS.has(words.at(-1)?.toLowerCase() ?? '');
}

function isConstant(node: unknown): boolean {
  return (
    isNode(node) &&
    (node.type === 'Literal' || node.type === 'UnaryExpression' || nameOf(node) === 'undefined')
  );
}

/** The folder of a file, or the file itself where it lies in `src/`. */
function partOf(path: string): string {
  return path.split('/')[0] ?? path;
}

function violationsOf(sources: readonly Source[]): string[] {
  const found: string[] = [];
  const edges = new Map<string, Set<string>>();
  const scopeCallers = new Map<string, string[]>();
  for (const { path, text } of sources) {
    const part = partOf(path);
    const report = (start: number, rule: string) =>
      found.push(`src/${path}:${text.slice(0, start).split('\n').length}: ${rule}`);

    if (!MAY_IMPORT[part]) report(0, `${part} has no place in the layout`);
    const lines = text.trimEnd().split('\n').length;
    if (lines > MAX_LINES) report(0, `${lines} lines are more than ${MAX_LINES}`);
    if (path === 'worker.ts' && lines > ENTRY_MAX_LINES)
      report(0, `the entry has more than ${ENTRY_MAX_LINES} lines`);

    const program = parseAst(text, { lang: path.endsWith('x') ? 'tsx' : 'ts' }) as unknown as Node;
    const makers = new Set<string>();
    for (const node of nodesOf(program)) {
      const imported = importOf(node);
      if (imported) {
        for (const rule of brokenByImport(path, imported)) report(node.start, rule);
        const target = targetOf(path, imported.specifier);
        // The bindings of env.ts name the class they lead to, which is no dependency at run time.
        const named = imported.typeOnly && part === 'env.ts';
        if (target && !named) edges.set(part, (edges.get(part) ?? new Set()).add(partOf(target)));
      }
      for (const rule of brokenByNode(path, node)) report(node.start, rule);
      if (node.type === 'Identifier' && SCOPE_MAKER.test(nameOf(node)) && path !== SCOPE_FILE)
        makers.add(nameOf(node));
    }
    for (const maker of makers) {
      if (!SCOPE_MAKERS[maker]?.test(path)) report(0, `${maker} makes an AccountScope outside of its place`);
      scopeCallers.set(maker, [...(scopeCallers.get(maker) ?? []), path]);
    }
  }
  for (const [maker, paths] of scopeCallers) {
    if (paths.length > 1)
      found.push(`src/${paths.join(', src/')}: ${maker} is called in more than one place`);
  }
  return [...found, ...cyclesOf(edges)];
}

/** The file in `src/` that an import leads to; undefined for a package. */
function targetOf(path: string, specifier: string | undefined): string | undefined {
  if (!specifier?.startsWith('.')) return undefined;
  return normalize(join(dirname(path), specifier)).replaceAll('\\', '/');
}

function* brokenByImport(path: string, { specifier, typeOnly }: Import): Generator<string> {
  if (specifier === undefined) return yield 'imports a file that only shows when it runs';
  const target = targetOf(path, specifier);
  if (target === undefined) {
    const broken = PACKAGES.find(({ name, only }) => name.test(specifier) && !only.test(path));
    if (broken) yield `imports ${specifier}, but ${broken.rule}`;
    return;
  }
  const from = partOf(path);
  const to = partOf(target);
  if (from === to) return;
  const kind = typeOnly ? 'the type of ' : '';
  if (LEAVES.includes(from)) yield `imports ${kind}${target}, but a leaf imports nothing of ours`;
  else if (!SHARED.includes(target)) {
    const allowed = MAY_IMPORT[from] ?? [];
    const asValue = allowed.includes(to) || allowed.includes(target);
    const asType = typeOnly && allowed.includes(`type ${to}`);
    if (!asValue && !asType)
      yield `imports ${kind}${target}, but ${from} may import ${allowed.join(', ') || 'nothing'}`;
  }
}

function* brokenByNode(path: string, node: Node): Generator<string> {
  if (node.type === 'TSAnyKeyword') yield 'the type any is used';
  if (node.type === 'MemberExpression') {
    if (nameOf(node.object) === 'sql' && nameOf(node.property) === 'raw')
      yield 'sql.raw puts text into a statement';
    if (nameOf(node.object) === 'console' && path !== 'log.ts') yield 'console is for log.ts only';
  }
  if (node.type === 'CallExpression' && nameOf(node.callee) === 'fetch' && path !== FETCHES) {
    const [of] = isNode(node.callee) ? [nameOf(node.callee.object)] : [];
    if (path !== 'worker.ts' || of !== 'app') yield `fetch is called outside of ${FETCHES}`;
  }
  if (node.type === 'NewExpression' && /^(Account)?Scope$/.test(nameOf(node.callee)) && path !== SCOPE_FILE) {
    yield `an AccountScope is made outside of ${SCOPE_FILE}`;
  }
  if (node.type === 'BinaryExpression' && /^[!=]==?$/.test(String(node.operator))) {
    const [left, right] = [node.left, node.right];
    if ((holdsSecret(left) && !isConstant(right)) || (holdsSecret(right) && !isConstant(left))) {
      yield `${nameOf(left)} ${node.operator} ${nameOf(right)} is not compared in constant time`;
    }
  }
  if (path === 'worker.ts' && LOGIC.test(node.type)) yield 'the entry has no logic';
}

function cyclesOf(edges: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const found = new Map<string, string>();
  const visit = (part: string, trail: readonly string[]) => {
    if (trail.includes(part)) {
      const cycle = trail.slice(trail.indexOf(part));
      const key = [...cycle].sort().join();
      if (!found.has(key)) found.set(key, `src: the imports of ${cycle.join(' → ')} → ${part} go round`);
      return;
    }
    for (const next of edges.get(part) ?? []) if (next !== part) visit(next, [...trail, part]);
  };
  for (const part of edges.keys()) visit(part, []);
  return [...found.values()];
}

function readSources(): Source[] {
  const root = join(import.meta.dirname, '../src');
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.tsx?$/.test(path))
    .map((path) => ({ path: path.replaceAll('\\', '/'), text: readFileSync(join(root, path), 'utf8') }));
}

describe('the sources', () => {
  test('keep the arrows of the design and the rules of their places', () => {
    const sources = readSources();
    expect(sources.map(({ path }) => path)).toContain('errors.ts');
    expect(violationsOf(sources)).toEqual([]);
  });
});

const SCOPE_IMPORT = "import { scopeOfOutbox } from '../store/db.ts';";

describe('a violation is found', () => {
  test.each<[string, string, string]>([
    ['http/a.ts', "import { x } from '../store/b.ts';", 'imports store/b.ts, but http may'],
    ['http/a.ts', "import type { X } from '../store/b.ts';", 'imports the type of store/b.ts'],
    ['http/a.ts', "import { x } from '../outbox/pump.ts';", 'imports outbox/pump.ts, but http may'],
    ['http/a.ts', "export { x } from '../smtp/session.ts';", 'imports smtp/session.ts, but http may'],
    ['services/a.ts', "import { x } from '../outbox/outbox.ts';", 'outbox/outbox.ts, but services'],
    ['services/a.ts', "import { x } from '../http/b.ts';", 'imports http/b.ts, but services'],
    ['services/a.ts', "import { app } from '../app.ts';", 'imports app.ts, but services'],
    ['store/a.ts', "import { x } from '../services/a.ts';", 'imports services/a.ts, but store'],
    ['store/a.ts', "import { seal } from '../crypto/seal.ts';", 'imports crypto/seal.ts, but store'],
    ['outbox/pump.ts', "const x = await import('../services/a.ts');", 'imports services/a.ts, but outbox'],
    ['outbox/pump.ts', 'const x = await import(name);', 'imports a file that only shows'],
    ['smtp/session.ts', "import { AppError } from '../errors.ts';", 'a leaf imports nothing of ours'],
    ['mime/dkim.ts', "type T = import('../crypto/seal.ts').SealingKey;", 'a leaf imports nothing of ours'],
    ['crypto/seal.ts', "export * from '../ids.ts';", 'a leaf imports nothing of ours'],
    ['delivery/a.ts', "import { x } from '../smtp/reply.ts';", 'imports smtp/reply.ts, but delivery'],
    ['delivery/a.ts', "import { createHash } from 'node:crypto';", 'delivery is pure'],
    ['delivery/a.ts', "import { type X } from '../outbox/pump.ts';", 'the type of outbox/pump.ts'],
    ['env.ts', "import { Outbox } from './outbox/outbox.ts';", 'imports outbox/outbox.ts, but env.ts'],
    ['app.ts', "import { x } from './store/a.ts';", 'imports store/a.ts, but app.ts'],
    ['services/a.ts', "import { x } from '../../test/x.ts';", 'imports ../test/x.ts'],
    ['utils/text.ts', 'export const x = 1;', 'utils has no place in the layout'],
    ['smtp/a.ts', "import { x } from 'cloudflare:sockets';", 'only smtp/connection.ts opens'],
    ['outbox/pump.ts', "import { x } from 'cloudflare:sockets';", 'only smtp/connection.ts opens'],
    ['crypto/seal.ts', "import { env } from 'cloudflare:workers';", 'out of reach of the store, the leaves'],
    ['smtp/connection.ts', "import { connect } from 'node:net';", 'nothing does I/O through node'],
    ['smtp/connection.ts', "const tls = require('tls');", 'nothing does I/O through node'],
    ['outbox/ledger/rows.ts', "import { eq } from 'drizzle-orm';", 'only store/ knows drizzle'],
    ['services/a.ts', "import type { Context } from 'hono';", 'only http/ and app.ts know Hono'],
    ['services/a.ts', "import { zValidator } from '@hono/zod-validator';", 'only http/ and app.ts know Hono'],
    ['outbox/pump.ts', "import mailer from 'nodemailer';", 'nodemailer composes in mime/'],
    ['services/a.ts', "import { scopeOfOutbox } from '../store/db.ts';", 'scopeOfOutbox makes an'],
    ['outbox/pump.ts', 'db.scopeOfAnything(d1, id);', 'scopeOfAnything makes'],
    ['services/a.ts', 'const s = scopeOfAnything(d1, id);', 'scopeOfAnything makes an AccountScope outside'],
    ['store/a.ts', 'const s = new Scope(db, id);', 'an AccountScope is made outside of store/db.ts'],
    ['store/a.ts', 'const q = sql.raw(text);', 'sql.raw puts text into a statement'],
    ['store/a.ts', "const q = sql['raw'](text);", 'sql.raw puts text into a statement'],
    ['services/a.ts', 'const x = y as any;', 'the type any is used'],
    ['services/a.ts', 'const x = y as unknown as any[];', 'the type any is used'],
    ['services/a.ts', 'console.log(1);', 'console is for log.ts only'],
    ['outbox/pump.ts', "await fetch('https://a.test');", 'fetch is called outside of'],
    ['mime/compose.ts', 'await globalThis.fetch(url);', 'fetch is called outside of'],
    ['services/a.ts', 'await fetch(url);', 'fetch is called outside of'],
    ['worker.ts', 'await fetch(url);', 'fetch is called outside of'],
    ['services/a.ts', 'if (signature === expected) ok();', 'signature === expected is not compared'],
    ['services/a.ts', 'if (row.keyHash !== hashOf(key)) no();', 'keyHash !== hashOf is not compared'],
    ['services/a.ts', 'if (given == adminToken) ok();', 'given == adminToken is not compared'],
    ['services/a.ts', 'if (macHex === macOf(x)) ok();', 'macHex === macOf is not compared'],
    ['worker.ts', 'export default { fetch(r) { if (r) return 1; } };', 'the entry has no logic'],
  ])('in %s: %j', (path, text, message) => {
    const found = violationsOf([{ path, text }]);
    expect(found).toEqual([expect.stringContaining(message)]);
    expect(found[0]).toMatch(new RegExp(`^src/${path.replaceAll('.', '\\.')}:\\d+: `));
  });

  test('in a file that is too long, or an entry that does too much', () => {
    const long = { path: 'services/a.ts', text: 'x;\n'.repeat(401) };
    const entry = { path: 'worker.ts', text: 'x;\n'.repeat(61) };
    expect(violationsOf([long, entry])).toEqual([
      'src/services/a.ts:1: 401 lines are more than 400',
      'src/worker.ts:1: the entry has more than 60 lines',
    ]);
  });

  test('where one maker of a scope is called in two places', () => {
    const callers = ['outbox/pump.ts', 'outbox/outbox.ts'].map((path) => ({ path, text: SCOPE_IMPORT }));
    expect(violationsOf(callers)).toEqual([
      'src/outbox/pump.ts, src/outbox/outbox.ts: scopeOfOutbox is called in more than one place',
    ]);
  });

  test('where folders import each other in a circle, by types too', () => {
    const sources = [
      { path: 'services/a.ts', text: "import { b } from '../store/b.ts';" },
      { path: 'store/b.ts', text: "import type { C } from '../smtp/c.ts';" },
      { path: 'smtp/c.ts', text: "import type { A } from '../services/a.ts';" },
    ];
    expect(violationsOf(sources)).toContain(
      'src: the imports of services → store → smtp → services go round',
    );
  });

  test('at the line where it is', () => {
    const text = "// import { x } from 'hono';\n\nimport { x } from 'hono';";
    expect(violationsOf([{ path: 'store/a.ts', text }])).toEqual([
      expect.stringMatching(/^src\/store\/a\.ts:3: /),
    ]);
  });
});

describe('what is allowed is not reported', () => {
  test.each<[string, string]>([
    ['http/a.ts', "import { Hono } from 'hono'; import { send } from '../services/a.ts';"],
    ['http/a.ts', "import { outboxOf } from '../outbox/client.ts'; import { isId } from '../ids.ts';"],
    ['app.ts', "import { Hono } from 'hono'; import { emails } from './http/a.ts';"],
    ['services/authenticate-key.ts', "import { scopeOfAuthenticatedKey } from '../store/db.ts';"],
    ['services/a.ts', "import { parse } from '../mime/parse.ts'; import { seal } from '../crypto/seal.ts';"],
    ['outbox/outbox.ts', SCOPE_IMPORT],
    ['outbox/outbox.ts', "import { DurableObject as D } from 'cloudflare:workers'; class O { fetch() {} }"],
    ['store/a.ts', "import { eq, sql } from 'drizzle-orm'; import type { TlsMode } from '../smtp/types.ts';"],
    ['delivery/a.ts', "import { type X } from '../smtp/types.ts'; import { y } from '../errors.ts';"],
    ['smtp/connection.ts', "import { x } from 'cloudflare:sockets'; import { x } from './types.ts';"],
    ['env.ts', "import * as z from 'zod'; import type { Outbox } from './outbox/outbox.ts';"],
    [
      'worker.ts',
      "import { app } from './app.ts'; export { Outbox } from './outbox/outbox.ts'; export default app;",
    ],
    ['log.ts', 'console.log(1);'],
    ['web/safe-fetch.ts', 'await fetch(url);'],
    ['worker.ts', 'export default { fetch: (r, e, c) => app.fetch(r, e, c) };'],
    ['services/a.ts', "const text = 'console.log(1) as any === hash'; // sql.raw(x)"],
    [
      'services/a.ts',
      "if (token === undefined || hash.length === 32 || tokenType === kind || sig !== '') ok();",
    ],
    ['services/a.ts', "if (typeof token === 'string' && row.machine === machine) ok();"],
  ])('in %s: %j', (path, text) => {
    expect(violationsOf([{ path, text }])).toEqual([]);
  });

  test('where env.ts names the class of a binding and that class reads env.ts', () => {
    const sources = [
      { path: 'env.ts', text: "import type { Outbox } from './outbox/outbox.ts';" },
      { path: 'outbox/outbox.ts', text: "import { settingsOf } from '../env.ts';" },
    ];
    expect(violationsOf(sources)).toEqual([]);
  });
});
