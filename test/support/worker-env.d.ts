/// <reference types="@cloudflare/vitest-plugin/types" />
import type { D1Migration } from '@cloudflare/vitest-plugin';
import type { Outbox } from '../../src/outbox/outbox.ts';
import type { RelayGate } from '../../src/relay-gate/relay-gate.ts';

declare global {
  namespace Cloudflare {
    interface Env {
      DB: D1Database;
      OUTBOX: DurableObjectNamespace<Outbox>;
      RELAY_GATE: DurableObjectNamespace<RelayGate>;
      ADMIN_TOKEN: string;
      MASTER_KEYS: string;
      TEST_MIGRATIONS: D1Migration[];
    }
    interface GlobalProps {
      mainModule: typeof import('../../src/worker.ts');
    }
  }
}

declare module 'vitest' {
  interface ProvidedContext {
    smtpPort: number;
    validatorPort: number;
    dohPort: number;
  }
}
