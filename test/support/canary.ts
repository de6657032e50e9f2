/** Marked secrets, and the search for them in whatever form they may have been written down. */
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A word that is in no file unless somebody wrote this one there. Letters only: it fits any field. */
export function canary(name: string): string {
  const random = [...randomBytes(14)].map((byte) => String.fromCharCode(97 + (byte % 26))).join('');
  return `${name}${random}`;
}

/** How a text looks in bytes: plain, in base64 (which has three phases), in hex and in UTF-16. */
export function formsOf(text: string): ReadonlyMap<string, Buffer> {
  const bytes = Buffer.from(text, 'utf8');
  const utf16 = Buffer.from(text, 'utf16le');
  const forms = new Map<string, Buffer>([
    ['plain', bytes],
    ['lower case', Buffer.from(text.toLowerCase())],
    ['hex', Buffer.from(bytes.toString('hex'))],
    ['HEX', Buffer.from(bytes.toString('hex').toUpperCase())],
    ['UTF-16LE', utf16],
    ['UTF-16BE', Buffer.from(utf16).swap16()],
    ['reversed', Buffer.from([...text].reverse().join(''))],
  ]);
  for (const phase of [0, 1, 2]) {
    // Characters at the edges also depend on the neighbours, so only what the text alone decides is looked for.
    const encoded = Buffer.concat([Buffer.alloc(phase), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    const certain = encoded.slice(Math.ceil((phase * 8) / 6), Math.floor(((phase + bytes.length) * 8) / 6));
    forms.set(`base64 phase ${phase}`, Buffer.from(certain));
    forms.set(`base64url phase ${phase}`, Buffer.from(certain.replaceAll('+', '-').replaceAll('/', '_')));
  }
  return forms;
}

/** Where a text is found, and in which form; empty where it is nowhere. */
export function findIn(files: ReadonlyMap<string, Buffer>, text: string): string[] {
  const found: string[] = [];
  for (const [name, content] of files) {
    for (const [form, bytes] of formsOf(text)) if (content.includes(bytes)) found.push(`${name}: ${form}`);
  }
  return found;
}

/** Every file below a folder, whole. */
export async function filesBelow(folder: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(path.slice(folder.length + 1), await readFile(path));
  }
  return files;
}
