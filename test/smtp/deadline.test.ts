import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Deadline } from '../../src/smtp/deadline.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a deadline', () => {
  test('is due after its time, and not before', () => {
    const due: string[] = [];
    new Deadline().set(100, () => due.push('a'));
    vi.advanceTimersByTime(99);
    expect(due).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(due).toEqual(['a']);
    vi.advanceTimersByTime(1000);
    expect(due).toEqual(['a']);
  });

  test('that follows another has its whole time, on the timer of the first', () => {
    const due: string[] = [];
    const deadline = new Deadline();
    deadline.set(100, () => due.push('a'));
    vi.advanceTimersByTime(60);
    deadline.set(100, () => due.push('b'));
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(99);
    expect(due).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(due).toEqual(['b']);
  });

  test('that is shorter than the one before does not wait for it', () => {
    const due: string[] = [];
    const deadline = new Deadline();
    deadline.set(1000, () => due.push('a'));
    deadline.set(10, () => due.push('b'));
    vi.advanceTimersByTime(10);
    expect(due).toEqual(['b']);
  });

  test('is never due once it was dropped, and another can be set then', () => {
    const due: string[] = [];
    const deadline = new Deadline();
    deadline.set(100, () => due.push('a'));
    deadline.drop();
    vi.advanceTimersByTime(500);
    expect(due).toEqual([]);
    deadline.set(100, () => due.push('b'));
    vi.advanceTimersByTime(100);
    expect(due).toEqual(['b']);
  });

  test('leaves no timer behind where it was stopped', () => {
    const deadline = new Deadline();
    deadline.set(100, () => {});
    deadline.stop();
    expect(vi.getTimerCount()).toBe(0);
  });
});
