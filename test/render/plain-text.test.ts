import { describe, expect, test } from 'vitest';
import {
  type EmailTemplateSource,
  parseEmailTemplate,
  renderEmailTemplate,
} from '../../src/render/email-template.ts';
import { plainTextOf } from '../../src/render/plain-text.ts';
import { MAX_STEPS, RequestBudget } from '../../src/render/render-template.ts';

describe('the text of an HTML', () => {
  test.each([
    ['', ''],
    ['just words', 'just words'],
    ['<p>One</p><p>Two</p>', 'One\n\nTwo'],
    ['<div>One</div><div>Two<br>Three</div>', 'One\nTwo\nThree'],
    ['  a\n b\t<b> c </b>d', 'a b c d'],
    ['a<b>b</b>c', 'abc'],
    ['<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>x', '- a\n- b\n  - c\n\nx'],
    ['<ol><li>a<li>b</ol>', '1. a\n2. b'],
    ['<a href="https://x.example/?a=1&amp;b=2">Track</a> it', 'Track (https://x.example/?a=1&b=2) it'],
    ['<a href="https://x.example">https://x.example</a>', 'https://x.example'],
    ['<a href="mailto:a@x.example">a@x.example</a>', 'a@x.example'],
    ['<a href="https://x.example"><img src="x.png"></a>', 'https://x.example'],
    ['<a href="tel:1">one <a href="tel:2">two</a> three</a>', 'one (1) two (2) three'],
    ['<a href="#top">up</a> <a name=x>here</a>', 'up here'],
    ['<a href="javascript:alert(1)">no</a>', 'no'],
    ['<img alt="Our logo">', 'Our logo'],
    ['a<hr>b', 'a\n\n---\n\nb'],
    ['<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>', 'a b\nc'],
    ['<pre>a\n  b\n</pre>c', 'a\n  b\n\nc'],
    ['<head><title>No</title><style>p > a { }</style></head><body>yes</body>', 'yes'],
    ['a<script>if (a < b) "</p>"</script>b<style>x</style>', 'ab'],
    ['a<!-- <p>no</p> -- > -->b<!doctype html><?xml ?>c', 'abc'],
    ['&lt;b&gt; &amp;amp; &euro;&#8364;&#x20AC; &uuml; &nosuch; &', '<b> &amp; €€€ ü &nosuch; &'],
    ['a&nbsp;b&#0;&#1;&#13;c', 'a bc'],
    ['&#xD800;&#1114112;', '\ufffd\ufffd'],
    ['3 < 4 and 5 > 4 <3', '3 < 4 and 5 > 4 <3'],
    ['a <b title="x > y">c</b>', 'a c'],
    ['a <b unclosed', 'a'],
    ['a <!-- unclosed', 'a'],
    ['a <script> unclosed', 'a'],
    ['</p></ul></ol></a>a', 'a'],
  ])('of %j', (html, text) => {
    expect(plainTextOf(html)).toBe(text);
  });

  test.each([
    ['no text: made from the HTML', undefined, 'Hello Ann & Bob'],
    ['an empty text: none', '', undefined],
    ['a text: that', 'Hi {{name}}', 'Hi Ann & Bob'],
  ])('%s', (_case, text, expected) => {
    const parsed = parseEmailTemplate({ html: '<p>Hello <b>{{name}}</b></p>', text });
    if (!parsed.ok) throw new Error(parsed.reason);
    expect(renderEmailTemplate(parsed.template, { name: 'Ann & Bob' }, 'refuse').text).toBe(expected);
  });

  test('of links in each other ends, whatever the words in them', () => {
    const links = 30_000;
    const words = Array.from({ length: 4 }, () => 'x'.repeat(125_000)).join(' ');
    const html = '<a href=tel:1>'.repeat(links) + words + '</a>'.repeat(links);
    // Each ends the one before, so that none but the last has words to be compared with its address.
    expect(plainTextOf(html) === `${'1'.repeat(links - 1)}${words} (1)`).toBe(true);
  });

  test('is not longer than an output may be', () => {
    const parsed = parseEmailTemplate({ html: '<ul>'.repeat(5) + '<li>a'.repeat(100_000) });
    if (!parsed.ok) throw new Error(parsed.reason);
    expect(() => renderEmailTemplate(parsed.template, {}, 'refuse')).toThrow('too_long');
  });
});

describe('the emails of a request', () => {
  /** How many are rendered until one is refused, and why. */
  function renderAll(source: EmailTemplateSource, data: unknown): [number, string] {
    const parsed = parseEmailTemplate(source);
    if (!parsed.ok) throw new Error(parsed.reason);
    const request = new RequestBudget();
    for (let rendered = 0; rendered < 100; rendered++) {
      try {
        renderEmailTemplate(parsed.template, data, 'refuse', request);
      } catch (error) {
        return [rendered, String(error)];
      }
    }
    return [100, ''];
  }
  const half = { a: 'x'.repeat(512 * 1024) };
  const loop = '{{#each a}}{{/each}}';

  test.each<[string, EmailTemplateSource, unknown, [number, string]]>([
    ['HTML', { html: '{{a}}', text: '' }, half, [16, 'RenderError: request_too_long']],
    ['HTML and text', { html: '{{a}}', text: '{{a}}' }, half, [8, 'RenderError: request_too_long']],
    ['HTML and the text of it', { html: '{{a}}' }, half, [8, 'RenderError: request_too_long']],
    ['subject', { subject: '{{a}}' }, half, [16, 'RenderError: request_too_long']],
    [
      'steps',
      { text: loop },
      { a: Array.from({ length: MAX_STEPS - 1 }, () => 1) },
      [10, 'RenderError: request_too_many_steps'],
    ],
    ['little', { html: '{{a}}' }, { a: 'x' }, [100, '']],
  ])('are bounded together: %s', (_case, source, data, expected) => {
    expect(renderAll(source, data)).toEqual(expected);
  });
});
