/** Other people's mail servers in place of our own, so that not only our own server says what happened. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { missingForPostfix } from '../../bench/postfix.ts';
import { findExim, startEximPeer } from './exim-peer.ts';
import { runMtaCells } from './mta-peer.ts';
import { startPostfixPeer } from './postfix-peer.ts';
import { runSinkCells } from './sink-peer.ts';

/** The exit code. A peer that is not installed is skipped, and the last line says so. */
export async function runPeer(name: string, only: string | undefined): Promise<number> {
  const skip = (why: string) => {
    console.log(`faults: skipped, ${why}`);
    return 0;
  };
  if (name === 'smtp-sink') {
    const program = findProgram('smtp-sink');
    return program === undefined ? skip('smtp-sink is not installed') : runSinkCells(program, only);
  }
  if (name === 'postfix') {
    const missing = await missingForPostfix();
    return missing === undefined ? runMtaCells(startPostfixPeer, only) : skip(missing);
  }
  if (name === 'exim') {
    const exim = findExim();
    return exim === undefined ? skip('exim is not installed') : runMtaCells(startEximPeer(exim), only);
  }
  console.log(`there is no peer "${name}": smtp-sink, postfix or exim`);
  return 1;
}

function findProgram(name: string): string | undefined {
  try {
    return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
  } catch {
    const places = ['/usr/sbin', join(homedir(), '.cache/edge-relay-ci/bin')];
    return places.map((place) => join(place, name)).find((path) => existsSync(path));
  }
}
