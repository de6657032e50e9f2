/**
 * The order of a deployment: database, tables, code. Migrations only ever add, so the code that still runs
 * works with the new tables, and new code never meets old ones. The database is created by name before the
 * first deploy (which then connects it), because only then can it be bound to a jurisdiction.
 */
export interface RemoteDatabase {
  /** `none`, or the jurisdiction it was created in; undefined where Cloudflare does not say. */
  readonly jurisdiction: string | undefined;
}

export interface DeployFacts {
  readonly databaseName: string;
  /** DATA_JURISDICTION of wrangler.toml. */
  readonly jurisdiction: string;
  /** The database as it stands at Cloudflare; undefined before the first deploy. */
  readonly database: RemoteDatabase | undefined;
  /** Whether the Worker already holds its master keys. */
  readonly hasSecrets: boolean;
  readonly hasSecretsFile: boolean;
  /** Asked for with `--secrets`: upload the file although secrets exist. */
  readonly replaceSecrets: boolean;
}

export interface DeployStep {
  readonly title: string;
  readonly args: readonly string[];
  /** What it prints is shown only where it fails. */
  readonly isQuiet?: true;
}

export const SECRETS_FILE = '.env.production';

/** The steps, or the reason why there are none. */
export function planDeploy(facts: DeployFacts): readonly DeployStep[] | { readonly refusal: string } {
  const { databaseName, jurisdiction, database, hasSecrets, hasSecretsFile, replaceSecrets } = facts;
  if (database?.jurisdiction !== undefined && database.jurisdiction !== jurisdiction) {
    const given = `DATA_JURISDICTION is ${jurisdiction}, but ${databaseName} was created with ${database.jurisdiction}.`;
    return { refusal: `${given} It is fixed at the first deploy.` };
  }
  const uploadsSecrets = !hasSecrets || replaceSecrets;
  if (uploadsSecrets && !hasSecretsFile) {
    return { refusal: `${SECRETS_FILE} is missing. Run \`npm run secrets\` first.` };
  }
  const steps: DeployStep[] = [];
  if (!database) {
    const where = jurisdiction === 'none' ? [] : ['--jurisdiction', jurisdiction];
    // Wrangler then advises to write the id into wrangler.toml, which is not needed: the name is enough.
    steps.push({
      title: 'Create the database',
      args: ['d1', 'create', databaseName, ...where],
      isQuiet: true,
    });
  }
  steps.push({ title: 'Apply the migrations', args: ['d1', 'migrations', 'apply', 'DB', '--remote'] });
  const secrets = uploadsSecrets ? ['--secrets-file', SECRETS_FILE] : [];
  steps.push({
    title: uploadsSecrets ? 'Deploy the Worker with its secrets' : 'Deploy the Worker; its secrets stay',
    args: ['deploy', '--minify', ...secrets],
  });
  return steps;
}
