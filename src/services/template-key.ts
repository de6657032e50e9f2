import type { SealingKey } from '../crypto/seal.ts';
import { isId } from '../ids.ts';
import type { TemplateKey } from '../store/templates.ts';
import { aliasHash } from './template-content.ts';

/** What is no id is an alias: an alias never looks like one. */
export function templateKey(keys: readonly SealingKey[], idOrAlias: string): TemplateKey {
  return isId('template', idOrAlias) ? { id: idOrAlias } : { aliasHash: aliasHash(keys, idOrAlias) };
}
