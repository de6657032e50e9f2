/**
 * A parsed template and data make a text. Data is only ever looked into by own properties of plain objects, and
 * no accessor is called: neither a prototype nor anything of the program is in reach, whatever a template names.
 */
import { escapeHtml } from './escape-html.ts';
import type { BlockNode, Path, Template, TemplateNode, ValueNode } from './parse-template.ts';

export type RenderFault =
  | 'missing'
  | 'not_a_text'
  | 'not_a_list'
  | 'too_long'
  | 'too_many_steps'
  | 'request_too_long'
  | 'request_too_many_steps';

/** `variable` is the path as the template has it. */
export class RenderError extends Error {
  override readonly name = 'RenderError';
  readonly fault: RenderFault;
  readonly variable: string;

  constructor(fault: RenderFault, variable = '') {
    super(fault);
    this.fault = fault;
    this.variable = variable;
  }
}

export const MAX_OUTPUT_BYTES = 1024 * 1024;
export const MAX_STEPS = 100_000;
/** Of all the emails of a request: each of them is held until the last one was rendered. */
export const MAX_REQUEST_OUTPUT_BYTES = 8 * MAX_OUTPUT_BYTES;
export const MAX_REQUEST_STEPS = 10 * MAX_STEPS;

/** What all the emails of a request may still do and write, the refused ones counted. */
export class RequestBudget {
  bytes: number;
  steps: number;

  constructor(bytes = MAX_REQUEST_OUTPUT_BYTES, steps = MAX_REQUEST_STEPS) {
    this.bytes = bytes;
    this.steps = steps;
  }
}

/** What may still be done and written. One for all the parts of an email. */
export class RenderBudget {
  #bytes = MAX_OUTPUT_BYTES;
  #steps = MAX_STEPS;
  readonly #request: RequestBudget;

  constructor(request = new RequestBudget()) {
    this.#request = request;
  }

  step(): void {
    if (--this.#steps < 0) throw new RenderError('too_many_steps');
    if (--this.#request.steps < 0) throw new RenderError('request_too_many_steps');
  }

  /** Before the work is done: `size` may be less than it will be, and is counted exactly afterwards. */
  foresee(size: number): void {
    if (size > this.#bytes) throw new RenderError('too_long');
    if (size > this.#request.bytes) throw new RenderError('request_too_long');
  }

  write(sizeBytes: number): void {
    this.#bytes -= sizeBytes;
    this.#request.bytes -= sizeBytes;
    if (this.#bytes < 0) throw new RenderError('too_long');
    if (this.#request.bytes < 0) throw new RenderError('request_too_long');
  }
}

export interface RenderOptions {
  /** Values in two braces are escaped for HTML. */
  readonly isHtml: boolean;
  /** What a value without data and without a fallback means. */
  readonly missing: 'refuse' | 'empty';
  readonly budget: RenderBudget;
}

/** The data of a block, and where a loop is. */
interface Scope {
  readonly value: unknown;
  readonly parent?: Scope;
  readonly index?: number;
  readonly isLast?: boolean;
}

/** Throws `RenderError`. */
export function renderTemplate(template: Template, data: unknown, options: RenderOptions): string {
  const pieces: string[] = [];
  renderNodes(template.nodes, { value: data }, { ...options, pieces });
  return pieces.join('');
}

interface Rendering extends RenderOptions {
  readonly pieces: string[];
}

function renderNodes(nodes: readonly TemplateNode[], scope: Scope, rendering: Rendering): void {
  for (const node of nodes) {
    rendering.budget.step();
    if (node.kind === 'block') renderBlock(node, scope, rendering);
    else if (node.kind === 'value') renderValue(node, scope, rendering);
    else {
      rendering.budget.write(node.sizeBytes);
      rendering.pieces.push(node.text);
    }
  }
}

function renderValue(node: ValueNode, scope: Scope, { isHtml, missing, budget, pieces }: Rendering): void {
  const found = find(node.path, scope);
  if (found !== undefined && found !== null && !isText(found))
    throw new RenderError('not_a_text', node.path.text);
  const value = found ?? node.fallback;
  if (value === undefined) {
    if (missing === 'refuse') throw new RenderError('missing', node.path.text);
    return;
  }
  const text = String(value);
  budget.foresee(text.length);
  const written = isHtml && !node.isRaw ? escapeHtml(text) : text;
  budget.write(Buffer.byteLength(written));
  pieces.push(written);
}

function renderBlock({ type, path, body, otherwise }: BlockNode, scope: Scope, rendering: Rendering): void {
  const value = find(path, scope);
  const holds = isTruthy(value);
  if (!holds || type === 'if' || type === 'unless') {
    renderNodes(holds === (type !== 'unless') ? body : otherwise, scope, rendering);
  } else if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      rendering.budget.step();
      const isLast = index === value.length - 1;
      renderNodes(body, { value: value[index], parent: scope, index, isLast }, rendering);
    }
  } else {
    if (type === 'each') throw new RenderError('not_a_list', path.text);
    renderNodes(body, isRecord(value) ? { value, parent: scope } : scope, rendering);
  }
}

/** The head from the innermost scope that has it, the rest from there. */
function find({ parts }: Path, scope: Scope): unknown {
  const [head = '', ...members] = parts;
  let value = headOf(head, scope);
  for (const member of members) value = ownValue(value, member);
  return value;
}

function headOf(head: string, scope: Scope): unknown {
  if (head === 'this') return scope.value;
  for (let at: Scope | undefined = scope; at; at = at.parent) {
    const value = head.startsWith('@') ? loopValue(head, at) : ownValue(at.value, head);
    if (value !== undefined) return value;
  }
  return undefined;
}

function loopValue(name: string, { index, isLast }: Scope): unknown {
  if (index === undefined) return undefined;
  return name === '@index' ? index : name === '@first' ? index === 0 : isLast;
}

function ownValue(value: unknown, name: string): unknown {
  return isRecord(value) ? Object.getOwnPropertyDescriptor(value, name)?.value : undefined;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function isText(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value);
}

/** As in Handlebars: an empty text, an empty list and zero are not. */
function isTruthy(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}
