import type { Clock } from '../../core/clock.ts';
import { bar } from '../progress.ts';
import { formatBytes } from '../table.ts';
import type { Terminal } from '../terminal.ts';

const LINE_EVERY_PERCENT = 10;

/** How far a long command came. `total` is null while it is not known. */
export type Amount = { done: number; total: number | null };

/** `61` → `1:01`. */
const formatSeconds = (seconds: number) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;

/**
 * Shows how a command goes on, on standard error: a bar where a person watches, else a line each ten percent. Nothing with `json`
 * but the bar.
 */
export function createMeter(options: { terminal: Terminal; clock: Clock; json: boolean; doing: string }) {
  const { terminal, clock, json, doing } = options;
  const begun = clock.now().getTime();
  let first: number | null = null;
  let shown = 0;
  let drawn = false;

  function speed({ done, total }: Amount): string {
    const seconds = (clock.now().getTime() - begun) / 1_000;
    const perSecond = (done - (first ?? done)) / seconds;
    if (!(seconds >= 1 && perSecond > 0)) return '';
    const left = total === null ? '' : `, ${formatSeconds(Math.ceil((total - done) / perSecond))} left`;
    return `, ${formatBytes(perSecond)}/s${left}`;
  }

  return {
    /** Amounts in bytes. */
    show(amount: Amount): void {
      const { done, total } = amount;
      first ??= done;
      const percent = total ? (100 * done) / total : 0;
      const text = `${doing} ${formatBytes(done)}${total === null ? '' : ` of ${formatBytes(total)}`}`;
      if (terminal.interactive) {
        drawn = true;
        const begin = total === null ? '' : `${bar(percent)}  `;
        return terminal.draw(`${begin}${text}${speed(amount)}`.slice(0, terminal.columns() - 1));
      }
      const step = Math.floor(percent / LINE_EVERY_PERCENT) * LINE_EVERY_PERCENT;
      if (json || step <= shown) return;
      shown = step;
      terminal.hint(`${step} %  ${text}`);
    },
    end(): void {
      if (drawn) terminal.draw('');
      drawn = false;
    },
  };
}
