import type { Job, JobEvent } from './follow.ts';
import { formatBytes } from './table.ts';
import type { Terminal } from './terminal.ts';

const BAR_CELLS = 24;
const LINE_EVERY_PERCENT = 10;

/** `[████░░] 66 %` */
export function bar(percent: number): string {
  const full = Math.round((Math.min(100, Math.max(0, percent)) / 100) * BAR_CELLS);
  return `[${'█'.repeat(full)}${'░'.repeat(BAR_CELLS - full)}] ${percent.toFixed(0).padStart(3)} %`;
}

function amount({ blocksDone, blocksTotal, bytesStored }: Job['progress']): string {
  const blocks = `${blocksDone}${blocksTotal === null ? '' : `/${blocksTotal}`} blocks`;
  return bytesStored > 0 ? `${blocks}, ${formatBytes(bytesStored)} stored` : blocks;
}

function stateLine(job: Job): string {
  const why = job.blocked ? `  blocked: ${job.blocked.detail}` : (job.problem && `  ${job.problem.title}`) || '';
  return `${job.id}  ${job.state}${why}`;
}

/**
 * Shows how a job goes on: a bar where a person watches, else one line for each change of state and each ten percent.
 * With `json` only the bar, so that standard output stays a document.
 */
export function createProgressReporter(terminal: Terminal, id: string, json: boolean) {
  let shownState = '';
  let shownPercent = 0;
  let drawn = false;

  function progress(now: Job['progress']): void {
    const percent = now.percent ?? 0;
    if (terminal.interactive) {
      drawn = true;
      return terminal.draw(`${bar(percent)}  ${now.step}  ${amount(now)}`.slice(0, terminal.columns() - 1));
    }
    const step = Math.floor(percent / LINE_EVERY_PERCENT) * LINE_EVERY_PERCENT;
    if (json || step <= shownPercent) return;
    shownPercent = step;
    terminal.out(`${id}  ${step} %  ${now.step}  ${amount(now)}`);
  }

  function end(): void {
    if (drawn) terminal.draw('');
    drawn = false;
  }

  function state(job: Job): void {
    const line = stateLine(job);
    if (json || line === shownState) return;
    shownState = line;
    end();
    if (terminal.interactive) terminal.hint(line);
    else terminal.out(line);
  }

  return {
    show(event: JobEvent): void {
      if (event.type === 'progress') progress(event.progress);
      else state(event.job);
    },
    end,
  };
}
