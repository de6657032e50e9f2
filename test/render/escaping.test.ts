/** What a value may do to the HTML around it, as a real parser of HTML reads the result. */
import fc from 'fast-check';
import { parseFragment } from 'parse5';
import { describe, expect, test } from 'vitest';
import { parseTemplate } from '../../src/render/parse-template.ts';
import { RenderBudget, renderTemplate } from '../../src/render/render-template.ts';

const SOURCE = '<p title="{{v}}" class=\'{{v}}\'>{{v}}</p><i>{{#each list}}<b>{{this}}</b>{{/each}}</i>';

interface Element {
  readonly nodeName: string;
  readonly value?: string;
  readonly attrs?: readonly { readonly name: string; readonly value: string }[];
  readonly childNodes?: readonly Element[];
}

function rendered(source: string, data: unknown): string {
  const parsed = parseTemplate(source);
  if (!parsed.ok) throw new Error(parsed.reason);
  return renderTemplate(parsed.template, data, {
    isHtml: true,
    missing: 'refuse',
    budget: new RenderBudget(),
  });
}

function shapeOf(node: Element): unknown {
  if (node.nodeName === '#text') return node.value;
  const attributes = (node.attrs ?? []).map(({ name, value }) => [name, value]);
  return [node.nodeName, ...attributes, ...(node.childNodes ?? []).map(shapeOf)];
}

/** A parser drops NUL, and makes one line break of CR and CR LF. */
const value = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '<',
        '>',
        '"',
        "'",
        '`',
        '=',
        '&',
        '&lt;',
        '&#60',
        '</p>',
        '<script>',
        '-->',
        '{{v}}',
        ' ',
        '\n',
      ),
      fc.string({ unit: 'grapheme', maxLength: 8 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join('').replace(/[\0\r]/g, ''));

describe('escaping', () => {
  test('a value in two braces stays text, in content and in attributes, whatever it is', () => {
    fc.assert(
      fc.property(value, fc.array(value, { maxLength: 3 }), (v, list) => {
        const html = parseFragment(rendered(SOURCE, { v, list })) as unknown as Element;
        const text = (of: string) => (of === '' ? [] : [of]);
        expect(shapeOf(html)).toEqual([
          '#document-fragment',
          ['p', ['title', v], ['class', v], ...text(v)],
          ['i', ...list.map((item) => ['b', ...text(item)])],
        ]);
      }),
      { numRuns: 300 },
    );
  });

  test('a value cannot add an attribute where nobody wrote quotes', () => {
    const hostile = 'x`onmouseover=alert(1)';
    const html = parseFragment(rendered('<a href={{v}}>x</a>', { v: hostile })) as unknown as Element;
    expect(shapeOf(html)).toEqual(['#document-fragment', ['a', ['href', hostile], 'x']]);
  });
});
