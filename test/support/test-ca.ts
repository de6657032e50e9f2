import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TestCa {
  /** For `NODE_EXTRA_CA_CERTS`. */
  readonly caPath: string;
  readonly caPem: string;
  /** Of a server certificate for localhost and 127.0.0.1, signed by the CA. */
  readonly key: string;
  readonly cert: string;
  dispose(): void;
}

/** Makes a throw-away CA with the `openssl` command; undefined where there is none, so that tests can skip. */
export function makeTestCa(): TestCa | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'edge-relay-ca-'));
  const at = (name: string) => join(directory, name);
  const openssl = (...options: string[]) => execFileSync('openssl', options, { stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const dispose = () => rmSync(directory, { recursive: true, force: true });
  try {
    writeFileSync(at('san.cnf'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n');
    openssl(
      'req',
      '-x509',
      ...newKey,
      '-days',
      '2',
      '-subj',
      '/CN=Test CA',
      '-keyout',
      at('ca.key'),
      '-out',
      at('ca.pem'),
    );
    openssl('req', ...newKey, '-subj', '/CN=localhost', '-keyout', at('key.pem'), '-out', at('server.csr'));
    const ca = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial'];
    openssl(
      'x509',
      '-req',
      '-in',
      at('server.csr'),
      ...ca,
      '-days',
      '2',
      '-extfile',
      at('san.cnf'),
      '-out',
      at('cert.pem'),
    );
  } catch (error) {
    dispose();
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const read = (name: string) => readFileSync(at(name), 'utf8');
  return {
    caPath: at('ca.pem'),
    caPem: read('ca.pem'),
    key: read('key.pem'),
    cert: read('cert.pem'),
    dispose,
  };
}
