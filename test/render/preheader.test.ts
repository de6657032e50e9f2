import { describe, expect, test } from 'vitest';
import { withPreheader } from '../../src/render/preheader.ts';

const put = (html: string) =>
  withPreheader(html, 'P').replace(/<div style="display:none[^"]*">P<\/div>/, '[P]');

describe('the text beside the subject', () => {
  test.each([
    ['<p>x</p>', '[P]<p>x</p>'],
    ['', '[P]'],
    ['<html><body><p>x</p></body></html>', '<html><body>[P]<p>x</p></body></html>'],
    ['<!DOCTYPE html>\n<HTML><head><title><body></title></head><BODY bgcolor="#fff">x', undefined],
    ['<!doctype html><p>x</p>', '<!doctype html>[P]<p>x</p>'],
    ['<html><head></head>x</html>', '<html><head></head>[P]x</html>'],
    ['<html>x', '<html>[P]x'],
    ['<body data-x="a>b" class=c>x', '<body data-x="a>b" class=c>[P]x'],
    [
      '<!--[if mso]><body class="mso"><![endif]--><body>x',
      '<!--[if mso]><body class="mso"><![endif]--><body>[P]x',
    ],
    ['<tbody>x', '[P]<tbody>x'],
  ])('goes to the start of the body of %s', (html, expected) => {
    const wanted =
      expected ?? '<!DOCTYPE html>\n<HTML><head><title><body></title></head><BODY bgcolor="#fff">[P]x';
    expect(put(html)).toBe(wanted);
  });

  test('is escaped, and is not there where it is empty', () => {
    expect(withPreheader('<p>x</p>', '</div><script>&')).toContain(
      '&lt;/div&gt;&lt;script&gt;&amp;</div><p>',
    );
    expect(withPreheader('<p>x</p>', '')).toBe('<p>x</p>');
  });
});
