/**
 * What an attachment may be called. Nothing is stripped: a name that would have to be changed to be safe is
 * refused, so that the recipient sees what the customer sent.
 */
import { detectMimeType } from 'nodemailer/lib/mime-funcs';
import { hasBidiControl, hasControl } from './characters.ts';

export { parseBase64Strict } from './base64.ts';

const MAX_FILENAME_OCTETS = 255;
const MAX_CONTENT_TYPE = 200;
const MAX_CONTENT_ID = 128;
/** A longer run could fill a whole folded line with spaces. */
const LONG_GAP = ' '.repeat(17);
export const DEFAULT_CONTENT_TYPE = 'application/octet-stream';

const TOKEN = "[A-Za-z0-9!#$&^_.+'%*`|~-]+";
const TYPE = new RegExp(`^${TOKEN}/${TOKEN}$`);
const PARAMETER = new RegExp(`^ *${TOKEN}=(?:${TOKEN}|"[ !#-\\[\\]-~]*") *$`);
/** These would make the part a container of parts, or forbid the base64 that protects its content. */
const COMPOSITE = /^(?:multipart|message)\//i;
const CONTENT_ID = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+(?:@[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+)?$/;

/** Returns the reason to refuse the file name, or undefined. */
export function checkFilename(filename: string): string | undefined {
  if (filename === '') return '`filename` is empty';
  if (filename.length > MAX_FILENAME_OCTETS || Buffer.byteLength(filename) > MAX_FILENAME_OCTETS) {
    return `\`filename\` must not be longer than ${MAX_FILENAME_OCTETS} octets`;
  }
  if (!filename.isWellFormed()) return '`filename` must be well-formed Unicode';
  if (hasControl(filename)) return '`filename` must not contain control characters or line breaks';
  if (hasBidiControl(filename)) return '`filename` must not contain characters that reorder text';
  if (/[/\\]/.test(filename)) return '`filename` must not contain path separators';
  // Many programs decode these in file names too, and would see whatever they stand for.
  if (filename.includes('=?')) return '`filename` must not contain encoded words';
  if (filename === '.' || filename === '..') return '`filename` must not be a directory';
  if (filename.trim() !== filename || filename.includes(LONG_GAP)) {
    return '`filename` must not start or end with white space, or contain a long run of it';
  }
  return undefined;
}

/** Returns the reason to refuse the content type, or undefined. */
export function checkContentType(contentType: string): string | undefined {
  if (contentType.length > MAX_CONTENT_TYPE) {
    return `\`content_type\` must not be longer than ${MAX_CONTENT_TYPE} characters`;
  }
  const [type = '', ...parameters] = contentType.split(';');
  if (!TYPE.test(type.replace(/ +$/, '')) || !parameters.every((parameter) => PARAMETER.test(parameter))) {
    return '`content_type` must look like `type/subtype; parameter=value`';
  }
  if (COMPOSITE.test(type)) return '`content_type` must not be a multipart or message type';
  return undefined;
}

/** Returns the reason to refuse the content id, or undefined. Content ids come without angle brackets. */
export function checkContentId(contentId: string): string | undefined {
  if (contentId.length > MAX_CONTENT_ID) {
    return `\`content_id\` must not be longer than ${MAX_CONTENT_ID} characters`;
  }
  if (!CONTENT_ID.test(contentId))
    return '`content_id` may only have letters, digits and `.-_@` and the like';
  return undefined;
}

/** The content type that goes with the extension. Mail in a file is a file: its bytes must arrive unchanged. */
export function contentTypeOf(filename: string): string {
  const dot = filename.lastIndexOf('.');
  if (dot < 0) return DEFAULT_CONTENT_TYPE;
  const detected = detectMimeType(filename.slice(dot + 1).toLowerCase());
  return checkContentType(detected) === undefined ? detected : DEFAULT_CONTENT_TYPE;
}
