/** The messages that all sides send: the same texts, of the same size. */
const LINE = 'The quick brown fox jumps over the lazy dog, and nobody minds it at all, really.\n';

export const FROM = 'Bench <bench@example.com>';
export const TO = 'reader@example.net';
export const SUBJECT = 'A message to measure with';
export const TEXT_10_KB = LINE.repeat(Math.ceil(10_000 / LINE.length));
export const SMALL_TEXT = LINE.repeat(2);
