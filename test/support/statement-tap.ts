/**
 * Watches every D1 statement of the test run. One that touches a table must name `account_id` and bind
 * exactly one account id: that is the scope it was made for. The exceptions are the statements of
 * `src/store/system/`, each named here by what it looks like.
 */
const TABLES =
  /\b(?:accounts|data_keys|api_keys|domains|relays|audit_log|outboxes|suppressions|api_key_secrets|contacts|contact_properties|contact_values|lists|list_members|topics|contact_topics)\b/;
const ACCOUNT_ID = /^acc_/;

const SYSTEM_STATEMENTS: readonly { readonly file: string; readonly looksLike: RegExp }[] = [
  {
    file: 'find-api-key.ts',
    looksLike: /^select .* from "api_keys" inner join "accounts" on .* where "api_keys"."hash" = \?$/,
  },
  {
    file: 'find-api-key.ts',
    looksLike:
      /^select .* from "api_key_secrets" inner join "api_keys" on .* where "api_key_secrets"."hash" = \?$/,
  },
  {
    file: 'find-confirmed-address.ts',
    looksLike: /^select 1 from "accounts" where "accounts"."email_hash" IN .* limit \?$/,
  },
  {
    file: 'invites.ts',
    looksLike: /^select .* from "invites" (?:where "invites"."id" [<>] \? )?order by .* limit \?$/,
  },
  {
    file: 'list-outboxes.ts',
    looksLike: /^select .* from "outboxes" order by .* limit \?$/,
  },
  {
    file: 'list-outboxes.ts',
    looksLike:
      /^update "outboxes" set "swept_at" = \? where \("outboxes"."account_id", "outboxes"."shard"\) IN /,
  },
  {
    file: 'unconfirmed-accounts.ts',
    looksLike: /^select .* from "accounts" where \("accounts"."unconfirmed" = 1 and .* limit \?$/,
  },
  {
    file: 'list-accounts.ts',
    looksLike: /^select .* from "accounts" (?:where "accounts"."account_id" [<>] \? )?order by .* limit \?$/,
  },
  {
    file: 'list-accounts-to-rewrap.ts',
    looksLike:
      /^select .* from "accounts" where .*\(EXISTS \(SELECT 1 FROM data_keys k .*"email_hash" AS INTEGER\) < \?\)/,
  },
];

/** A test that reaches around the store on purpose starts its statement with this. */
export const RAW = '/* raw */';

export interface SeenStatement {
  readonly sql: string;
  readonly values: readonly unknown[];
}

const seen: SeenStatement[] = [];

export function seenStatements(): readonly SeenStatement[] {
  return seen;
}

/** Why a statement breaks the rule; undefined where it keeps it. */
export function faultOf({ sql, values }: SeenStatement): string | undefined {
  const text = sql.replace(/\s+/g, ' ').trim();
  if (text.startsWith(RAW) || !TABLES.test(text)) return undefined;
  if (SYSTEM_STATEMENTS.some((statement) => statement.looksLike.test(text))) return undefined;
  if (!text.includes('account_id')) return `no account_id in: ${text}`;
  if (!bindsAccount(text)) return `account_id is not compared or written with a parameter in: ${text}`;
  const accounts = new Set(values.filter((value) => typeof value === 'string' && ACCOUNT_ID.test(value)));
  if (accounts.size !== 1) return `${accounts.size} account ids bound to: ${text}`;
  return undefined;
}

/** An insert writes the column; everything else compares it. */
function bindsAccount(text: string): boolean {
  if (/^insert into/i.test(text)) return /\(\s*"?account_id"?\s*,/.test(text);
  return /"account_id" = \?/.test(text);
}

/** The faults so far; a set-up file fails the run on them even where the answer of a route hid one. */
export function tapFaults(): readonly string[] {
  return faults;
}

export function tapStatements(db: D1Database): void {
  const databasePrototype = Object.getPrototypeOf(db) as D1Database;
  if (Reflect.get(databasePrototype, 'tapped') === true) return;
  Reflect.set(databasePrototype, 'tapped', true);
  const statementPrototype = Object.getPrototypeOf(db.prepare('SELECT 1')) as D1PreparedStatement;
  const texts = new WeakMap<D1PreparedStatement, string>();
  const checked = new WeakSet<D1PreparedStatement>();
  const checkOnce = (statement: D1PreparedStatement, values: readonly unknown[]) => {
    if (checked.has(statement)) return;
    checked.add(statement);
    check({ sql: texts.get(statement) ?? '', values });
  };

  const { prepare, batch } = databasePrototype;
  databasePrototype.prepare = function (sql) {
    const statement = prepare.call(this, sql);
    texts.set(statement, sql);
    return statement;
  };
  databasePrototype.batch = function <T>(statements: D1PreparedStatement[]) {
    for (const statement of statements) checkOnce(statement, []);
    return batch.call(this, statements) as Promise<D1Result<T>[]>;
  };
  databasePrototype.exec = () => {
    throw new Error('exec takes whole scripts and binds nothing: not for this project');
  };
  const { bind } = statementPrototype;
  statementPrototype.bind = function (...values) {
    const bound = bind.apply(this, values);
    texts.set(bound, texts.get(this) ?? '');
    checkOnce(bound, values);
    return bound;
  };
  // A statement that was never bound is seen when it runs.
  for (const method of ['run', 'all', 'first', 'raw'] as const) {
    const original = statementPrototype[method] as (...options: unknown[]) => unknown;
    Reflect.set(statementPrototype, method, function (this: D1PreparedStatement, ...options: unknown[]) {
      checkOnce(this, []);
      return original.apply(this, options);
    });
  }
}

const faults: string[] = [];

function check(statement: SeenStatement): void {
  seen.push(statement);
  const fault = faultOf(statement);
  if (fault === undefined) return;
  faults.push(fault);
  throw new Error(`statement tap: ${fault}`);
}
