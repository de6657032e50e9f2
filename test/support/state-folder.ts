/**
 * Folders for the state of relays under test: in memory where there is room. Memory holds what a killed process
 * wrote just as a disk does, and syncs cost nothing.
 */
import { rmSync, statfsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MEMORY = '/dev/shm';
const NEEDED_BYTES = 1024 * 1024 * 1024;

const folders = new Set<string>();
process.on('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

export async function makeStateFolder(options: { onDisk?: boolean } = {}): Promise<string> {
  const root = !options.onDisk && hasRoom() ? MEMORY : tmpdir();
  const folder = await mkdtemp(join(root, 'edge-relay-'));
  folders.add(folder);
  return folder;
}

function hasRoom(): boolean {
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    return bavail * bsize >= NEEDED_BYTES;
  } catch {
    return false;
  }
}
