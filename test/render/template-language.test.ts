import { describe, expect, test } from 'vitest';
import { MAX_DEPTH, MAX_TAGS, parseTemplate } from '../../src/render/parse-template.ts';
import {
  MAX_OUTPUT_BYTES,
  RenderBudget,
  RenderError,
  type RenderOptions,
  renderTemplate,
} from '../../src/render/render-template.ts';

function render(source: string, data: unknown, options: Partial<RenderOptions> = {}): string {
  const parsed = parseTemplate(source);
  if (!parsed.ok) throw new Error(parsed.reason);
  const budget = new RenderBudget();
  return renderTemplate(parsed.template, data, { isHtml: true, missing: 'refuse', budget, ...options });
}

function refusal(source: string): string {
  const parsed = parseTemplate(source);
  return parsed.ok ? 'parsed' : parsed.reason;
}

function fault(source: string, data: unknown): string {
  try {
    render(source, data);
  } catch (error) {
    if (error instanceof RenderError) return `${error.fault} ${error.variable}`.trim();
    throw error;
  }
  return 'rendered';
}

const items = [{ name: 'Tea', n: 2 }, { name: 'Cup' }];

describe('the template language', () => {
  test.each([
    ['a plain text { } }} stays', {}, 'a plain text { } }} stays'],
    ['Hello {{ name }}!', { name: '<Ann & "Bob">' }, 'Hello &lt;Ann &amp; &quot;Bob&quot;&gt;!'],
    ['Hello {{{name}}}!', { name: '<b>Ann</b>' }, 'Hello <b>Ann</b>!'],
    ['{{a.b.c}}', { a: { b: { c: 1.5 } } }, '1.5'],
    ['{{yes}} {{zero}}', { yes: true, zero: 0 }, 'true 0'],
    ['{{name|my friend}}', {}, 'my friend'],
    ['{{{contact.first_name|<b>you</b>}}}', { contact: {} }, '<b>you</b>'],
    ['{{name|<you>}}', { name: null }, '&lt;you&gt;'],
    ['{{name|you}}', { name: '' }, ''],
    ['{{name|}}', {}, ''],
    ['{{#if a}}yes{{else}}no{{/if}}', { a: 1 }, 'yes'],
    ['{{#if a}}yes{{else}}no{{/if}}', { a: [] }, 'no'],
    ['{{#if a}}yes{{else}}no{{/if}}', {}, 'no'],
    ['{{#unless a}}no{{else}}yes{{/unless}}', { a: 'x' }, 'yes'],
    ['{{^a}}none{{/a}}', { a: 0 }, 'none'],
    ['{{#each items}}{{name}}{{#unless @last}}, {{/unless}}{{/each}}', { items }, 'Tea, Cup'],
    ['{{#each items}}{{@index}}{{#if @first}}!{{/if}} {{this.name}};{{/each}}', { items }, '0! Tea;1 Cup;'],
    ['{{#each items}}x{{else}}nothing{{/each}}', { items: [] }, 'nothing'],
    ['{{#items}}{{name}} of {{shop}};{{/items}}', { items, shop: 'X' }, 'Tea of X;Cup of X;'],
    ['{{#items}}{{.}}{{this}}{{/items}}', { items: ['a', 'b'] }, 'aabb'],
    ['{{#address}}{{city}}{{/address}}', { address: { city: 'Ulm' } }, 'Ulm'],
    [
      '{{#each a}}{{#each b}}{{.}}{{@index}}{{/each}}/{{/each}}',
      { a: [{ b: [1, 2] }, { b: [3] }] },
      '1021/30/',
    ],
    ['a{{! a comment }}b{{!-- with }} and {{ in it --}}c', {}, 'abc'],
    ['\\{{name}} is how it is written', {}, '{{name}} is how it is written'],
    ['a\n  {{#if a}}\nb\n{{/if}}\nc', { a: true }, 'a\nb\nc'],
    ['a\r\n{{#if a}}\r\nb\r\n{{else}}\r\nx\r\n{{/if}}', { a: true }, 'a\r\nb\r\n'],
    ['a {{#if a}}\nb{{/if}}', { a: true }, 'a \nb'],
    ['{{items.length}}', { items: { length: 3 } }, '3'],
  ])('renders %j', (source, data, expected) => {
    expect(render(source, data)).toBe(expected);
  });

  test.each([
    ['Hi {{name', 'line 1, column 4: the tag is never closed'],
    ['a\nb {{#if x}}', 'line 2, column 3: `if` is never closed'],
    ['{{/if}}', 'line 1, column 1: nothing is open that could be closed'],
    ['{{#if a}}{{#each b}}{{/if}}', 'line 1, column 21: `each` has to be closed before `if`'],
    ['{{else}}', 'line 1, column 1: `else` belongs to no block'],
    ['{{#if a}}{{else}}{{else}}{{/if}}', 'line 1, column 18: `else` belongs to no block'],
    ['{{}}', 'line 1, column 1: the tag names nothing'],
    ['{{a b}}', 'line 1, column 1: this is not the name of a variable'],
    ['{{a..b}}', 'line 1, column 1: this is not the name of a variable'],
    ['{{a[0]}}', 'line 1, column 1: this is not the name of a variable'],
    ['{{@root}}', 'line 1, column 1: this is not the name of a variable'],
    ['{{../a}}', 'line 1, column 1: this is not the name of a variable'],
    ['{{> other}}', 'line 1, column 1: partials are not supported'],
    ['{{=<% %>=}}', 'line 1, column 1: other delimiters are not supported'],
    ['{{{{a}}}}', 'line 1, column 1: there is a brace too many'],
    [`{{${'a.'.repeat(10)}a}}`, 'line 1, column 1: this is not the name of a variable'],
    [`{{a${' '.repeat(600)}}}`, 'line 1, column 1: the tag is longer than 500 characters'],
  ])('refuses %j, and says where', (source, reason) => {
    expect(refusal(source)).toBe(reason);
  });

  test.each([
    ['{{a.b}}', {}, 'missing a.b'],
    ['{{#each a}}{{b}}{{/each}}', { a: [{}] }, 'missing b'],
    ['{{a}}', { a: {} }, 'not_a_text a'],
    ['{{a}}', { a: ['x'] }, 'not_a_text a'],
    ['{{a|x}}', { a: ['x'] }, 'not_a_text a'],
    ['{{#each a}}{{/each}}', { a: 'text' }, 'not_a_list a'],
  ])('refuses to render %j with %j', (source, data, expected) => {
    expect(fault(source, data)).toBe(expected);
  });

  test('leaves a missing value empty where nobody can be asked for it', () => {
    expect(render('Dear {{{contact.first_name}}}!', {}, { missing: 'empty' })).toBe('Dear !');
  });

  test('escapes nothing outside of HTML', () => {
    expect(render('{{a}} & {{{a}}}', { a: '<&>' }, { isHtml: false })).toBe('<&> & <&>');
  });

  test('is parsed once for any number of recipients', () => {
    const parsed = parseTemplate('{{#if vip}}Dear{{else}}Hi{{/if}} {{name}}');
    if (!parsed.ok) throw new Error(parsed.reason);
    const { template } = parsed;
    const before = structuredClone(template);
    const texts = ['Ann', 'Bob'].map((name) =>
      renderTemplate(
        template,
        { name, vip: name === 'Ann' },
        { isHtml: true, missing: 'empty', budget: new RenderBudget() },
      ),
    );
    expect(texts).toEqual(['Dear Ann', 'Hi Bob']);
    expect(template).toEqual(before);
  });
});

describe('what is hostile', () => {
  /** Every name by which templates elsewhere got out of their data. */
  const PAYLOADS = [
    '__proto__',
    'constructor',
    'constructor.constructor',
    'prototype',
    'toString',
    'valueOf',
    'hasOwnProperty',
    '__defineGetter__',
    '__lookupGetter__',
    'a.constructor',
    'a.constructor.prototype',
    'a.__proto__',
    'a.__proto__.polluted',
    'a.length',
    'a.toString',
    'list.length',
    'list.constructor',
    'list.0',
    'list.map',
    'nested.__proto__.polluted',
    'nested.constructor.name',
    'this.constructor',
    'this.__proto__',
    'process',
    'process.env',
    'globalThis',
    'global.process',
    'env',
    'env.ADMIN_TOKEN',
    'self',
    'require',
    'lookup',
    'helperMissing',
    'blockHelperMissing',
    'accessor',
    'made.inherited',
  ];
  const data = () => {
    const made = Object.create({ inherited: 'a prototype' });
    const own = { a: 'text', list: ['x'], nested: { b: 1 }, made };
    return Object.defineProperty(own, 'accessor', { get: () => 'called', enumerable: true });
  };

  test.each(PAYLOADS)('{{%s}} reaches neither a prototype nor the environment', (payload) => {
    Object.defineProperty(Object.prototype, 'polluted', { value: 'polluted', configurable: true });
    try {
      for (const source of [`{{${payload}}}`, `{{{${payload}}}}`])
        expect(fault(source, data())).toMatch(/^missing/);
      expect(render(`{{${payload}|nothing}}`, data())).toBe('nothing');
      expect(render(`{{#if ${payload}}}reached{{/if}}{{#${payload}}}reached{{/${payload}}}`, data())).toBe(
        '',
      );
      expect(render(`{{#each ${payload}}}reached{{/each}}`, data())).toBe('');
    } finally {
      Reflect.deleteProperty(Object.prototype, 'polluted');
    }
  });

  test.each([
    '{{constructor.constructor("return process")()}}',
    "{{#with (lookup this 'constructor')}}{{/with}}",
    '{{lookup this "constructor"}}',
    '{{#each this as |v k|}}{{/each}}',
    '{{this.["constructor"]}}',
    '{{ a = 1 }}',
    '{{*decorator}}',
    '{{#> layout}}{{/layout}}',
    '{{a`x`}}',
    '{{log env}}',
    '{{__proto__[polluted]}}',
    '{{a.constructor()}}',
  ])('%s is no template at all', (source) => {
    expect(refusal(source)).toMatch(/^line 1/);
  });

  test('text of a value is never read as a template', () => {
    expect(render('{{a}}{{{a}}}', { a: '{{b}}', b: 'secret' })).toBe('{{b}}{{b}}');
  });

  test('output, steps, tags and nesting are bounded', () => {
    const long = 'x'.repeat(MAX_OUTPUT_BYTES);
    expect(fault('{{a}}', { a: long })).toBe('rendered');
    expect(fault('{{a}}.', { a: long })).toBe('too_long');
    // In bytes, and of what is written: each of these becomes four, or five.
    expect(fault('{{a}}', { a: '\u{1f600}'.repeat(MAX_OUTPUT_BYTES / 4 + 1) })).toBe('too_long');
    expect(fault('{{a}}', { a: '&'.repeat(MAX_OUTPUT_BYTES / 5 + 1) })).toBe('too_long');
    const many = Array.from({ length: 1000 }, () => 1);
    expect(fault('{{#each a}}{{#each a}}{{/each}}{{/each}}', { a: many })).toBe('too_many_steps');
    expect(fault('{{#each a}}{{b}}{{/each}}', { a: many, b: 'x'.repeat(2000) })).toBe('too_long');
    expect(refusal('{{a}}'.repeat(MAX_TAGS))).toBe('parsed');
    expect(refusal('{{a}}'.repeat(MAX_TAGS + 1))).toMatch(/more than 5000 tags$/);
    expect(refusal('\\{{'.repeat(MAX_TAGS + 1))).toMatch(/more than 5000 tags$/);
    const nested = (depth: number) => '{{#a}}'.repeat(depth) + '{{/a}}'.repeat(depth);
    expect(refusal(nested(MAX_DEPTH))).toBe('parsed');
    expect(refusal(nested(MAX_DEPTH + 1))).toMatch(/more than 16 blocks in each other$/);
  });
});
