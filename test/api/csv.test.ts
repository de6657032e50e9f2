import { expect, it } from 'vitest';
import { csvLine } from '../../src/http/csv.ts';

it.each([
  [['a', 'b'], 'a,b'],
  [['a,b', 'c"d', 'e\r\nf', 'g\nh'], '"a,b","c""d","e\r\nf","g\nh"'],
  [['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1'], `'=1+1,'+1,'-1,'@SUM(A1),'\t=1,"'\r=1"`],
  [['=HYPERLINK("x","y")'], `"'=HYPERLINK(""x"",""y"")"`],
  [[-1, 0, null, undefined, ''], '-1,0,,,'],
  [[' a', 'a '], '" a","a "'],
  [['Grüße'], 'Grüße'],
])('%j is %j', (cells, line) => {
  expect(csvLine(cells)).toBe(`${line}\r\n`);
});
