/** Tries a relay now: connects, greets, upgrades, logs in and quits. Sends no mail. */
import { unwrapDataKey } from '../crypto/data-key.ts';
import { unseal } from '../crypto/seal.ts';
import { type Settings, settingsOf } from '../env.ts';
import { AppError } from '../errors.ts';
import { openRelaySession } from '../smtp/connection.ts';
import { type Credentials, type PhaseTimeouts, SmtpFault, type Stage } from '../smtp/types.ts';
import type { StoredRelay } from '../store/relays.ts';
import { findSendingState } from '../store/sending-state.ts';
import { checkRelayHost } from '../web/relay-host.ts';
import { checkRelayAddresses, getRelay, relaySecretPlace } from './relays.ts';
import type { ServiceContext } from './service-context.ts';

export interface RelayVerification {
  readonly ok: boolean;
  readonly stage?: Stage;
  readonly error?: string;
  readonly capabilities: readonly string[];
  readonly transcript: readonly string[];
}

/** A person waits for the answer, so each step has less time here than when sending. */
const STEP_LIMIT_MS = 15_000;
const TRANSCRIPT_LIMIT_LINES = 100;
const LINE_LIMIT = 500;

export async function verifyRelay(context: ServiceContext, id: string): Promise<RelayVerification> {
  const relay = await getRelay(context, id);
  const settings = settingsOf(context.env);
  const checked = checkRelayHost(relay.host, { allowPrivate: settings.ALLOW_PRIVATE_RELAYS });
  if (!checked.ok) throw new AppError('field_refused', { field: 'host', reason: checked.reason });
  await checkRelayAddresses(context, relay.host);
  const credentials = await credentialsOf(context, relay);
  const transcript: string[] = [];
  try {
    const session = await openRelaySession(
      { host: relay.host, port: relay.port, tls: relay.tls },
      {
        ehloName: settings.EHLO_NAME,
        tls: relay.tls,
        timeouts: shortTimeouts(settings),
        ...(credentials && { credentials }),
        onLine: (direction, line) => {
          if (transcript.length >= TRANSCRIPT_LIMIT_LINES) return;
          transcript.push(`${direction === 'client' ? 'C' : 'S'}: ${line.slice(0, LINE_LIMIT)}`);
        },
      },
    );
    const capabilities = session.capabilities.keywords;
    await session.quit();
    return { ok: true, capabilities, transcript };
  } catch (error) {
    if (!(error instanceof SmtpFault)) throw error;
    return { ok: false, stage: error.stage, error: describe(error), capabilities: [], transcript };
  }
}

function describe(fault: SmtpFault): string {
  const { reply } = fault;
  if (!reply) return fault.message.slice(0, LINE_LIMIT);
  const code = reply.enhanced ? `${reply.code} ${reply.enhanced}` : `${reply.code}`;
  return `the server answered ${code} ${reply.lines.join(' ')}`.slice(0, LINE_LIMIT);
}

async function credentialsOf(context: ServiceContext, relay: StoredRelay): Promise<Credentials | undefined> {
  if (relay.username === null || relay.sealedSecret === null) return undefined;
  const { env, scope } = context;
  const { MASTER_KEYS } = settingsOf(env);
  const wrapped = (await findSendingState(scope))?.dataKeys ?? [];
  const keys = wrapped.map((key) => unwrapDataKey(MASTER_KEYS, scope.accountId, key));
  const secret = unseal(keys, relaySecretPlace(scope.accountId, relay.id), relay.sealedSecret);
  return { username: relay.username, secret: new TextDecoder().decode(secret), method: relay.auth };
}

function shortTimeouts(settings: Settings): PhaseTimeouts {
  return {
    connectMs: Math.min(settings.CONNECT_TIMEOUT_MS, STEP_LIMIT_MS),
    bannerMs: Math.min(settings.BANNER_TIMEOUT_MS, STEP_LIMIT_MS),
    commandMs: Math.min(settings.COMMAND_TIMEOUT_MS, STEP_LIMIT_MS),
    dataMs: settings.DATA_TIMEOUT_MS,
    bodyWriteMs: settings.BODY_WRITE_TIMEOUT_MS,
    dotMs: settings.DOT_TIMEOUT_MS,
  };
}
