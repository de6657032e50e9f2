/** What a figure is, and how one is made of several runs. */
export interface Figure {
  /** The median of the runs. */
  readonly value: number;
  readonly unit: string;
  /** As text, like `>= 0.2`; `none` where the figure is for information. */
  readonly goal: string;
  readonly min: number;
  readonly max: number;
  readonly runs: number;
}

export type Figures = Record<string, Figure>;

export interface FigureKind {
  readonly unit: string;
  readonly goal: string;
}

export const RUNS = 5;

export function figureOf(values: readonly number[], { unit, goal }: FigureKind): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    value: rounded(median(sorted)),
    unit,
    goal,
    min: rounded(sorted[0] ?? Number.NaN),
    max: rounded(sorted.at(-1) ?? Number.NaN),
    runs: sorted.length,
  };
}

/**
 * Pairs of measurements, taken one right after the other, so that what else the machine does meets both.
 * Which one goes first changes from pair to pair.
 */
export async function pairs(
  runs: number,
  measureOurs: () => Promise<number>,
  measureTheirs: () => Promise<number>,
): Promise<{ ours: number[]; theirs: number[] }> {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let run = 0; run < runs; run++) {
    if (run % 2 === 0) ours.push(await measureOurs());
    theirs.push(await measureTheirs());
    if (run % 2 === 1) ours.push(await measureOurs());
  }
  return { ours, theirs };
}

export function ratios(dividends: readonly number[], divisors: readonly number[]): number[] {
  return dividends.map((dividend, index) => dividend / (divisors[index] ?? Number.NaN));
}

export async function millisecondsOf(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

/** True, false, or undefined where there is no goal to meet. */
export function meetsGoal({ value, goal }: Figure): boolean | undefined {
  const [, sign, bound] = /^(>=|<=) ([\d.]+)$/.exec(goal) ?? [];
  if (bound === undefined) return undefined;
  return sign === '>=' ? value >= Number(bound) : value <= Number(bound);
}

/** Ratios and round trips first; what only says how fast this machine is comes last. */
export function tableOf(figures: Figures): string {
  const rank = ({ unit }: Figure) => (unit === 'ratio' ? 0 : unit === 'messages/s' ? 2 : 1);
  const rows = Object.entries(figures)
    .sort(([, a], [, b]) => rank(a) - rank(b))
    .map(([name, figure]) => {
      const met = meetsGoal(figure);
      return [
        name,
        `${figure.value} ${figure.unit}`,
        figure.goal,
        met === undefined ? '' : met ? 'met' : 'MISSED',
        `${figure.min} to ${figure.max}`,
        String(figure.runs),
      ];
    });
  const all = [['figure', 'median', 'goal', '', 'min to max', 'runs'], ...rows];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? [];
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function median(sorted: readonly number[]): number {
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

function rounded(value: number): number {
  return value >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}
