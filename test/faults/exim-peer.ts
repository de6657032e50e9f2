/** A private Exim: one daemon with a port for each way in which its ACLs can refuse. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { untilGreeted } from '../../bench/postfix.ts';
import { freePort } from '../support/free-port.ts';
import { LOGIN, type Mta, type MtaInput } from './mta.ts';
import type { Way } from './mta-cells.ts';

type Stage = 'connect' | 'helo' | 'mail' | 'rcpt' | 'predata' | 'data';

interface Refusal {
  readonly service: string;
  readonly stage: Stage;
  readonly reply: string;
  readonly status?: 'failed';
  readonly doubts?: number;
}

const REFUSALS: readonly Refusal[] = [
  { service: 'banner-554', stage: 'connect', reply: '554 5.7.1 refused' },
  { service: 'banner-421', stage: 'connect', reply: '421 4.3.2 not now' },
  { service: 'ehlo-450', stage: 'helo', reply: '450 4.3.0 not now' },
  { service: 'ehlo-550', stage: 'helo', reply: '550 5.7.1 refused' },
  { service: 'mail-421', stage: 'mail', reply: '421 4.3.2 going down' },
  { service: 'mail-451', stage: 'mail', reply: '451 4.3.0 not now' },
  { service: 'mail-550', stage: 'mail', reply: '550 5.7.1 refused', status: 'failed' },
  { service: 'rcpt-421', stage: 'rcpt', reply: '421 4.3.2 going down' },
  { service: 'rcpt-450', stage: 'rcpt', reply: '450 4.2.0 busy' },
  { service: 'rcpt-550', stage: 'rcpt', reply: '550 5.1.1 no such user', status: 'failed' },
  { service: 'data-421', stage: 'predata', reply: '421 4.3.2 going down' },
  { service: 'data-451', stage: 'predata', reply: '451 4.3.0 not now' },
  { service: 'data-550', stage: 'predata', reply: '550 5.7.1 refused', status: 'failed' },
  { service: 'dot-421', stage: 'data', reply: '421 4.3.2 going down', doubts: 1 },
  { service: 'dot-450', stage: 'data', reply: '450 4.2.0 not now' },
  { service: 'dot-451', stage: 'data', reply: '451 4.3.0 not now' },
  { service: 'dot-550', stage: 'data', reply: '550 5.7.1 refused', status: 'failed' },
  { service: 'dot-554', stage: 'data', reply: '554 5.6.0 refused', status: 'failed' },
];

const OTHERS = [
  'sound',
  'sound-starttls',
  'sound-implicit',
  'sound-login',
  'rcpt-some',
  'rcpt-limit',
  'size-announced',
  'no-pipelining',
  'starttls-gone',
  'certificate-unknown',
  'login-gone',
  'login-refused',
];

const WAYS: readonly Way[] = [
  ...REFUSALS.map(({ service, status, doubts }) => ({
    service,
    ...(status ? { status } : {}),
    ...(doubts ? { doubts } : {}),
  })),
  { service: 'rcpt-some', recipients: ['mixed'] },
  { service: 'rcpt-limit', recipients: ['twenty'] },
  { service: 'size-announced', status: 'failed' },
  { service: 'no-pipelining' },
  { service: 'sound-starttls', tls: 'starttls' },
  { service: 'sound-implicit', tls: 'implicit' },
  { service: 'starttls-gone', tls: 'starttls', recipients: ['one', 'mixed'] },
  { service: 'certificate-unknown', tls: 'starttls', recipients: ['one', 'mixed'] },
  ...['sound-login', 'login-gone', 'login-refused'].map((service) => ({
    service,
    login: true,
    sound: 'sound-login',
    recipients: ['one', 'mixed'] as const,
  })),
];

/** A program that starts; undefined where there is none. */
export function findExim(): string | undefined {
  const cache = join(homedir(), '.cache/edge-relay-ci/bin/exim4');
  return ['exim4', 'exim', '/usr/sbin/exim4', cache].find((program) => {
    try {
      execFileSync(program, ['-C', '/dev/null', '-bV'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  });
}

export function startEximPeer(program: string): (input: MtaInput) => Promise<Mta> {
  return async ({ ca, otherCa, sink }) => {
    const folder = await mkdtemp(join(tmpdir(), 'edge-relay-exim-'));
    // The daemon gives up its rights to another user.
    await chmod(folder, 0o755);
    for (const name of ['spool', 'log']) {
      await mkdir(join(folder, name));
      await chmod(join(folder, name), 0o777);
    }
    const ports = new Map<string, number>();
    for (const service of [...OTHERS, ...REFUSALS.map((refusal) => refusal.service)])
      ports.set(service, await freePort());
    const portOf = (service: string) => ports.get(service) ?? 0;
    await writeFile(join(folder, 'sound.pem'), ca.key + ca.cert);
    await writeFile(join(folder, 'foreign.pem'), otherCa.key + otherCa.cert);
    const path = execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
    await writeFile(
      join(folder, 'exim.conf'),
      configOf({ folder, path, ports, portOf, sinkPort: sink.port }),
    );
    const daemon = spawn(program, ['-C', join(folder, 'exim.conf'), '-bdf'], {
      stdio: ['ignore', 'ignore', 'inherit'],
      detached: true,
    });
    const exited = once(daemon, 'exit');
    await untilGreeted(portOf('sound'));
    return {
      name: 'exim',
      ways: WAYS,
      portOf,
      async readQueue() {
        const log = await readFile(join(folder, 'log/main'), 'utf8').catch(() => '');
        const ids = (pattern: RegExp) => [...log.matchAll(pattern)].map(([, id]) => id ?? '');
        return { taken: ids(/ (\S{6}-\S{6}-\S{2}) <= /g), passedOn: ids(/ (\S{6}-\S{6}-\S{2}) Completed/g) };
      },
      idIn: (data) =>
        /^Received: [\s\S]*?\bid (\S{6}-\S{6}-\S{2})/.exec(data.toString('latin1', 0, 1000))?.[1],
      async stop() {
        if (daemon.pid !== undefined && daemon.exitCode === null) process.kill(-daemon.pid, 'SIGKILL');
        await exited;
        await rm(folder, { recursive: true, force: true, maxRetries: 5 });
      },
    };
  };
}

function configOf(at: {
  folder: string;
  path: string;
  ports: ReadonlyMap<string, number>;
  portOf: (service: string) => number;
  sinkPort: number;
}): string {
  const { folder, path, ports, portOf, sinkPort } = at;
  const isAt = (...services: string[]) =>
    `match{$received_port}{\\N^(${services.map(portOf).join('|')})$\\N}`;
  const choose = (services: string[], yes: string, no: string) =>
    `\${if ${isAt(...services)}{${yes}}{${no}}}`;
  const acl = (stage: Stage) =>
    REFUSALS.filter((refusal) => refusal.stage === stage).flatMap(({ service, reply }) => [
      // A 421 is only said by what ends the connection.
      `  ${reply.startsWith('5') ? 'deny' : 'defer'} message = ${reply}`,
      `    condition = \${if ${isAt(service)}}`,
    ]);
  const withTls = ['sound-starttls', 'certificate-unknown'];
  return [
    `exim_path = ${path}`,
    'exim_user = nobody',
    'exim_group = nogroup',
    'deliver_drop_privilege = true',
    'primary_hostname = exim.test',
    `spool_directory = ${folder}/spool`,
    `log_file_path = ${folder}/log/%s`,
    `pid_file_path = ${folder}/exim.pid`,
    `daemon_smtp_ports = ${[...ports.values()].join(' : ')}`,
    'local_interfaces = 127.0.0.1',
    `tls_on_connect_ports = ${portOf('sound-implicit')}`,
    `tls_advertise_hosts = ${choose(withTls, '*', '')}`,
    `tls_certificate = ${choose(['certificate-unknown'], `${folder}/foreign.pem`, `${folder}/sound.pem`)}`,
    `pipelining_advertise_hosts = ${choose(['no-pipelining'], '', '*')}`,
    'chunking_advertise_hosts =',
    'host_lookup =',
    'rfc1413_hosts =',
    'helo_allow_chars = _',
    'keep_environment =',
    'accept_8bitmime = true',
    `message_size_limit = ${choose(['size-announced'], '200', '50M')}`,
    `acl_smtp_connect = acl_connect`,
    `acl_smtp_helo = acl_helo`,
    `acl_smtp_mail = acl_mail`,
    `acl_smtp_rcpt = acl_rcpt`,
    `acl_smtp_predata = acl_predata`,
    `acl_smtp_data = acl_data`,
    'smtp_accept_max = 400',
    'smtp_accept_max_per_connection = 0',
    'smtp_accept_queue_per_connection = 0',
    'smtp_enforce_sync = false',
    'begin acl',
    ...(['connect', 'helo', 'mail'] as const).flatMap((stage) => [
      `acl_${stage}:`,
      ...acl(stage),
      '  accept',
    ]),
    'acl_rcpt:',
    ...acl('rcpt'),
    '  deny message = 550 5.1.1 no such user',
    '    local_parts = ^gone',
    '  defer message = 450 4.2.0 busy',
    '    local_parts = ^later',
    `    condition = \${if ${isAt('rcpt-some')}}`,
    '  defer message = 452 4.5.3 too many recipients',
    `    condition = \${if and{{${isAt('rcpt-limit')}}{>={$rcpt_count}{6}}}}`,
    '  accept',
    ...(['predata', 'data'] as const).flatMap((stage) => [`acl_${stage}:`, ...acl(stage), '  accept']),
    'begin routers',
    'all:',
    '  driver = manualroute',
    '  route_list = * 127.0.0.1',
    '  self = send',
    '  transport = out',
    'begin transports',
    'out:',
    '  driver = smtp',
    `  port = ${sinkPort}`,
    '  allow_localhost = true',
    '  hosts_avoid_tls = *',
    'begin authenticators',
    'plain:',
    '  driver = plaintext',
    '  public_name = PLAIN',
    `  server_advertise_condition = \${if ${isAt('sound-login', 'login-refused')}}`,
    `  server_condition = \${if and{{${isAt('sound-login')}}{eq{$auth2}{${LOGIN.username}}}{eq{$auth3}{${LOGIN.secret}}}}}`,
    '  server_set_id = $auth2',
    '',
  ].join('\n');
}
