import type { Answer, Step } from './boto.ts';

/** Why two judges differ: who is right, by which page of AWS, and the differences that it explains. */
export type Explanation = {
  right: 'the sandbox' | 'moto' | 'both';
  why: string;
  source: string;
  of: readonly string[];
};

function ofStep(step: string, ours: Answer, theirs: Answer): string[] {
  if (ours.outcome !== theirs.outcome) return [`${step}: ${ours.outcome} → ${theirs.outcome}`];
  const names = [...new Set([...Object.keys(ours.fields), ...Object.keys(theirs.fields)])];
  return names.flatMap((name) => {
    const [our, their] = [ours.fields[name], theirs.fields[name]].map((value) => JSON.stringify(value) ?? 'nothing');
    return our === their ? [] : [`${step}.${name}: ${our} → ${their}`];
  });
}

/** Every difference in outcome or in a decisive field, as `step: ours → theirs`. */
export function differences(ours: readonly Step[], theirs: readonly Step[]): string[] {
  const answers = new Map(theirs.map(({ step, got }) => [step, got]));
  return ours.flatMap(({ step, got }) => {
    const answer = answers.get(step);
    return answer === undefined ? [`${step}: was not taken`] : ofStep(step, got, answer);
  });
}

/** The differences that nobody explains, and the explanations of what does not happen any more. */
export function judged(found: readonly string[], table: readonly Explanation[]) {
  const explained = table.flatMap(({ of }) => of);
  return {
    unexplained: found.filter((one) => !explained.includes(one)),
    outdated: explained.filter((one, i) => !found.includes(one) || explained.indexOf(one) !== i),
  };
}
