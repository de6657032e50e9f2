/**
 * `npm run deploy`: everything a first or a later deployment needs, in the right order.
 * `npm run deploy -- --dry-run` prints the steps and builds the Worker without asking Cloudflare anything.
 * `npm run deploy -- --secrets` uploads `.env.production` again, for instance with a new master key.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { listAt, textAt, valueAt } from './api-client.ts';
import { type DeployFacts, type DeployStep, planDeploy, SECRETS_FILE } from './deploy-plan.ts';
import { copyDocsPage } from './docs-page.ts';
import { QUIET_ENV, ROOT, runWrangler, WRANGLER } from './wrangler.ts';

const FLAGS = ['--dry-run', '--secrets'];

async function main(): Promise<number> {
  const flags = process.argv.slice(2);
  const unknown = flags.find((flag) => !FLAGS.includes(flag));
  if (unknown !== undefined) throw new Error(`Unknown option ${unknown}; there are ${FLAGS.join(' and ')}`);
  const isDryRun = flags.includes('--dry-run');
  const replaceSecrets = flags.includes('--secrets');

  const config = readFileSync(join(ROOT, 'wrangler.toml'), 'utf8');
  const databaseName = configured(config, 'database_name');
  const jurisdiction = configured(config, 'DATA_JURISDICTION');
  const hasSecretsFile = existsSync(join(ROOT, SECRETS_FILE));
  const remote = isDryRun ? FIRST_DEPLOY : await askCloudflare(databaseName);
  const facts = { databaseName, jurisdiction, replaceSecrets, ...remote };

  if (isDryRun) return dryRun({ ...facts, hasSecretsFile: true });
  const plan = planDeploy({ ...facts, hasSecretsFile });
  if ('refusal' in plan) throw new Error(plan.refusal);
  return runSteps(plan);
}

const FIRST_DEPLOY = { database: undefined, hasSecrets: false } as const;

async function dryRun(facts: DeployFacts): Promise<number> {
  const plan = planDeploy(facts);
  if ('refusal' in plan) throw new Error(plan.refusal);
  console.log(
    'A first deployment would run (a later one has no need to create the database or upload secrets):\n',
  );
  for (const step of plan) console.log(`  wrangler ${step.args.join(' ')}`);
  console.log('');
  return runSteps([{ title: 'Build the Worker', args: ['deploy', '--dry-run', '--minify'] }]);
}

/** Only names are asked for: whether the database is there, and whether the Worker holds its master keys. */
async function askCloudflare(databaseName: string): Promise<Pick<DeployFacts, 'database' | 'hasSecrets'>> {
  const list = await runWrangler(['d1', 'list', '--json']);
  if (list.exitCode !== 0) {
    const advice =
      'Cloudflare could not be asked. Run `npx wrangler login` if you are not logged in. Wrangler says:';
    throw new Error(`${advice}\n\n${list.output.trim()}`);
  }
  const found = listAt({ databases: JSON.parse(list.stdout) as unknown }, 'databases').find(
    (database) => textAt(database, 'name') === databaseName,
  );
  // Fails where the Worker was never deployed, which is an answer too.
  const secrets = await runWrangler(['secret', 'list', '--format', 'json']);
  return {
    database: found === undefined ? undefined : { jurisdiction: jurisdictionOf(found) },
    hasSecrets: secrets.exitCode === 0 && secrets.stdout.includes('"MASTER_KEYS"'),
  };
}

function jurisdictionOf(database: unknown): string | undefined {
  return valueAt(database, 'jurisdiction') === null ? 'none' : textAt(database, 'jurisdiction');
}

async function runSteps(steps: readonly DeployStep[]): Promise<number> {
  copyDocsPage();
  for (const step of steps) {
    console.log(`${step.title}: wrangler ${step.args.join(' ')}\n`);
    const exitCode = step.isQuiet ? await runQuietly(step.args) : await runInTerminal(step.args);
    if (exitCode !== 0) {
      console.error(
        `\n${step.title}: failed. What was done before stands; run it again once the cause is mended.`,
      );
      return exitCode;
    }
    console.log('');
  }
  return 0;
}

async function runQuietly(args: readonly string[]): Promise<number> {
  const run = await runWrangler(args);
  if (run.exitCode !== 0) console.error(run.output.trim());
  return run.exitCode;
}

function runInTerminal(args: readonly string[]): Promise<number> {
  // A value in the shell would win over the secrets file; what is uploaded must be what the file says.
  const { ADMIN_TOKEN: _token, MASTER_KEYS: _keys, RELAY_URL: _relay, ...env } = process.env;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [WRANGLER, ...args], {
      cwd: ROOT,
      env: { ...env, ...QUIET_ENV },
      stdio: 'inherit',
    });
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}

function configured(config: string, name: string): string {
  const match = new RegExp(`^${name}\\s*=\\s*"([^"]*)"`, 'm').exec(config);
  if (match?.[1] === undefined) throw new Error(`wrangler.toml has no ${name}`);
  return match[1];
}

main().then(
  (exitCode) => {
    process.exitCode = exitCode;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  },
);
