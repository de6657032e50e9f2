/** A private Postfix with a service on a port of its own for each way in which it can refuse. */
import { readFile } from 'node:fs/promises';
import { startPostfix } from '../../bench/postfix.ts';
import { freePort } from '../support/free-port.ts';
import { startDovecotAuth } from './dovecot-auth.ts';
import { LOGIN, type Mta, type MtaInput } from './mta.ts';
import type { Way } from './mta-cells.ts';

/** Said where the restriction stands, and not only at RCPT. */
const AT_ONCE = { smtpd_delay_reject: 'no' };
const TLS = { smtpd_tls_security_level: 'may', smtpd_tls_chain_files: '$config_directory/sound.pem' };
const SASL = { smtpd_sasl_auth_enable: 'yes' };

/** Each refusal is a table that fits everybody, put where its stage is. */
function refusing(stage: string, map: string, reply: string): Record<string, string> {
  return { [`smtpd_${stage}_restrictions`]: `check_${map}_access regexp:$config_directory/all-${reply}` };
}

const REPLIES: Readonly<Record<string, string>> = {
  '421': '421 4.3.2 going down',
  '450': '450 4.2.0 busy',
  '451': '451 4.3.0 not now',
  '452': '452 4.2.2 full for now',
  '550': '550 5.7.1 refused',
  '554': '554 5.7.1 refused',
};

/** Service → settings. */
const SERVICES: Readonly<Record<string, Record<string, string>>> = {
  sound: {},
  'sound-starttls': TLS,
  'sound-implicit': { ...TLS, smtpd_tls_wrappermode: 'yes' },
  'sound-login': SASL,
  'banner-421': { ...AT_ONCE, ...refusing('client', 'client', '421') },
  'banner-554': { ...AT_ONCE, ...refusing('client', 'client', '554') },
  'ehlo-450': { ...AT_ONCE, ...refusing('helo', 'helo', '450') },
  'ehlo-550': { ...AT_ONCE, ...refusing('helo', 'helo', '550') },
  'mail-421': { ...AT_ONCE, ...refusing('sender', 'sender', '421') },
  'mail-450': { ...AT_ONCE, ...refusing('sender', 'sender', '450') },
  'mail-550': { ...AT_ONCE, ...refusing('sender', 'sender', '550') },
  'rcpt-421': refusing('recipient', 'recipient', '421'),
  'rcpt-450': refusing('recipient', 'recipient', '450'),
  'rcpt-550': refusing('recipient', 'recipient', '550'),
  'rcpt-554': refusing('recipient', 'recipient', '554'),
  'rcpt-some': { smtpd_recipient_restrictions: 'check_recipient_access regexp:$config_directory/some' },
  'rcpt-limit': { smtpd_recipient_limit: '5' },
  'error-limit': { smtpd_soft_error_limit: '1', smtpd_hard_error_limit: '2' },
  'data-421': refusing('data', 'client', '421'),
  'data-450': refusing('data', 'client', '450'),
  'data-550': refusing('data', 'client', '550'),
  'dot-421': refusing('end_of_data', 'client', '421'),
  'dot-450': refusing('end_of_data', 'client', '450'),
  'dot-451': refusing('end_of_data', 'client', '451'),
  'dot-452': refusing('end_of_data', 'client', '452'),
  'dot-550': refusing('end_of_data', 'client', '550'),
  'dot-554': refusing('end_of_data', 'client', '554'),
  'header-checks': { cleanup_service_name: 'cleanup-strict' },
  'size-announced': { message_size_limit: '200' },
  'size-unannounced': { message_size_limit: '200', smtpd_discard_ehlo_keywords: 'size' },
  'disk-full': { queue_minfree: '4000000000000000' },
  'policy-away': { smtpd_recipient_restrictions: 'check_policy_service inet:127.0.0.1:1' },
  'milter-away': { smtpd_milters: 'inet:127.0.0.1:1', milter_default_action: 'tempfail' },
  'no-pipelining': { smtpd_discard_ehlo_keywords: 'pipelining' },
  'no-ehlo': {
    smtpd_discard_ehlo_keywords: 'pipelining, size, 8bitmime, enhancedstatuscodes, chunking, dsn',
  },
  'starttls-gone': {},
  'starttls-broken': { ...TLS, smtpd_tls_chain_files: '$config_directory/broken.pem' },
  'certificate-unknown': { ...TLS, smtpd_tls_chain_files: '$config_directory/foreign.pem' },
  'certificate-unknown-implicit': {
    ...TLS,
    smtpd_tls_chain_files: '$config_directory/foreign.pem',
    smtpd_tls_wrappermode: 'yes',
  },
  'tls-demanded': { ...TLS, smtpd_tls_security_level: 'encrypt' },
  'login-gone': {},
  'login-refused': { ...SASL, smtpd_sasl_path: 'inet:127.0.0.1:$refusing_auth' },

  'login-away': { ...SASL, smtpd_sasl_path: 'inet:127.0.0.1:1' },
};

const DOT_FAILS = { status: 'failed' } as const;
const WAYS: readonly Way[] = [
  ...['banner-421', 'banner-554', 'ehlo-450', 'ehlo-550', 'mail-421', 'mail-450'].map((service) => ({
    service,
  })),
  { service: 'mail-550', ...DOT_FAILS },
  ...['rcpt-421', 'rcpt-450'].map((service) => ({ service })),
  ...['rcpt-550', 'rcpt-554'].map((service) => ({ service, ...DOT_FAILS })),
  { service: 'rcpt-some', recipients: ['mixed'] },
  { service: 'rcpt-limit', recipients: ['twenty'] },
  { service: 'error-limit', recipients: ['many-gone'] },
  ...['data-421', 'data-450'].map((service) => ({ service })),
  { service: 'data-550', ...DOT_FAILS },
  { service: 'dot-421', doubts: 1 },
  ...['dot-450', 'dot-451', 'dot-452'].map((service) => ({ service })),
  ...['dot-550', 'dot-554', 'header-checks', 'size-announced', 'size-unannounced'].map((service) => ({
    service,
    ...DOT_FAILS,
  })),
  ...['disk-full', 'policy-away', 'milter-away', 'no-pipelining', 'no-ehlo'].map((service) => ({ service })),
  ...['starttls-gone', 'starttls-broken', 'certificate-unknown'].map((service) => ({
    service,
    tls: 'starttls' as const,
    recipients: ['one', 'mixed'] as const,
  })),
  { service: 'certificate-unknown-implicit', tls: 'implicit', recipients: ['one', 'mixed'] },
  { service: 'sound-starttls', tls: 'starttls' },
  { service: 'sound-implicit', tls: 'implicit' },
  { service: 'tls-demanded' },
  ...['sound-login', 'login-gone', 'login-refused', 'login-away'].map((service) => ({
    service,
    login: true,
    sound: 'sound-login',
    recipients: ['one', 'mixed'] as const,
  })),
];

export async function startPostfixPeer({ ca, otherCa, sink }: MtaInput): Promise<Mta> {
  const auth = await startDovecotAuth(LOGIN);
  const refusingAuth = await startDovecotAuth({ username: LOGIN.username, secret: 'another' });
  const ports = new Map<string, number>();
  const services: string[] = [];
  for (const [service, settings] of Object.entries(SERVICES)) {
    const port = await freePort();
    ports.set(service, port);
    services.push(`127.0.0.1:${port} inet n - n - - smtpd`);
    for (const [name, value] of Object.entries(settings))
      services.push(`  -o {${name} = ${value.replace('$refusing_auth', `${refusingAuth.port}`)}}`);
  }
  const postfix = await startPostfix(sink.port, {
    files: {
      ...Object.fromEntries(
        Object.entries(REPLIES).map(([code, reply]) => [`all-${code}`, `/./ ${reply}\n`]),
      ),
      some: '/^gone/ 550 5.1.1 no such user\n/^later/ 450 4.2.0 busy\n',
      gone: '/^gone/ 550 5.1.1 no such user\n',
      headers: '/^Subject:/ REJECT not this subject\n',
      'sound.pem': ca.key + ca.cert,
      'foreign.pem': otherCa.key + otherCa.cert,
      'broken.pem': 'this is no certificate\n',
    },
    settings: {
      smtpd_peername_lookup: 'no',
      smtpd_error_sleep_time: '0',
      smtpd_recipient_restrictions: 'check_recipient_access regexp:$config_directory/gone',
      smtpd_relay_restrictions: 'permit_mynetworks, reject',
      smtpd_client_connection_count_limit: '0',
      smtpd_sasl_type: 'dovecot',
      smtpd_sasl_path: `inet:127.0.0.1:${auth.port}`,
      smtpd_sasl_security_options: 'noanonymous',
      smtpd_tls_loglevel: '1',
    },
    services: [
      ...services,
      'tlsmgr unix - - n 1000? 1 tlsmgr',
      'cleanup-strict unix n - n - 0 cleanup',
      '  -o header_checks=regexp:$config_directory/headers',
    ],
  });
  return {
    name: 'postfix',
    ways: WAYS,
    portOf: (service) => ports.get(service) ?? 0,
    async readQueue() {
      const log = await readFile(postfix.logPath, 'utf8').catch(() => '');
      const ids = (pattern: RegExp) => [...log.matchAll(pattern)].map(([, id]) => id ?? '');
      return {
        taken: [...new Set(ids(/\/qmgr\[\d+\]: (\w+): from=/g))],
        passedOn: ids(/\/qmgr\[\d+\]: (\w+): removed/g),
      };
    },
    idIn: (data) => /^Received: [\s\S]*?\bid (\w+)/.exec(data.toString('latin1', 0, 1000))?.[1],
    async stop() {
      await postfix.stop();
      await auth.close();
      await refusingAuth.close();
    },
  };
}
