/** Comma-separated values by RFC 4180, for programs that read them and for spreadsheets that people open. */

export type Cell = string | number | null | undefined;

/** What a spreadsheet would take for a formula (OWASP): such a cell gets an apostrophe in front. */
const FORMULA = /^[=+\-@\t\r]/;
const SPECIAL = /[",\r\n]|^\s|\s$/;

export function csvLine(cells: readonly Cell[]): string {
  return `${cells.map(textOf).join(',')}\r\n`;
}

function textOf(cell: Cell): string {
  if (cell === null || cell === undefined) return '';
  // A number of ours is no formula, whatever its sign.
  if (typeof cell === 'number') return String(cell);
  const text = FORMULA.test(cell) ? `'${cell}` : cell;
  return SPECIAL.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
